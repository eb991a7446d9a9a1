//! What can happen to the model, and how often: small definitions, and operations that are possible.

use std::sync::Arc;

use proptest::{prelude::*, sample::select};
use proptest_state_machine::ReferenceStateMachine;
use quaero_contract::{OnError, RerunPart};

use super::*;

/// Runs that are under way at the same time, and those that are remembered.
const MOST_OPEN: usize = 3;
const MOST_RUNS: usize = 8;

/// A small definition.
#[derive(Clone, Debug)]
pub(in crate::machine) struct Definition {
    pub(in crate::machine) steps: Vec<StepPlan>,
    /// So many tasks may fail, and what happens beyond that.
    pub(in crate::machine) tolerance: Option<(u32, FailureAction)>,
    pub(in crate::machine) timeout_ms: Option<i64>,
    /// Only one run of such a definition at a time; later ones are held.
    pub(in crate::machine) alone: bool,
}

#[derive(Clone, Debug)]
pub(in crate::machine) struct StepPlan {
    /// Earlier steps that it waits for.
    pub(in crate::machine) after: Vec<usize>,
    pub(in crate::machine) on_error: OnError,
    pub(in crate::machine) attempts: u32,
    pub(in crate::machine) always: bool,
    /// It runs only if the first step that it waits for ended like this.
    pub(in crate::machine) only_if: Option<JobStatus>,
    /// How many tasks it starts with; none if its manager refuses.
    pub(in crate::machine) first: Option<u8>,
    pub(in crate::machine) lane_limit: u32,
    pub(in crate::machine) timeout_ms: Option<i64>,
}

/// A task, by the number of its run and its place among the tasks of the run.
pub(in crate::machine) type TaskAt = (u32, usize);

/// One thing that happens. Runs go by their numbers.
#[derive(Clone, Debug)]
pub(in crate::machine) enum Op {
    Submit(Arc<Definition>),
    /// The next task of a run is handed out.
    Claim(u32),
    /// Tasks end well and leave nothing behind.
    EndAll(Vec<TaskAt>),
    End(TaskAt, How),
    /// A task writes children while it runs.
    Spawn(TaskAt, Vec<u8>),
    Tick,
    Jump,
    Pause(u32, bool),
    PauseAll(bool),
    Cancel(u32),
    /// The process dies, and another one opens the folder.
    Crash,
    Rerun(u32, RerunPart),
    /// So many of the newest runs are kept.
    Prune(u32),
}

/// How an attempt at a task ends.
#[derive(Clone, Debug)]
pub(in crate::machine) enum How {
    /// Well, with these children.
    Well(Vec<u8>),
    FailsForGood,
    FailsForNow,
    /// The computer is at fault.
    Later,
    /// It was told to stop.
    Interrupted,
}

fn definition() -> impl Strategy<Value = Arc<Definition>> {
    let timeout = || prop_oneof![6 => Just(None), 1 => Just(Some(30)), 1 => Just(Some(300_000))];
    let step = (
        prop::collection::vec(any::<bool>(), 3),
        select(&OnError::ALL[..]),
        1..4_u32,
        prop::bool::weighted(0.2),
        prop_oneof![4 => Just(None), 1 => Just(Some(Completed)), 1 => Just(Some(Failed))],
        prop_oneof![1 => Just(None), 1 => Just(Some(0)), 12 => (1..4_u8).prop_map(Some)],
        prop_oneof![3 => Just(u32::MAX), 1 => 1..4_u32],
        timeout(),
    );
    let tolerance = (1..4_u32, select(&[StopAll, Continue, MarkWarning][..]));
    (
        prop::collection::vec(step, 1..=4),
        prop::option::weighted(0.3, tolerance),
        timeout(),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(steps, tolerance, timeout_ms, alone)| {
            let steps = steps.into_iter().enumerate().map(
                |(
                    n,
                    (before, on_error, attempts, always, only_if, first, lane_limit, timeout_ms),
                )| {
                    let after: Vec<usize> = (0..n).filter(|step| before[*step]).collect();
                    // A condition is about one step.
                    let only_if = only_if.filter(|_| after.len() == 1);
                    StepPlan {
                        after,
                        on_error,
                        attempts,
                        always,
                        only_if,
                        first,
                        lane_limit,
                        timeout_ms,
                    }
                },
            );
            Arc::new(Definition { steps: steps.collect(), tolerance, timeout_ms, alone })
        })
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..8_u8, 0..4)
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => keys().prop_map(How::Well),
        3 => Just(How::FailsForGood),
        2 => Just(How::FailsForNow),
        1 => Just(How::Later),
        2 => Just(How::Interrupted),
    ]
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self { now_ms: 1_000_000, ..Self::default() }).boxed()
    }

    fn transitions(model: &Self) -> BoxedStrategy<Op> {
        let open: Vec<u32> = model.open().map(|run| run.number).collect();
        let ended: Vec<u32> =
            model.runs.iter().filter(|run| !run.is_open()).map(|run| run.number).collect();
        let running = model.running();
        let mut ops: Vec<(u32, BoxedStrategy<Op>)> = vec![
            (2, Just(Op::Tick).boxed()),
            (2, Just(Op::Jump).boxed()),
            (1, Just(Op::PauseAll(!model.paused)).boxed()),
            (2, Just(Op::Crash).boxed()),
        ];
        if open.len() < MOST_OPEN && model.runs.len() < MOST_RUNS {
            ops.push((6, definition().prop_map(Op::Submit).boxed()));
        }
        if !open.is_empty() {
            ops.push((14, select(open.clone()).prop_map(Op::Claim).boxed()));
            ops.push((1, select(open.clone()).prop_map(Op::Cancel).boxed()));
            let pause = (select(open), any::<bool>());
            ops.push((2, pause.prop_map(|(run, pause)| Op::Pause(run, pause)).boxed()));
        }
        if !running.is_empty() {
            let end = (select(running.clone()), how());
            ops.push((12, end.prop_map(|(task, how)| Op::End(task, how)).boxed()));
            let spawn = (select(running.clone()), keys());
            ops.push((2, spawn.prop_map(|(task, keys)| Op::Spawn(task, keys)).boxed()));
            let some = prop::sample::subsequence(running.clone(), 1..=running.len());
            ops.push((6, some.prop_map(Op::EndAll).boxed()));
        }
        if !ended.is_empty() {
            ops.push((1, (0..4_u32).prop_map(Op::Prune).boxed()));
            if model.open().count() < MOST_OPEN && model.runs.len() < MOST_RUNS {
                let part = prop_oneof![
                    1 => Just(RerunPart::Whole),
                    3 => Just(RerunPart::Failed),
                    2 => (0..4_usize).prop_map(|step| RerunPart::From(step_name(step))),
                ];
                let rerun = (select(ended), part).prop_map(|(run, part)| Op::Rerun(run, part));
                ops.push((3, rerun.boxed()));
            }
        }
        proptest::strategy::Union::new_weighted(ops).boxed()
    }

    fn preconditions(model: &Self, op: &Op) -> bool {
        let is_open = |number: u32| model.run(number).is_some_and(Run::is_open);
        let runs = |(number, at): &TaskAt| {
            let task = model.run(*number).and_then(|run| run.tasks.get(*at));
            task.is_some_and(|task| task.status == Running)
        };
        match op {
            Op::Submit(_) | Op::Jump | Op::Crash | Op::Prune(_) => true,
            Op::Tick => model.ticks < TICKS,
            Op::PauseAll(pause) => *pause != model.paused,
            Op::Claim(run) | Op::Pause(run, _) | Op::Cancel(run) => is_open(*run),
            Op::End(task, _) | Op::Spawn(task, _) => runs(task),
            Op::EndAll(tasks) => tasks.iter().all(runs),
            Op::Rerun(run, _) => model.run(*run).is_some_and(|run| !run.is_open()),
        }
    }

    fn apply(mut model: Self, op: &Op) -> Self {
        model.perform(op);
        model
    }
}

pub(in crate::machine) fn step_name(step: usize) -> String {
    format!("s{step}")
}
