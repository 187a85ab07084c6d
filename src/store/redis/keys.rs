//! The names of the Redis keys.

use std::fmt::Write;

use crate::{
    engine::session::id::{SessionId, Subject},
    store::record::SessionKey,
};

/// The number of shards of subjects: the finest distribution over a cluster. All keys of a shard
/// are in one slot, including its copy of the watermark of all subjects.
pub(super) const SHARDS: u16 = 4096;

/// The key names of one tenant.
///
/// `{prefix}:{part}:{id}` is a session, `{prefix}:{part}:of:{subject}` the session list of a
/// subject. `{prefix}:{part}:all:{subject}` and `{prefix}:{part}:everybody` are the watermarks of a
/// subject and of all subjects: sessions that signed in before them are revoked. `{prefix}:{feed}`
/// and `{prefix}:{feed}:about` are the feed and its metadata. Only the braces around part and feed
/// are written literally. The first pair of braces determines the slot.
#[derive(Debug, Clone)]
pub(super) struct KeySpace(Box<str>);

impl KeySpace {
    pub(super) fn new(prefix: &str) -> Self {
        // Braces in the prefix would be taken for those of the shard.
        let mut name = String::with_capacity(prefix.len());
        for c in prefix.chars() {
            match c {
                '{' => name.push_str("%7B"),
                '}' => name.push_str("%7D"),
                '%' => name.push_str("%25"),
                _ => name.push(c),
            }
        }
        Self(name.into())
    }

    pub(super) fn prefix(&self) -> &str {
        &self.0
    }

    /// The common start of the keys of the subject's sessions.
    pub(super) fn base(&self, subject: &Subject) -> String {
        self.shard(shard(subject))
    }

    pub(super) fn record(&self, key: &SessionKey) -> String {
        self.base(&key.subject) + key.id.as_str()
    }

    pub(super) fn list(&self, subject: &Subject) -> String {
        self.base(subject) + "of:" + subject.as_str()
    }

    pub(super) fn watermark(&self, subject: &Subject) -> String {
        self.base(subject) + "all:" + subject.as_str()
    }

    pub(super) fn revoked_all(&self, subject: &Subject) -> String {
        self.revoked_all_in(shard(subject))
    }

    pub(super) fn revoked_all_in(&self, part: u16) -> String {
        self.shard(part) + "everybody"
    }

    pub(super) fn feed(&self) -> String {
        format!("{}:{{feed}}", self.0)
    }

    pub(super) fn feed_meta(&self) -> String {
        self.feed() + ":about"
    }

    fn shard(&self, part: u16) -> String {
        let mut name = String::with_capacity(self.0.len() + 8 + SessionId::LENGTH);
        name.push_str(&self.0);
        let _ = write!(name, ":{{{part:03x}}}:");
        name
    }
}

/// FNV-1a, folded. The result must be the same in every version of this crate, and evenly
/// distributed.
fn shard(subject: &Subject) -> u16 {
    let hash = subject.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let folded = hash ^ (hash >> 12) ^ (hash >> 24) ^ (hash >> 36) ^ (hash >> 48);
    (folded % u64::from(SHARDS)) as u16
}

#[cfg(test)]
mod tests {
    use crate::store::redis::keys::*;

    fn tag(key: &str) -> &str {
        let start = key.find('{').unwrap() + 1;
        &key[start..start + key[start..].find('}').unwrap()]
    }

    #[test]
    fn redis_keys_of_one_subject_share_a_slot() {
        let id = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
        for prefix in ["session", "{a}", "", "100%{"] {
            let names = KeySpace::new(prefix);
            for text in ["ada", "{ada}", "}{", "{}", "a:b", "\u{1f980}"] {
                let subject = Subject::new(text).unwrap();
                let record = names.record(&SessionKey::new(id, subject.clone()));
                assert_eq!(tag(&record).len(), 3, "{record}");
                for other in
                    [names.list(&subject), names.watermark(&subject), names.revoked_all(&subject)]
                {
                    assert_eq!(tag(&other), tag(&record), "{other} {record}");
                }
            }
            assert_eq!(tag(&names.feed()), tag(&names.feed_meta()));
        }
        assert_ne!(KeySpace::new("a{").feed(), KeySpace::new("a%7B").feed());
    }

    /// Sessions that an earlier version stored are found under these names.
    #[test]
    fn redis_keys_keep_their_names() {
        let names = KeySpace::new("session");
        let subject = Subject::new("ada").unwrap();
        let id = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
        let record = names.record(&SessionKey::new(id, subject.clone()));
        for (name, expected) in [
            (record, "session:{03a}:AAAAAAAAAAAAAAAAAAAAAA"),
            (names.list(&subject), "session:{03a}:of:ada"),
            (names.watermark(&subject), "session:{03a}:all:ada"),
            (names.revoked_all(&subject), "session:{03a}:everybody"),
            (names.feed(), "session:{feed}"),
            (names.feed_meta(), "session:{feed}:about"),
        ] {
            assert_eq!(name, expected);
        }
    }

    #[test]
    fn redis_shard_of_subjects_is_uniform_and_stable() {
        assert_eq!(shard(&Subject::new("ada").unwrap()), PART_OF_ADA);
        let mut parts = vec![0_u32; usize::from(SHARDS)];
        for n in 0..409_600 {
            parts[usize::from(shard(&Subject::new(format!("user-{n}")).unwrap()))] += 1;
        }
        // The mean is 100 each, and seven standard deviations are 70.
        assert!(parts.iter().all(|count| (30..=170).contains(count)), "{parts:?}");
    }

    const PART_OF_ADA: u16 = 58;
}
