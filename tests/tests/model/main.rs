//! Every order in which claims, reports, retries, spawned children, cancels, pauses, kills, stops
//! and a wrong clock can meet, within bounds: none breaks a promise of the engine.
//!
//! `protocol` says what the engine does; here is what must be true, and the proof that the model
//! would find an engine that does otherwise.

mod commit;
mod flaw;
mod protocol;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use quaero_contract::JobStatus;
use quaero_tests::note;
use stateright::{Checker, HasDiscoveries, Model, Path, Property};

use flaw::Flaw;
use protocol::{Action, Bounds, CHILD, Fault, PARENT, Phase, Rules, SPAWNER, Slot, State, index};

const N: usize = JobStatus::ALL.len();

struct Engine {
    bounds: Bounds,
    flaw: Option<Flaw>,
    /// The transitions that were made, from and to.
    seen: [[AtomicBool; N]; N],
}

impl Engine {
    fn new(bounds: Bounds, flaw: Option<Flaw>) -> Self {
        Self { bounds, flaw, seen: Default::default() }
    }

    fn with_rules<T>(&self, then: impl FnOnce(&Rules<'_>) -> T) -> T {
        let seen = |from: JobStatus, to: JobStatus| {
            self.seen[index(from)][index(to)].store(true, Relaxed);
        };
        then(&Rules { bounds: self.bounds, flaw: self.flaw, seen: &seen })
    }
}

impl Model for Engine {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::accepted(self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.with_rules(|rules| state.actions(rules, actions));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        self.with_rules(|rules| next.act(rules, action));
        if self.flaw.is_none() {
            assert!(
                next.rank(self.bounds) < last.rank(self.bounds),
                "{action:?} brings nothing nearer to its end: {last:?}"
            );
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        PROMISES.iter().map(|(name, holds)| Property::always(name, *holds)).collect()
    }
}

type Way = Path<State, Action>;
type Promise = (&'static str, fn(&Engine, &State) -> bool);

const NO_JOB_LOST: &str = "no job is lost";
const EFFECT_ONCE: &str = "a result is recorded exactly once";
const CHILDREN_ONCE: &str = "children are written exactly once, with the work that spawned them";
const STALE: &str = "a report without a lease changes nothing";
const ONE_HOLDER: &str = "a lease is held by one live worker at most";
const LEASED: &str = "a job is leased while it runs, and only then";
const PARENT_LAST: &str = "a job ends after its children";
const PARENT_AT_ONCE: &str = "a job ends with the last of its children, in the same commit";
const TABLE: &str = "nothing moves but along the table, and nothing finished moves";
const CANCEL: &str = "after a cancel nothing starts";
const PAUSE: &str = "in a pause nothing starts";
const COUNTERS: &str = "the counters equal the jobs";
const ATTEMPTS: &str = "no task is tried too often";
const QUIET: &str = "when nothing happens by itself any more, everything has ended";

/// What is true of every state. The last one is the promise that everything ends: because every
/// action lowers [`State::rank`], no behaviour goes on for ever, and each ends in such a state.
const PROMISES: &[Promise] = &[
    (NO_JOB_LOST, |engine, state| {
        let plain = (CHILD + 1..).take(engine.bounds.plain);
        let live = matches!(state.phase, Phase::Up | Phase::Stopping);
        let accepted = [PARENT, SPAWNER].into_iter().chain(plain);
        accepted.into_iter().all(|job| state.rows[job].is_some())
            // What runs is with someone, unless its process is dead and the next has not looked.
            && (!live || state.tasks().all(|(job, row)| {
                row.status != JobStatus::Running || holders(state, job) > 0
            }))
    }),
    (EFFECT_ONCE, |_, state| {
        state.tasks().all(|(_, row)| match row.effects {
            0 => row.status != JobStatus::Completed,
            1 => matches!(row.status, JobStatus::Completed | JobStatus::Waiting),
            _ => false,
        })
    }),
    (CHILDREN_ONCE, |_, state| {
        let spawner = state.rows[SPAWNER].expect("it was accepted");
        let written = state.rows[CHILD].is_some();
        let must = spawner.effects > 0 && !state.cancelled;
        spawner.spawned == u8::from(written) && (written || !must)
    }),
    (STALE, |_, state| !state.has(Fault::StaleReportTaken)),
    (ONE_HOLDER, |_, state| state.tasks().all(|(job, _)| holders(state, job) <= 1)),
    (LEASED, |_, state| {
        state.jobs().all(|(_, row)| (row.status == JobStatus::Running) == row.lease.is_some())
    }),
    (PARENT_LAST, |_, state| {
        state.jobs().all(|(job, row)| {
            let open = state.open_children(job);
            usize::from(row.open) == open && (open == 0 || !row.status.is_terminal())
        })
    }),
    (PARENT_AT_ONCE, |_, state| {
        state
            .jobs()
            .all(|(job, row)| row.status != JobStatus::Waiting || state.open_children(job) > 0)
    }),
    (TABLE, |_, state| !state.has(Fault::IllegalTransition)),
    (CANCEL, |_, state| {
        let waits = state.tasks().any(|(_, row)| row.status == JobStatus::Pending);
        let started = state.has(Fault::StartedAfterCancel);
        !started && (!state.cancelled || !waits)
    }),
    (PAUSE, |_, state| !state.has(Fault::StartedInPause)),
    (COUNTERS, |_, state| {
        JobStatus::ALL.into_iter().all(|status| {
            let found = state.tasks().filter(|(_, row)| row.status == status).count();
            usize::from(state.counts[index(status)]) == found
        })
    }),
    (ATTEMPTS, |engine, state| {
        let Bounds { attempts, poison, .. } = engine.bounds;
        let live = state.phase == Phase::Up;
        state.tasks().all(|(_, row)| {
            let given_up = row.recoveries >= poison;
            let tried = matches!(row.status, JobStatus::Pending | JobStatus::Running);
            row.attempt <= attempts + row.recoveries && !(live && given_up && tried)
        })
    }),
    (QUIET, |engine, state| {
        let ended = state.jobs().all(|(_, row)| row.status.is_terminal());
        ended || state.paused || {
            let mut next = Vec::new();
            engine.actions(state, &mut next);
            next.into_iter().any(Action::comes_by_itself)
        }
    }),
];

/// How many live workers have a task.
fn holders(state: &State, job: usize) -> usize {
    let has = |slot: &&Slot| match slot {
        Slot::Idle | Slot::Chosen(_) => false,
        Slot::Working(lease) | Slot::Reporting(lease, _) => lease.job == job,
    };
    state.slots.iter().filter(has).count()
}

/// A task, its child, a cancel and a kill; the others add to it.
const FEW: Bounds = Bounds {
    plain: 0,
    workers: 2,
    attempts: 2,
    poison: 2,
    crashes: 1,
    stops: 0,
    jumps: 0,
    pauses: 0,
};
const THREE: Bounds = Bounds { plain: 1, attempts: 1, ..FEW };
const KILLS: Bounds = Bounds { crashes: 2, attempts: 1, ..FEW };
const STOP: Bounds = Bounds { stops: 1, attempts: 1, ..FEW };
const CLOCK: Bounds = Bounds { jumps: 1, ..FEW };
const PAUSED: Bounds = Bounds { pauses: 1, ..FEW };
const ALL: Bounds = Bounds { jumps: 1, pauses: 1, ..STOP };

/// The shortest way to a state in which a promise is not kept, if there is one.
fn counterexample(bounds: Bounds, flaw: Option<Flaw>, promise: &'static str) -> Option<Way> {
    // The search keeps the last way that it finds at once, so it is let go only a step further at
    // a time.
    (1..60).find_map(|depth| {
        let checker = Engine::new(bounds, flaw).checker();
        let checker = checker.target_max_depth(depth);
        let checker = checker.finish_when(HasDiscoveries::AnyOf([promise].into()));
        checker.spawn_bfs().join().discovery(promise)
    })
}

/// Explores every state, and fails with the shortest way to a bad one. Returns the transitions that
/// were made.
fn check(bounds: Bounds) -> BTreeSet<(&'static str, &'static str)> {
    let checker = Engine::new(bounds, None).checker().threads(2).spawn_bfs().join();
    if let Some(promise) = checker.discoveries().into_keys().next() {
        let way = counterexample(bounds, None, promise).expect("there is one");
        let last = way.last_state().clone();
        panic!("not kept: {promise}\n{:#?}\n{last:#?}", way.into_actions());
    }
    assert!(checker.is_done(), "it was cut short");
    note(&format!(
        "{bounds:?}: {} states, {} of them different, {} steps deep",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    ));
    let seen = &checker.model().seen;
    let pairs = JobStatus::ALL.into_iter().flat_map(|from| JobStatus::ALL.map(|to| (from, to)));
    pairs
        .filter(|(from, to)| seen[index(*from)][index(*to)].load(Relaxed))
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect()
}

#[test]
fn no_order_of_events_breaks_a_promise() {
    let rows = [THREE, KILLS, STOP, CLOCK, PAUSED, ALL];
    let mut seen = BTreeSet::new();
    for bounds in rows {
        seen.extend(check(bounds));
    }
    // What the table allows and the model does not do is done by runs and steps, not by tasks.
    let elsewhere = [("pending", "completed"), ("pending", "skipped"), ("waiting", "pending")];
    for from in JobStatus::ALL {
        for to in JobStatus::ALL.into_iter().filter(|to| from.may_become(*to)) {
            let pair = (from.as_str(), to.as_str());
            assert_ne!(
                seen.contains(&pair),
                elsewhere.contains(&pair),
                "the table and the model differ about {from} → {to}"
            );
        }
    }
}

#[test]
fn every_flaw_is_found_and_every_promise_can_fail() {
    const FLAWS: &[(Flaw, Bounds, &str)] = &[
        (Flaw::NoLease, FEW, EFFECT_ONCE),
        (Flaw::NoLease, FEW, TABLE),
        (Flaw::LeaseWithoutAttempt, FEW, STALE),
        (Flaw::LeaseWithoutEpoch, STOP, STALE),
        (Flaw::LeaseIsKept, FEW, LEASED),
        (Flaw::LeaseEndsByTheClock, CLOCK, ONE_HOLDER),
        (Flaw::ClaimInTwoStatements, FEW, ONE_HOLDER),
        (Flaw::ClaimIgnoresPause, PAUSED, PAUSE),
        (Flaw::ParentInSecondCommit, FEW, PARENT_AT_ONCE),
        (Flaw::ParentWithItsFirstChild, THREE, PARENT_LAST),
        (Flaw::SpawnInSecondCommit, FEW, CHILDREN_ONCE),
        (Flaw::SpawnWithoutKey, FEW, CHILDREN_ONCE),
        (Flaw::SpawnIgnoresCancel, FEW, CANCEL),
        (Flaw::RetryIgnoresCancel, FEW, CANCEL),
        (Flaw::RetryIsForgotten, FEW, QUIET),
        (Flaw::CancelMissesGrandchildren, FEW, CANCEL),
        (Flaw::CancelMissesThoseThatWait, FEW, PARENT_AT_ONCE),
        (Flaw::RecoveryForgetsCancel, FEW, CANCEL),
        (Flaw::NothingIsTakenBack, FEW, NO_JOB_LOST),
        (Flaw::NothingIsPoison, KILLS, ATTEMPTS),
        (Flaw::CountersInSecondCommit, FEW, COUNTERS),
    ];
    for (flaw, bounds, promise) in FLAWS {
        let way = counterexample(*bounds, Some(*flaw), promise);
        let way = way.unwrap_or_else(|| panic!("{flaw:?} goes unnoticed: {promise}"));
        note(&format!("{flaw:?}, not kept: {promise}: {:?}", way.into_actions()));
    }
    for (promise, _) in PROMISES {
        let shown = FLAWS.iter().any(|row| row.2 == *promise);
        assert!(shown, "nothing shows that it can fail: {promise}");
    }
}
