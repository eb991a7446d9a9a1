//! A clock that jumps, before a start and under a working engine, while something waits for a time:
//! nothing is stuck, nothing expires that did not take its time, and every wait has its end.
//!
//! (What schedules do then is tested with the schedules.)

use std::{sync::Arc, time::Duration};

use quaero_contract::{JobId, JobStatus, LogLevel, LogQuery, OnError};
use quaero_engine::{Adopt, Clock, Engine, EngineOptions, Threads};
use quaero_store::{Access, NewRun, Store};
use quaero_tests::workers::{Conduct, Manual, Script, registry};
use tempfile::tempdir;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const YEAR: i64 = 365 * 24 * HOUR;
/// In 2026.
const NOW: i64 = 56 * YEAR;

/// Where the clock is after its jump.
const JUMPS: [(&str, i64); 4] =
    [("a year on", NOW + YEAR), ("a year back", NOW - YEAR), ("1970", 5), ("2100", 130 * YEAR)];

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// A task that has failed once, for its second attempt.
    ForAttempt,
    /// A step that has failed once, for its second attempt.
    ForStep,
    /// A task for its turn in a lane that starts one each minute.
    ForLane,
    /// A run for its timeout, an hour after it was accepted.
    ForRunTimeout,
    /// A step for its.
    ForStepTimeout,
    /// A run for its timeout, and it is paused when the clock jumps.
    Paused,
}

const ALL: [Waits; 6] = [
    Waits::ForAttempt,
    Waits::ForStep,
    Waits::ForLane,
    Waits::ForRunTimeout,
    Waits::ForStepTimeout,
    Waits::Paused,
];

impl Waits {
    fn run(self) -> NewRun {
        let script = match self {
            Self::ForAttempt => Script { flaky_every: 1, ..Script::tree(0, 0) },
            Self::ForStep => Script { fail_every: 1, ..Script::tree(0, 0) },
            Self::ForLane => Script { delay_ms: 60_000, ..Script::tree(2, 1) },
            _ => Script { hangs: true, ..Script::tree(0, 0) },
        };
        // Documents are made on threads of their own, for which nothing here waits.
        let mut run = Script { silent: true, ..script }.run("waits");
        let step = &mut run.steps[0];
        step.task_timeout_ms = u64::try_from(10 * HOUR).expect("positive");
        match self {
            Self::ForAttempt | Self::ForLane => {}
            Self::ForStep => (step.on_error, step.max_attempts) = (OnError::Retry, 2),
            Self::ForStepTimeout => step.timeout_ms = Some(HOUR.unsigned_abs()),
            Self::ForRunTimeout | Self::Paused => run.timeout_ms = Some(HOUR.unsigned_abs()),
        }
        run
    }

    /// How it ends, and how much time must pass before, at least and at most.
    const fn end(self) -> (JobStatus, i64, i64) {
        match self {
            Self::ForAttempt => (JobStatus::Completed, 0, 5 * SECOND),
            Self::ForStep => (JobStatus::Failed, 0, 5 * SECOND),
            Self::ForLane => (JobStatus::Completed, 0, 180 * SECOND),
            Self::ForRunTimeout | Self::ForStepTimeout | Self::Paused => {
                let status = match self {
                    Self::ForStepTimeout => JobStatus::Completed,
                    _ => JobStatus::Failed,
                };
                (status, HOUR - 60 * SECOND, HOUR + 60 * SECOND)
            }
        }
    }
}

struct Place {
    store: Store,
    engine: Engine,
    clock: Manual,
}

impl Place {
    async fn open(folder: &std::path::Path, clock: &Manual) -> Self {
        let store = Store::open(folder, Access::Write, clock.now_ms()).await.expect("opened");
        let workers = registry(Conduct { hold: true, ..Conduct::default() });
        let options = EngineOptions { adopt: Adopt::All, width: 8, threads: Threads::Shared };
        let engine = Engine::start(store.clone(), workers, Arc::new(clock.clone()), options);
        Self { store, engine: engine.await.expect("started"), clock: clock.clone() }
    }

    /// Lets everything happen that can happen without a time passing.
    async fn settle(&self) {
        for _ in 0..10 {
            self.store.write(|_| Ok(())).await.expect("written");
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn status(&self, run: JobId) -> JobStatus {
        self.store.run_progress(run).await.expect("readable").expect("there").status
    }

    /// How much time passes until the run ends.
    async fn time_to_end(&self, run: JobId, step_ms: i64, what: &str) -> i64 {
        let mut passed = 0;
        while !self.status(run).await.is_terminal() {
            assert!(passed < 3 * HOUR, "{what}: it is stuck");
            self.clock.pass(step_ms);
            passed += step_ms;
            self.settle().await;
        }
        passed
    }
}

async fn check(waits: Waits, restarts: bool, (jump, to): (&str, i64)) {
    let what = format!("{waits:?}, jump to {jump}, restart: {restarts}");
    let (folder, clock) = (tempdir().expect("a folder"), Manual::at(NOW));
    let mut place = Place::open(folder.path(), &clock).await;
    let run = place.engine.submit(waits.run()).await.expect("accepted");
    place.settle().await;
    if waits == Waits::Paused {
        place.engine.pause(run).await.expect("paused");
    }
    if restarts {
        place.engine.stop(Duration::ZERO).await;
        place.store.close(clock.now_ms()).await.expect("closed");
        clock.set(to);
        place = Place::open(folder.path(), &clock).await;
    } else {
        clock.set(to);
    }
    place.settle().await;
    if waits == Waits::Paused {
        place.engine.resume(run).await.expect("resumed");
    }
    let (status, least, most) = waits.end();
    let step_ms = if most > HOUR { 60 * SECOND } else { SECOND };
    let passed = place.time_to_end(run, step_ms, &what).await;
    assert!((least..=most).contains(&passed), "{what}: it ended after {} s", passed / SECOND);
    assert_eq!(place.status(run).await, status, "{what}");
    assert_eq!(place.store.inconsistencies().await.expect("readable"), [""; 0], "{what}");
    place.engine.stop(Duration::ZERO).await;
    let told = match (restarts, to < NOW) {
        (false, true) => Some("clock was set back by"),
        (false, false) => Some("or its clock set forward, by"),
        (true, true) => Some("behind what it was when Quaero last ran"),
        // Quaero may simply not have been used for so long.
        (true, false) => None,
    };
    let log = place.store.logs().read(&all_of(run)).await.expect("readable").lines;
    let found = |part: &str| log.iter().any(|line| line.message.contains(part));
    assert!(told.is_none_or(found), "{what}: the user is not told: {log:?}");
    place.store.close(clock.now_ms()).await.expect("closed");
}

fn all_of(run: JobId) -> LogQuery {
    LogQuery { run, job: None, min_level: LogLevel::Debug, after: None, limit: 100 }
}

#[tokio::test]
async fn a_clock_that_jumps_holds_nothing_up_and_lets_nothing_expire() {
    for waits in ALL {
        for jump in JUMPS {
            for restarts in [false, true] {
                check(waits, restarts, jump).await;
            }
        }
    }
}
