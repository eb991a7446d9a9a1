//! How fast a host is asked, from how it answers: who is slow or says that it is too much is left alone
//! for longer than the step's own pause, and who has given nothing for long is not asked at all, or a
//! site that is down would hold up a run for days.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use url::Url;

/// An answer that takes longer to begin comes from a host that has enough to do.
const SLOW: Duration = Duration::from_secs(1);
/// The longest pause that a slow answer leads to.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// The pause after the first refusal; it doubles with each.
const FIRST_BRAKE: Duration = Duration::from_secs(1);
const LONGEST_BRAKE: Duration = Duration::from_secs(60);
/// A shorter brake is none.
const LEAST_BRAKE: Duration = Duration::from_millis(250);
/// A host is down when it has failed so often in a row …
const FAILURES: u32 = 10;
/// … for so long, in milliseconds.
const PATIENCE_MS: i64 = 5 * 60 * 1_000;
/// It is asked again after so long, in milliseconds.
const DOWN_MS: i64 = 10 * 60 * 1_000;
/// So often its pages wait for that; after that they fail. The computer itself may have been cut off.
const WAITS: u32 = 3;
/// Failures that are further apart, in milliseconds, are not in a row.
const ROW_MS: i64 = 3 * DOWN_MS;
/// More hosts are not remembered at once; forgetting them only costs them a refusal.
const HOSTS: usize = 10_000;

/// What is known of all hosts. It is lost with the process, and learned again.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    hosts: Mutex<HashMap<String, Host>>,
}

#[derive(Debug, Default)]
struct Host {
    brake: Duration,
    row: Row,
}

/// Failures in a row.
#[derive(Debug, Default)]
struct Row {
    failures: u32,
    since_ms: i64,
    last_ms: i64,
    /// Until then the host is not asked.
    down_until_ms: i64,
    times_down: u32,
}

/// A host that is not asked for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Down {
    /// For how long it has given nothing.
    pub(super) minutes: i64,
    /// Until it is asked again; none if that has been waited for often enough.
    pub(super) wait_ms: Option<u64>,
}

impl Throttle {
    /// Takes note of an answer and how long it took to begin. Returns how long the host is left alone.
    pub(super) fn pause(&self, url: &Url, status: u16, first_byte: Duration) -> Duration {
        let brake = self.change(url, |host| {
            let brake = host.brake;
            host.brake = match status {
                429 | 503 => (brake * 2).clamp(FIRST_BRAKE, LONGEST_BRAKE),
                _ => Some(brake * 3 / 4).filter(|brake| *brake >= LEAST_BRAKE).unwrap_or_default(),
            };
            host.brake
        });
        let rest = if first_byte >= SLOW { first_byte.min(LONGEST_REST) } else { Duration::ZERO };
        brake.max(rest)
    }

    /// Takes note of whether a host gave something, be it a refusal, or failed in a way that may pass.
    pub(super) fn note(&self, url: &Url, failed: bool, now_ms: i64) {
        self.change(url, |host| {
            if !failed {
                host.row = Row::default();
                return;
            }
            let row = &mut host.row;
            // What was long ago, or later than now, says nothing of today.
            if row.failures == 0 || !(0..=ROW_MS).contains(&(now_ms - row.last_ms)) {
                *row = Row { since_ms: now_ms, ..Row::default() };
            }
            row.failures = row.failures.saturating_add(1);
            row.last_ms = now_ms;
            let over = now_ms >= row.down_until_ms;
            if over && row.failures >= FAILURES && now_ms - row.since_ms >= PATIENCE_MS {
                row.down_until_ms = now_ms.saturating_add(DOWN_MS);
                row.times_down += 1;
            }
        });
    }

    /// For how long a host has been down, and what its pages do meanwhile; none if it may be asked.
    pub(super) fn down(&self, url: &Url, now_ms: i64) -> Option<Down> {
        self.change(url, |host| {
            let row = &host.row;
            let left_ms = row.down_until_ms - now_ms;
            (1..=DOWN_MS).contains(&left_ms).then(|| Down {
                minutes: (now_ms - row.since_ms) / 60_000,
                wait_ms: (row.times_down <= WAITS).then_some(left_ms.unsigned_abs()),
            })
        })
    }

    fn change<T>(&self, url: &Url, change: impl FnOnce(&mut Host) -> T) -> T {
        let port = url.port_or_known_default().unwrap_or_default();
        let name = format!("{}:{port}", url.host_str().unwrap_or_default());
        // A panic while the lock is held cannot leave the map half-changed.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut host = hosts.remove(&name).unwrap_or_default();
        let changed = change(&mut host);
        if !host.brake.is_zero() || host.row.failures > 0 {
            if hosts.len() >= HOSTS {
                hosts.clear();
            }
            hosts.insert(name, host);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Url {
        Url::parse(&format!("https://{name}.example/page")).expect("an address")
    }

    #[test]
    fn a_host_that_has_failed_often_and_for_long_is_down_for_a_while() {
        let throttle = Throttle::default();
        let (url, minute) = (host("a"), 60_000);
        let fail = |at: i64| throttle.note(&url, true, at * minute);
        let down = |at: i64| {
            let down = throttle.down(&url, at * minute);
            down.map(|down| (down.minutes, down.wait_ms.map(|ms| ms / 60_000)))
        };
        for failure in 0..50 {
            throttle.note(&url, true, failure);
        }
        assert_eq!(down(1), None, "often, but not for long");
        fail(5);
        assert_eq!(down(5), Some((5, Some(10))), "its pages wait");
        assert_eq!(throttle.down(&host("b"), 5 * minute), None, "another host");
        assert_eq!(down(14), Some((14, Some(1))));
        assert_eq!(down(-1), None, "the clock was set back");
        assert_eq!(down(15), None, "it is asked again");
        for again in [15, 25] {
            fail(again);
            assert_eq!(down(again + 1), Some((again + 1, Some(9))), "and again");
        }
        fail(35);
        assert_eq!(down(36), Some((36, None)), "now they fail");
        throttle.note(&url, false, 45 * minute);
        fail(46);
        assert_eq!(down(46), None, "it has answered meanwhile");
        for at in [50, 53] {
            fail(at);
        }
        assert_eq!(down(53), None, "for long, but not often");
        for failure in 0..20 {
            throttle.note(&url, true, (90 + failure) * minute);
        }
        assert_eq!(down(110), Some((20, Some(9))), "what was long before does not count");
    }

    #[test]
    fn a_host_is_left_alone_as_it_answers() {
        let throttle = Throttle::default();
        let pause = |name: &str, status, ms| {
            throttle.pause(&host(name), status, Duration::from_millis(ms)).as_millis()
        };
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
