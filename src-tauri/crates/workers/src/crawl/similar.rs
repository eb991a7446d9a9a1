//! Pages whose texts are nearly the same, by SimHash (Charikar 2002): texts that share most of their
//! runs of three words have fingerprints that differ in few bits.

use std::collections::HashMap;

/// Fingerprints that differ in at most so many of 64 bits are of one text (Manku, Jain and Das Sarma
/// 2007 found 3 right for pages of the web).
const MOST_BITS: u32 = 3;
/// In shorter texts a single word weighs too much.
const LEAST_WORDS: usize = 40;
/// Words beyond are not looked at.
const MOST_WORDS: usize = 50_000;
/// Words that make up one feature.
const RUN: usize = 3;

/// The fingerprint of a text; 0 if it is too short to have one.
pub(super) fn fingerprint(text: &str) -> u64 {
    let words = words(text);
    if words.len() < LEAST_WORDS {
        return 0;
    }
    // In how many of the features' hashes each bit is set.
    let mut counts = [0_usize; 64];
    let features: Vec<&[u64]> = words.windows(RUN).collect();
    // Eight bits at a time are counted in the bytes of a word, as far as a byte can count.
    for features in features.chunks(31 * LANES) {
        let mut sums = [0_u64; 8];
        for hash in features.chunks(LANES).flat_map(hashes) {
            for (sum, byte) in sums.iter_mut().zip(hash.to_le_bytes()) {
                *sum += SPREAD[usize::from(byte)];
            }
        }
        let bits = sums.iter().flat_map(|sum| sum.to_le_bytes());
        counts.iter_mut().zip(bits).for_each(|(count, sum)| *count += usize::from(sum));
    }
    let most = counts.iter().enumerate().filter(|(_, count)| **count * 2 > features.len());
    // A text has one, even if all its bits should come out as none.
    most.fold(0, |print, (bit, _)| print | 1 << bit).max(1)
}

/// Hashes that are computed side by side: each waits for its own multiplications only.
const LANES: usize = 8;

/// The hashes of at most so many features.
fn hashes(features: &[&[u64]]) -> impl Iterator<Item = u64> + use<> {
    let mut hashes = [FNV_OFFSET; LANES];
    for word in 0..RUN {
        let words: [u64; LANES] =
            std::array::from_fn(|lane| features.get(lane).map_or(0, |feature| feature[word]));
        for byte in 0..8 {
            for (hash, word) in hashes.iter_mut().zip(words) {
                *hash = fnv(*hash, word.to_le_bytes()[byte]);
            }
        }
    }
    hashes.into_iter().take(features.len())
}

/// A hash of each word, in lower case as far as it is ASCII.
fn words(text: &str) -> Vec<u64> {
    let (mut words, mut word) = (Vec::new(), None);
    for letter in text.chars() {
        if letter.is_alphanumeric() {
            let mut bytes = [0; 4];
            let bytes = letter.to_ascii_lowercase().encode_utf8(&mut bytes).bytes();
            word = Some(bytes.fold(word.unwrap_or(FNV_OFFSET), fnv));
        } else {
            words.extend(word.take());
            if words.len() == MOST_WORDS {
                return words;
            }
        }
    }
    words.extend(word);
    words
}

/// Each byte with its bits in bytes of their own, the lowest one first.
const SPREAD: [u64; 256] = {
    let mut spread = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            spread[byte] |= (byte as u64 >> bit & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    spread
};

/// FNV-1a, 64 bits: the same on every machine and in every version, as the fingerprints are stored.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

const fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3)
}

/// Whether two texts are nearly the same.
const fn alike(a: u64, b: u64) -> bool {
    a != 0 && b != 0 && (a ^ b).count_ones() <= MOST_BITS
}

/// Pages with their fingerprints, found by likeness however many there are.
#[derive(Debug, Default)]
pub(super) struct Prints {
    pages: Vec<(u64, String)>,
    /// Places in `pages`, by what a quarter of the bits is: where three bits differ, one quarter is the
    /// same.
    quarters: HashMap<(usize, [u8; 2]), Vec<usize>>,
}

impl Prints {
    /// Another page. One whose text is too short to be like any is not kept.
    pub(super) fn add(&mut self, print: u64, address: String) {
        if print == 0 {
            return;
        }
        for quarter in quarters(print) {
            self.quarters.entry(quarter).or_default().push(self.pages.len());
        }
        self.pages.push((print, address));
    }

    /// The first other page with nearly the same text.
    pub(super) fn alike(&self, print: u64, address: &str) -> Option<&str> {
        let is_found = |place: &&usize| {
            let (other, of) = &self.pages[**place];
            alike(*other, print) && of != address
        };
        let near = quarters(print).into_iter().filter_map(|quarter| self.quarters.get(&quarter));
        // The places of each are in order.
        let first = near.filter_map(|places| places.iter().find(is_found)).min();
        first.map(|place| &*self.pages[*place].1)
    }
}

fn quarters(print: u64) -> [(usize, [u8; 2]); 4] {
    let bytes = print.to_le_bytes();
    std::array::from_fn(|n| (n, [bytes[2 * n], bytes[2 * n + 1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seed: usize, words: usize) -> String {
        (0..words).map(|n| format!("word{} ", (n * 7919 + seed * 104_729) % 5_003)).collect()
    }

    #[test]
    fn texts_are_alike_that_differ_in_little() {
        let one = text(1, 400);
        let print = fingerprint(&one);
        assert_eq!(print, fingerprint(&one.to_uppercase().replace(' ', ", ")));
        assert!(alike(print, fingerprint(&format!("{one} Printed on Monday"))));
        for other in 2..200 {
            assert!(!alike(print, fingerprint(&text(other, 400))), "{other}");
        }
    }

    /// As it is written in the paper: each bit of each feature's hash weighs one, for or against.
    fn one_by_one(text: &str) -> u64 {
        let hash = |bytes: &[u8]| bytes.iter().fold(FNV_OFFSET, |hash, byte| fnv(hash, *byte));
        let words: Vec<u64> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(|word| hash(word.to_ascii_lowercase().as_bytes()))
            .collect();
        let hashes: Vec<u64> = words
            .windows(RUN)
            .map(|run| hash(&run.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()))
            .collect();
        let set = |bit: &u32| hashes.iter().filter(|hash| *hash >> bit & 1 == 1).count();
        (0..64).filter(|bit| set(bit) * 2 > hashes.len()).map(|bit| 1 << bit).sum()
    }

    #[test]
    fn every_feature_counts() {
        for count in (40..60).chain([248, 249, 250, 251, 252, 500, 2_000]) {
            let text = text(count, count).replace("word1", "É1ä").replace("word2", "ＷＯＲＤ");
            assert_eq!(fingerprint(&text), one_by_one(&text), "{count}");
        }
    }

    #[test]
    fn a_page_is_found_by_likeness() {
        let mut prints = Prints::default();
        let print = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (1..2_000).for_each(|n| prints.add(print(n), format!("page {n}")));
        for bits in [0, 1, 1 << 63, 1 << 17 | 1 << 34, 1 << 5 | 1 << 20 | 1 << 50, 7 << 31] {
            for n in [1, 77, 1_999] {
                let page = format!("page {n}");
                assert_eq!(prints.alike(print(n) ^ bits, "other"), Some(&*page), "{bits:x}");
                assert_eq!(prints.alike(print(n) ^ bits, &page), None, "a page is not like itself");
            }
        }
        for bits in [0xf, 1 | 1 << 20 | 1 << 40 | 1 << 60] {
            assert_eq!(prints.alike(print(77) ^ bits, "other"), None);
        }
        // What is looked for shares its first quarter with the later one only.
        prints.add(print(77) ^ 2 ^ 1 << 20, "later".to_owned());
        assert_eq!(prints.alike(print(77) ^ 2, "other"), Some("page 77"), "the first one");
        prints.add(0, "short".to_owned());
        assert_eq!(prints.alike(0, "other"), None);
    }

    #[test]
    fn short_texts_are_never_alike() {
        let short = text(1, 39);
        assert_eq!(fingerprint(&short), 0);
        assert!(!alike(fingerprint(&short), fingerprint(&short)));
        assert_ne!(fingerprint(&text(1, 40)), 0);
    }

    #[test]
    fn fingerprints_stay_what_they_are() {
        // They are stored: another value here needs a migration.
        assert_eq!(format!("{:016x}", fingerprint(&text(7, 100))), "1502124b58f31daa");
    }
}
