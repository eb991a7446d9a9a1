//! How fast a host is asked, from how it answers: who is slow or says that it is too much is left alone
//! for longer than the step's own pause.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// An answer that takes longer to begin comes from a host that has enough to do.
const SLOW: Duration = Duration::from_secs(1);
/// The longest pause that a slow answer leads to.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// The pause after the first refusal; it doubles with each.
const FIRST_BRAKE: Duration = Duration::from_secs(1);
const LONGEST_BRAKE: Duration = Duration::from_secs(60);
/// A shorter brake is none.
const LEAST_BRAKE: Duration = Duration::from_millis(250);
/// More hosts are not remembered at once; forgetting them only costs them a refusal.
const HOSTS: usize = 10_000;

/// What is known of all hosts. It is lost with the process, and learned again.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    brakes: Mutex<HashMap<String, Duration>>,
}

impl Throttle {
    /// Takes note of an answer and how long it took to begin. Returns how long the host is left alone.
    pub(super) fn pause(&self, host: &str, status: u16, first_byte: Duration) -> Duration {
        // A panic while the lock is held cannot leave the map half-changed.
        let mut brakes = self.brakes.lock().unwrap_or_else(PoisonError::into_inner);
        let brake = brakes.get(host).copied().unwrap_or_default();
        let brake = match status {
            429 | 503 => (brake * 2).clamp(FIRST_BRAKE, LONGEST_BRAKE),
            _ => Some(brake * 3 / 4).filter(|brake| *brake >= LEAST_BRAKE).unwrap_or_default(),
        };
        if brake.is_zero() {
            brakes.remove(host);
        } else {
            if brakes.len() >= HOSTS {
                brakes.clear();
            }
            brakes.insert(host.to_owned(), brake);
        }
        let rest = if first_byte >= SLOW { first_byte.min(LONGEST_REST) } else { Duration::ZERO };
        brake.max(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_left_alone_as_it_answers() {
        let throttle = Throttle::default();
        let pause =
            |host, status, ms| throttle.pause(host, status, Duration::from_millis(ms)).as_millis();
        assert_eq!([pause("a", 200, 10), pause("a", 200, 999), pause("a", 404, 10)], [0, 0, 0]);
        assert_eq!([pause("a", 200, 1_500), pause("a", 200, 90_000)], [1_500, 30_000]);
        assert_eq!(
            [pause("a", 429, 1), pause("a", 503, 1), pause("a", 429, 1)],
            [1_000, 2_000, 4_000]
        );
        assert_eq!(pause("b", 200, 1), 0, "another host is not to blame");
        assert_eq!([pause("a", 200, 1), pause("a", 200, 3_500)], [3_000, 3_500]);
        let rest: Vec<u128> = (0..9).map(|_| pause("a", 200, 1)).collect();
        assert_eq!(rest.last(), Some(&0), "{rest:?}: all is forgiven in the end");
        for _ in 0..20 {
            pause("a", 429, 1);
        }
        assert_eq!(pause("a", 429, 1), 60_000);
    }
}
