//! How long to wait before something is tried again.

use quaero_contract::JobId;

/// The shortest pause, in milliseconds: nothing is tried again at once.
const LEAST_MS: u64 = 250;

/// Exponential backoff with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS
/// Architecture Blog 2015): a pause between a quarter of a second and `base_ms` × 2^(attempt − 1), at
/// most `most_ms`. The jitter comes from the job and the attempt, so that it needs no source of
/// randomness and a test can foretell it.
pub(crate) fn backoff_ms(job: JobId, attempt: u32, base_ms: u64, most_ms: u64) -> u64 {
    let exponent = attempt.saturating_sub(1).min(32);
    let ceiling = base_ms.saturating_mul(1 << exponent).min(most_ms);
    if ceiling <= LEAST_MS {
        return ceiling;
    }
    // splitmix64, Steele et al. 2014.
    let mut z = job.0.unsigned_abs().wrapping_mul(31).wrapping_add(u64::from(attempt));
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    LEAST_MS + z % (ceiling - LEAST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_stays_in_bounds_and_differs_between_jobs() {
        for attempt in 1..60 {
            for job in 1..200 {
                let ms = backoff_ms(JobId(job), attempt, 2_000, 300_000);
                let ceiling = (2_000_u64 << attempt.min(20)).min(300_000);
                assert!((LEAST_MS..=ceiling).contains(&ms), "{ms} ms for attempt {attempt}");
            }
        }
        let first: std::collections::BTreeSet<u64> =
            (1..50).map(|job| backoff_ms(JobId(job), 1, 2_000, 300_000)).collect();
        assert!(first.len() > 40, "the pauses of different jobs must differ");
    }

    #[test]
    fn a_definition_may_ask_for_no_pause_at_all() {
        assert_eq!(backoff_ms(JobId(1), 5, 0, 300_000), 0);
        assert_eq!(backoff_ms(JobId(1), u32::MAX, u64::MAX, 100), 100);
    }
}
