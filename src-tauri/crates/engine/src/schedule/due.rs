//! Which slots start a run now.
//!
//! The rules for a clock that jumps:
//! - the newest slot dealt with is recorded, and nothing up to it ever starts a run again: a clock
//!   that is set back an hour repeats nothing, and the schedule goes on an hour later;
//! - a record more than a day in the future means that the clock was wrong when it was made. It is
//!   taken back to now, and the user is told, or else the schedule would be silent until then;
//! - a clock that is set forward a year makes a year of missed slots, of which [`MissedRuns`] lets
//!   at most [`MOST_MADE_UP`] through.

use quaero_contract::MissedRuns;

use super::Schedule;

/// How many missed slots are made up for at most.
pub const MOST_MADE_UP: usize = 100;
/// How far in the future a record may lie, in milliseconds.
const MOST_AHEAD_MS: i64 = 24 * 60 * 60 * 1000;
/// How late a slot is not missed yet, in milliseconds.
const ON_TIME_MS: i64 = 60 * 1000;
/// Slots that are left out are counted up to this number.
const MOST_COUNTED: usize = 10_000;

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The slots that start a run, oldest first.
    pub fire: Vec<i64>,
    /// What to record as dealt with: the newest slot, which is the last of `fire` if that has any;
    /// or now, if `clock_was_wrong`. None if there is nothing new.
    pub record: Option<i64>,
    /// Slots that have passed and start no run; more than 10,000 are not counted.
    pub left_out: usize,
    /// Whether the record lay too far in the future, so that the clock was wrong then.
    pub clock_was_wrong: bool,
}

/// Which slots start a run now, when everything up to `last_slot_ms` has been dealt with.
#[must_use]
pub fn due(schedule: &Schedule, last_slot_ms: i64, now_ms: i64, missed: MissedRuns) -> Due {
    if last_slot_ms > now_ms.saturating_add(MOST_AHEAD_MS) {
        return Due { record: Some(now_ms), clock_was_wrong: true, ..Due::default() };
    }
    let most = match missed {
        MissedRuns::Skip | MissedRuns::Once => 1,
        MissedRuns::All => MOST_MADE_UP,
    };
    let mut fire = newest(schedule, last_slot_ms, now_ms, most);
    let (Some(&oldest), Some(&newest)) = (fire.first(), fire.last()) else {
        return Due::default();
    };
    let older = schedule.slots_after(last_slot_ms).take_while(|slot| *slot < oldest);
    let mut left_out = older.take(MOST_COUNTED).count();
    if missed == MissedRuns::Skip && now_ms - newest > ON_TIME_MS {
        left_out += 1;
        fire.clear();
    }
    Due { fire, record: Some(newest), left_out, clock_was_wrong: false }
}

/// The newest slots after one moment and up to another, oldest first. Looks back in growing steps,
/// because there can be half a million of them in a year.
fn newest(schedule: &Schedule, after_ms: i64, until_ms: i64, most: usize) -> Vec<i64> {
    let mut step_ms = ON_TIME_MS;
    loop {
        let from = until_ms.saturating_sub(step_ms).max(after_ms);
        let mut found: Vec<i64> =
            schedule.slots_after(from).take_while(|slot| *slot <= until_ms).collect();
        if found.len() >= most || from == after_ms {
            return found.split_off(found.len().saturating_sub(most));
        }
        step_ms = step_ms.saturating_mul(2);
    }
}
