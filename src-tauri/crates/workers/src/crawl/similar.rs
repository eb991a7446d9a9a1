//! Pages whose texts are nearly the same, by SimHash (Charikar 2002): texts that share most of their
//! runs of three words have fingerprints that differ in few bits.

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
    let words: Vec<u64> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MOST_WORDS)
        .map(|word| {
            word.bytes().fold(FNV_OFFSET, |hash, byte| fnv(hash, byte.to_ascii_lowercase()))
        })
        .collect();
    if words.len() < LEAST_WORDS {
        return 0;
    }
    let mut weights = [0_i32; 64];
    for run in words.windows(RUN) {
        let hash = run.iter().flat_map(|word| word.to_le_bytes()).fold(FNV_OFFSET, fnv);
        for (bit, weight) in weights.iter_mut().enumerate() {
            *weight += if hash >> bit & 1 == 1 { 1 } else { -1 };
        }
    }
    let bits = weights.iter().enumerate().filter(|(_, weight)| **weight > 0);
    // A text has one, even if all its bits should come out as none.
    bits.fold(0, |print, (bit, _)| print | 1 << bit).max(1)
}

/// FNV-1a, 64 bits: the same on every machine and in every version, as the fingerprints are stored.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

const fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3)
}

/// Whether two texts are nearly the same.
pub(super) const fn alike(a: u64, b: u64) -> bool {
    a != 0 && b != 0 && (a ^ b).count_ones() <= MOST_BITS
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
