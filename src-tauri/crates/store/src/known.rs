//! Keys of tasks that the database is known to have. Tasks of a crawl lead to the same few pages again
//! and again; without this, each of these links would be looked for in the database each time.

use std::collections::HashMap;

/// Keys that are remembered at most; forgetting them only costs time.
const MOST: usize = 200_000;

/// A key of a task in an attempt of its step, as a hash that no two keys share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Known([u8; 16]);

impl Known {
    /// The `key` within this attempt (`round`) of a step.
    pub(crate) fn new(step: i64, round: i64, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&step.to_le_bytes()).update(&round.to_le_bytes()).update(key.as_bytes());
        let mut hash = [0; 16];
        hasher.finalize_xof().fill(&mut hash);
        Self(hash)
    }
}

/// What is known now, and what of it would be undone with the transaction.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys {
    /// With the smallest depth at which a task with this key was wanted.
    keys: HashMap<Known, u32>,
    /// What the keys of this transaction were before, in order.
    before: Vec<(Known, Option<u32>)>,
}

impl KnownKeys {
    /// Whether a task with this key is there, and no deeper than this.
    pub(crate) fn has(&self, key: Known, depth: u32) -> bool {
        self.keys.get(&key).is_some_and(|known| *known <= depth)
    }

    /// A task with this key is there, and no deeper than this.
    pub(crate) fn add(&mut self, key: Known, depth: u32) {
        if self.keys.len() >= MOST {
            self.keys.clear();
        }
        self.before.push((key, self.keys.insert(key, depth)));
    }

    /// Where the transaction stands, for [`Self::undo`].
    pub(crate) fn mark(&self) -> usize {
        self.before.len()
    }

    /// Forgets what was added since `mark`.
    pub(crate) fn undo(&mut self, mark: usize) {
        for (key, depth) in self.before.drain(mark..).rev() {
            match depth {
                Some(depth) => self.keys.insert(key, depth),
                None => self.keys.remove(&key),
            };
        }
    }

    /// The transaction is committed.
    pub(crate) fn keep(&mut self) {
        self.before.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undone_is_known_as_before() {
        let key = |name| Known::new(1, 1, name);
        let mut known = KnownKeys::default();
        known.add(key("a"), 5);
        known.keep();
        known.add(key("b"), 2);
        let mark = known.mark();
        known.add(key("a"), 3);
        known.add(key("a"), 1);
        known.add(key("c"), 0);
        assert!(known.has(key("a"), 1) && known.has(key("c"), 9));
        known.undo(mark);
        let depths = ["a", "b", "c"].map(|name| (0..9).find(|depth| known.has(key(name), *depth)));
        assert_eq!(depths, [Some(5), Some(2), None]);
        known.undo(0);
        assert!(known.has(key("a"), 5) && !known.has(key("b"), 9));
    }

    #[test]
    fn a_key_is_that_of_its_attempt() {
        let mut known = KnownKeys::default();
        known.add(Known::new(1, 1, "a"), 0);
        for other in [Known::new(1, 2, "a"), Known::new(2, 1, "a"), Known::new(1, 1, "b")] {
            assert!(!known.has(other, 9));
        }
    }

    #[test]
    fn not_more_is_remembered_than_there_is_room_for() {
        let mut known = KnownKeys::default();
        for n in 0..=i64::try_from(MOST).expect("small") {
            known.add(Known::new(n, 1, "a"), 0);
        }
        assert_eq!(known.keys.len(), 1);
        known.undo(0);
        assert!(known.keys.is_empty());
    }
}
