//! Chance that can be had again: its seed is printed.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use crate::note;

/// Random numbers from a seed: `QUAERO_SEED`, or one of the standard library's, which is noted.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        let given = std::env::var("QUAERO_SEED").ok().and_then(|seed| seed.parse().ok());
        // The standard library's own source of randomness.
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        note(&format!("QUAERO_SEED={seed}"));
        Self(seed)
    }
}

impl Dice {
    /// The next number. SplitMix64, Steele et al. 2014.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A time shorter than `longest`.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        let most = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.roll() % most)
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is none.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let at = self.roll() % u64::try_from(items.len()).expect("few");
        &items[usize::try_from(at).expect("less than the number of items")]
    }
}
