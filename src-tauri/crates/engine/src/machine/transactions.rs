//! The operations as transactions on a real database: what a processor would ask for, one at a time,
//! and nothing else. Of time it knows only what commits tell it, as the processor does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use quaero_contract::JobId;
use quaero_store::{Change, Durability, Keep, LaneState, Lease, Reuse, Store, TaskRow, Tx};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    sync::broadcast::{Receiver, error::TryRecvError},
};

use super::{
    LANE, Manager, config, expected, folder, found, new_run,
    reference::{How, Model, Op, Run, TaskAt},
    step_name, task, tasks,
};
use crate::{
    complete::{Done, Ending, Recorded, complete, complete_all, spawn},
    coordinator::{advance, cancel, rows},
    engine::{memo_keys, take_back},
    work::{NewTask, Outcome, Registry, Retry, TaskError},
};

struct Transactions {
    runtime: Runtime,
    folder: TempDir,
    /// Open at all times but in a crash.
    store: Option<Store>,
    changes: Option<Receiver<Arc<[Change]>>>,
    registry: Registry,
    runs: BTreeMap<u32, JobId>,
    leases: BTreeMap<TaskAt, Lease>,
    /// Leases of processes that have died.
    lost: Vec<Lease>,
    /// When each run has to be asked again, as the commits have told.
    wakes: BTreeMap<JobId, i64>,
    /// Runs that had ended when they were compared; they are compared again in the end.
    over: BTreeSet<u32>,
}

impl Transactions {
    fn new(now_ms: i64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut machine = Self {
            runtime: runtime.expect("a runtime"),
            folder: folder(),
            store: None,
            changes: None,
            registry: Registry::default().with_manager(Manager),
            runs: BTreeMap::new(),
            leases: BTreeMap::new(),
            lost: Vec::new(),
            wakes: BTreeMap::new(),
            over: BTreeSet::new(),
        };
        machine.open(now_ms);
        machine
    }

    fn open(&mut self, now_ms: i64) {
        let open = Store::open_writer(self.folder.path(), Durability::System, now_ms);
        let store = self.runtime.block_on(open).expect("it opens");
        self.changes = Some(store.changes().expect("it writes"));
        self.store = Some(store);
        let open = self.write(move |tx, registry| {
            let (open, back) = take_back(tx, registry, now_ms)?;
            assert_eq!(back, 0, "the clock stands still");
            open.into_iter().try_for_each(|run| tx.adopt_run(run).map(|_| ()))?;
            tx.open_runs()
        });
        self.ask(open, now_ms);
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    /// Commits, and hears what that tells.
    fn write<T: Send + 'static>(
        &mut self,
        change: impl FnOnce(&mut Tx, &Registry) -> quaero_store::Result<T> + Send + 'static,
    ) -> T {
        let registry = self.registry.clone();
        let written = self.store().write(move |tx| change(tx, &registry));
        let value = self.runtime.block_on(written).expect("the store takes it");
        let changes = self.changes.as_mut().expect("it is open");
        loop {
            match changes.try_recv() {
                Ok(told) => {
                    for change in told.iter() {
                        match change {
                            Change::Wake { run, at_ms: Some(at) } => {
                                self.wakes.insert(*run, *at);
                            }
                            Change::Wake { run, at_ms: None } => {
                                self.wakes.remove(run);
                            }
                            _ => {}
                        }
                    }
                }
                Err(TryRecvError::Empty) => return value,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Has the coordinator look at runs.
    fn ask(&mut self, runs: Vec<JobId>, now_ms: i64) {
        for run in runs {
            self.write(move |tx, registry| advance(tx, run, registry, now_ms));
        }
    }

    fn perform(&mut self, model: &Model, op: &Op) {
        let now_ms = model.now_ms;
        match op {
            Op::Submit(_) | Op::Rerun(..) => {
                let run = model.runs.last().expect("it was accepted");
                let reuse = run
                    .again
                    .as_ref()
                    .map(|(earlier, part)| Reuse { run: self.runs[earlier], part: part.clone() });
                let number = run.number;
                let mut run = new_run(number, &run.definition, reuse);
                memo_keys(&mut run, &self.registry);
                let id = self.write(move |tx, registry| {
                    let (id, new) = tx.create_run(&run, now_ms)?;
                    assert!(new, "each is another request");
                    assert_eq!(tx.create_run(&run, now_ms)?, (id, false), "the same request");
                    advance(tx, id, registry, now_ms)?;
                    Ok(id)
                });
                self.runs.insert(number, id);
            }
            Op::Claim(number) => self.claim(model, *number),
            Op::EndAll(tasks) => {
                let leases: Vec<Lease> = tasks.iter().map(|task| self.take_lease(*task)).collect();
                let count = leases.len();
                let held =
                    self.write(move |tx, registry| complete_all(tx, &leases, registry, now_ms));
                assert_eq!(held, count, "all leases hold");
            }
            Op::End(at, how) => {
                let lease = self.take_lease(*at);
                let ending = ending(model, *at, how);
                let recorded = self
                    .write(move |tx, registry| complete(tx, lease, &ending, &[], registry, now_ms));
                assert_ne!(recorded, Recorded::Stale, "the lease holds");
                // An attempt that is given back is the same one when it is made.
                if !matches!(how, How::Later | How::Interrupted) {
                    self.lost.push(lease);
                }
            }
            Op::Spawn(at, keys) => {
                let lease = self.leases[at];
                let children = children(model, *at, keys);
                self.write(move |tx, _| spawn(tx, lease, &children, now_ms));
            }
            Op::Tick | Op::Jump => {
                // One that is due may make another one due.
                let mut asked = BTreeSet::new();
                while let Some(run) = self.next_due(now_ms, &asked) {
                    asked.insert(run);
                    self.wakes.remove(&run);
                    self.ask(vec![run], now_ms);
                }
            }
            Op::Pause(number, pause) => {
                let (run, pause) = (self.runs[number], *pause);
                self.write(move |tx, registry| {
                    tx.pause_run(run, pause, now_ms)?;
                    advance(tx, run, registry, now_ms)
                });
            }
            Op::PauseAll(pause) => {
                let pause = *pause;
                let open = self.write(move |tx, _| {
                    tx.pause_engine(pause, now_ms)?;
                    tx.open_runs()
                });
                self.ask(open, now_ms);
            }
            Op::Cancel(number) => {
                let run = self.runs[number];
                self.write(move |tx, registry| cancel(tx, run, registry, now_ms));
            }
            Op::Crash => {
                (self.store, self.changes) = (None, None);
                self.wakes.clear();
                self.lost.extend(std::mem::take(&mut self.leases).into_values());
                self.open(now_ms);
                self.nothing_lost_counts(now_ms);
            }
            Op::Prune(keep) => {
                let keep = Keep { runs: Some(*keep), ended_after_ms: None };
                self.write(move |tx, _| tx.prune_runs(keep));
                self.runs.retain(|number, _| model.run(*number).is_some());
            }
        }
    }

    fn next_due(&self, now_ms: i64, asked: &BTreeSet<JobId>) -> Option<JobId> {
        let due = self.wakes.iter().filter(|(run, at)| **at <= now_ms && !asked.contains(run));
        due.map(|(run, _)| *run).next()
    }

    fn take_lease(&mut self, task: TaskAt) -> Lease {
        self.leases.remove(&task).expect("it was handed out")
    }

    /// The next task of a run, if the model has handed one out.
    fn claim(&mut self, model: &Model, number: u32) {
        let now_ms = model.now_ms;
        let run = self.runs[&number];
        let running = u32::try_from(self.leases.len()).expect("few");
        let state = LaneState { running, delayed: true, ..LaneState::default() };
        let claimed =
            self.write(move |tx, _| match tx.run_state(run)?.is_none_or(|run| run.paused) {
                true => Ok(Vec::new()),
                false => tx.claim(run, LANE, state, &Vec::new(), 1, now_ms),
            });
        let tasks = self.runtime.block_on(tasks(self.store(), run));
        for claimed in claimed {
            let at = tasks.iter().position(|task| task.id == claimed.lease.job);
            let at = (number, at.expect("it is one of the run's"));
            assert!(self.leases.insert(at, claimed.lease).is_none(), "{at:?} is handed out twice");
        }
        let running: BTreeSet<TaskAt> = model.running().into_iter().collect();
        let leased: BTreeSet<TaskAt> = self.leases.keys().copied().collect();
        assert_eq!(leased, running, "what was handed out");
    }

    /// Whoever comes late changes nothing.
    fn nothing_lost_counts(&mut self, now_ms: i64) {
        let lost = self.lost.clone();
        self.write(move |tx, registry| {
            assert_eq!(complete_all(tx, &lost, registry, now_ms)?, 0, "a lost lease counts");
            for lease in lost {
                let ending = Ending::Failed(TaskError::permanent("late", "It comes late."));
                let recorded = complete(tx, lease, &ending, &[], registry, now_ms)?;
                assert_eq!(recorded, Recorded::Stale, "a lost lease counts");
            }
            Ok(())
        });
    }

    fn compare(&mut self, model: &Model) {
        let store = self.store();
        let runs: Vec<&Run> =
            model.runs.iter().filter(|run| !self.over.contains(&run.number)).collect();
        let ids = runs.iter().map(|run| (run.number, self.runs[&run.number])).collect();
        self.runtime.block_on(async {
            for (found, run) in found(store, ids).await.into_iter().zip(runs) {
                assert_eq!(found, expected(model, run), "found, and expected");
            }
            let kept = store.list_runs(None, 1_000).await.expect("the store answers");
            assert_eq!(kept.len(), model.runs.len(), "runs that are remembered");
        });
        self.over.extend(model.runs.iter().filter(|run| !run.is_open()).map(|run| run.number));
    }

    fn assert_consistent(&self) {
        let wrong = self.runtime.block_on(self.store().inconsistencies());
        assert_eq!(wrong.expect("the store answers"), Vec::<String>::new());
    }
}

fn children(model: &Model, (number, at): TaskAt, keys: &[u8]) -> Vec<TaskRow> {
    rows(new_children(model, (number, at), keys))
}

fn new_children(model: &Model, (number, at): TaskAt, keys: &[u8]) -> Vec<NewTask> {
    let run = model.run(number).expect("it is there");
    let step = run.tasks[at].step;
    let limit = run.definition.steps[step].lane_limit;
    keys.iter().map(|key| task(&step_name(step), key, limit)).collect()
}

fn ending(model: &Model, at: TaskAt, how: &How) -> Ending {
    let failed = |retry| {
        Ending::Failed(TaskError { retry, ..TaskError::permanent("asked", "asked to fail") })
    };
    match how {
        How::Well(keys) => {
            let children = new_children(model, at, keys);
            Ending::Done(Arc::new(Done::new(Outcome { children, ..Outcome::default() }, &[])))
        }
        How::FailsForGood => failed(Retry::Never),
        How::FailsForNow => failed(Retry::Backoff),
        How::Later => failed(Retry::Later),
        How::Interrupted => Ending::Interrupted,
    }
}

impl StateMachineTest for Transactions {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        Self::new(model.now_ms)
    }

    fn apply(mut machine: Self, model: &Model, op: Op) -> Self {
        machine.perform(model, &op);
        machine.compare(model);
        machine
    }

    fn check_invariants(machine: &Self, _: &Model) {
        machine.assert_consistent();
    }

    /// Everything that is left comes to its end.
    fn teardown(mut machine: Self, mut model: Model) {
        for _ in 0..1_000 {
            let Some(op) = next(&model) else {
                let over = model.runs.iter().all(|run| !run.is_open());
                assert!(over, "the model has no end");
                machine.nothing_lost_counts(model.now_ms);
                machine.over.clear();
                machine.compare(&model);
                return machine.assert_consistent();
            };
            model = Model::apply(model, &op);
            machine.perform(&model, &op);
            machine.compare(&model);
        }
        panic!("it has no end");
    }
}

/// What brings everything to its end.
fn next(model: &Model) -> Option<Op> {
    if model.paused {
        return Some(Op::PauseAll(false));
    }
    if let Some(run) = model.runs.iter().find(|run| run.is_open() && run.paused) {
        return Some(Op::Pause(run.number, false));
    }
    let running = model.running();
    if !running.is_empty() {
        return Some(Op::EndAll(running));
    }
    let claimable = |run: &&Run| !model.claimable(run).is_empty();
    if let Some(run) = model.runs.iter().find(claimable) {
        return Some(Op::Claim(run.number));
    }
    model.runs.iter().any(Run::is_open).then_some(Op::Jump)
}

prop_state_machine! {
    #![proptest_config(config(5_000))]

    #[test]
    fn every_sequence_of_operations_does_what_the_model_does(sequential 1..30 => Transactions);
}
