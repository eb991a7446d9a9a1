//! `kill -9` at random moments: 104 times in all, ten times as often with `QUAERO_LONG=1`.

use std::time::Duration;

use quaero_tests::{
    crash::kill::{KillLoop, Moment, Survived},
    workers::Script,
};
use tempfile::tempdir;

use super::{driver, is_long};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn check(times: u32, moments: &[Moment], scripts: &[Script]) -> Survived {
    let rounds = if is_long() { 10 } else { 1 };
    let mut all = Survived::default();
    for _ in 0..rounds {
        let folder = tempdir().expect("a folder");
        let runs =
            scripts.iter().enumerate().map(|(n, script)| (format!("run {n}"), script.clone()));
        let survived = KillLoop::new(driver(), &folder.path().join("data"), runs.collect())
            .survive(times, moments);
        all.kills += survived.kills;
        all.cut_checkpoints += survived.cut_checkpoints;
        all.poisoned += survived.poisoned;
    }
    all
}

/// Enough to do for all the kills.
fn work() -> [Script; 2] {
    [
        Script { flaky_every: 5, early: true, takes_ms: 20, ..Script::tree(5, 3) },
        Script { fail_every: 6, takes_ms: 20, ..Script::tree(4, 4) },
    ]
}

#[test]
fn an_engine_that_is_killed_at_work_loses_nothing_and_does_nothing_twice() {
    let survived = check(28, &[Moment::AtWork(ms(40))], &work());
    assert!(survived.kills >= 10, "only {} kills met a live process", survived.kills);
}

#[test]
fn an_engine_that_is_killed_while_it_starts_starts_again() {
    let survived = check(
        32,
        &[Moment::Within(ms(20)), Moment::Within(ms(100)), Moment::AtWork(ms(5))],
        &work(),
    );
    assert!(survived.kills >= 20, "only {} kills met a live process", survived.kills);
}

#[test]
fn an_engine_that_is_killed_while_it_stops_goes_on() {
    let survived = check(28, &[Moment::InStop(ms(30))], &work());
    assert!(survived.kills >= 5, "only {} kills met a live process", survived.kills);
}

#[test]
fn an_engine_that_is_killed_while_it_folds_its_log_loses_nothing() {
    // A few documents of this size fill the log.
    let large = Script { text_bytes: 600_000, ..Script::tree(8, 2) };
    let survived = check(16, &[Moment::InCheckpoint(ms(3))], &[large]);
    let cut = survived.cut_checkpoints;
    assert!(cut >= 2, "only {cut} of {} kills cut a checkpoint short", survived.kills);
}
