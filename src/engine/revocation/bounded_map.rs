//! [`BoundedMap`]: a map that drops the entry that was written longest ago.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// At most `capacity` entries.
#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    capacity: usize,
    entries: HashMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    written: u64,
}

impl<K: Copy + Eq + Hash, V> BoundedMap<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new(), order: BTreeMap::new(), written: 0 }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Returns the entry that was dropped if the map was full.
    pub(crate) fn put(&mut self, key: K, value: V) -> Option<K> {
        self.written += 1;
        if let Some((written, _)) = self.entries.insert(key, (self.written, value)) {
            self.order.remove(&written);
        }
        self.order.insert(self.written, key);
        if self.entries.len() <= self.capacity {
            return None;
        }
        let (_, oldest) = self.order.pop_first()?;
        self.entries.remove(&oldest);
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::revocation::bounded_map::*;

    #[test]
    fn bounded_map_at_capacity_evicts_the_oldest_write() {
        let mut recent = BoundedMap::new(2);
        for (key, value) in [('a', 1), ('b', 2), ('a', 3), ('c', 4)] {
            recent.put(key, value);
        }
        assert_eq!(
            [recent.get(&'a'), recent.get(&'b'), recent.get(&'c')],
            [Some(&3), None, Some(&4)]
        );
        assert_eq!(recent.order.len(), 2);
    }
}
