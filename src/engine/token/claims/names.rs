//! [`Names`]: which names of members have come.

use std::{borrow::Cow, collections::BTreeSet};

/// How many are kept without a tree: most claims have fewer members.
const FEW: usize = 8;

/// Each name once. No hashing and no memory for few, no square for many.
#[derive(Default)]
pub(super) struct Names<'n> {
    few: [Option<Cow<'n, str>>; FEW],
    more: BTreeSet<Cow<'n, str>>,
}

impl<'n> Names<'n> {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.few.iter().map_while(Option::as_deref).any(|known| known == name)
            || (!self.more.is_empty() && self.more.contains(name))
    }

    /// Adds `name`; whether it is new.
    pub(super) fn insert(&mut self, name: Cow<'n, str>) -> bool {
        if self.contains(&name) {
            return false;
        }
        match self.few.iter_mut().find(|place| place.is_none()) {
            Some(place) => drop(place.replace(name)),
            None => drop(self.more.insert(name)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::token::claims::names::*;

    #[test]
    fn each_name_counts_once_however_many_there_are() {
        let mut names = Names::default();
        for round in 0..2 {
            for n in 0..3 * FEW {
                assert_eq!(names.insert(format!("name-{n}").into()), round == 0, "{n}");
            }
        }
        assert!(names.contains("name-0") && names.contains("name-20"));
        assert!(!names.contains("name-24"));
    }
}
