//! The JobProcessor: claims tasks the moment they may run and hands each to its worker.
//!
//! It never asks on the off chance. A commit that makes a task runnable wakes it, a task that ends
//! wakes it, and one timer stands for everything that has to wait for a time. Whatever has happened
//! by the time it looks goes into one transaction: tasks that are done are recorded and the next ones
//! are claimed together.
//!
//! How many tasks run, in all and by run, lane and type, is counted from the tasks that are running
//! ([`Processor::working`]), and by lane beside it, so that no place can leak.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use quaero_contract::{JobId, JobKind};
use quaero_store::{Change, Claimed, Lease, Point, Store, Tx};
use tokio::{
    sync::{
        Semaphore,
        broadcast::{
            self,
            error::{RecvError, TryRecvError},
        },
        mpsc, oneshot,
    },
    task::{self, JoinSet},
};
use tokio_util::sync::CancellationToken;

mod fault;
mod look;
mod overdue;
mod plan;
mod round;

use crate::{
    attempt::{Attempt, Finished, Step},
    clock::Clock,
    threads::{Threads, WorkerThreads},
    waiting::{Waiter, Waiting},
    work::Registry,
};
use fault::is_final;
use overdue::{REACTION_MS, Working};
use round::{Outcome, Served};

/// The clock is set by this much, in milliseconds, before what is stored has to follow it.
const SET_MS: i64 = 1_000;
/// Handing out a task that is over within this many milliseconds takes longer than doing it.
const QUICK_MS: i64 = 10;
/// One spare place for each so many usual ones.
const SPARE: usize = 6;
/// A time that never comes.
const NEVER: i64 = i64::MAX;

/// What the engine asks of the processor.
pub(crate) enum Command {
    /// Start nothing more; let running tasks end within the time given, put the others back, and
    /// answer when none is left.
    Stop {
        /// How long running tasks may still take.
        grace: Duration,
        /// Answered at the end.
        stopped: oneshot::Sender<()>,
    },
}

pub(crate) struct Processor {
    store: Store,
    registry: Registry,
    clock: Arc<dyn Clock>,
    /// How many tasks run at the same time.
    width: usize,
    /// The places of running tasks.
    places: Arc<Semaphore>,
    /// Those of tasks that start although all places are taken.
    spare_places: Arc<Semaphore>,
    /// How many tasks in a row were quick. A quarter as many are handed out before there is a place
    /// for them, so that more of them share a commit; what finds no place soon is given back.
    quick_in_a_row: usize,
    /// Where they run.
    threads: WorkerThreads,
    runs: BTreeMap<JobId, Run>,
    /// Runs of which the store knows more than is known here.
    unseen: BTreeSet<JobId>,
    /// Commits were missed: which runs there are has to be asked for.
    lost: bool,
    lanes: HashMap<String, LaneUse>,
    /// The run that was served last; the next one goes first.
    last_served: JobId,
    tasks: JoinSet<Finished>,
    /// What each of `tasks` is, and what it occupies.
    working: HashMap<task::Id, Working>,
    /// Attempts that are over and have to be recorded.
    done: Vec<Lease>,
    /// Set when running tasks must end now, whatever becomes of their results.
    stopping: CancellationToken,
    /// What the clock said last, and how long the computer had been running.
    seen_ms: i64,
    seen_running_ms: Option<i64>,
    /// By how much the clock was set back, as long as what is stored has not followed it.
    set_back_ms: i64,
    /// How much time was skipped, by a suspended computer or a clock set forward, as long as that is
    /// not stored.
    skipped_ms: i64,
    /// After a storage fault: nothing is written before this time.
    resting_until_ms: i64,
    waiting: Waiting,
    /// As long as nothing can be written.
    waits: Option<Waiter>,
    /// Whether there may be tasks among those to start that have to run alone.
    suspects: bool,
    paused: bool,
    /// The store is damaged, taken over or closed: nothing is to be had from it any more.
    gave_up: bool,
}

/// A run that this process works on.
struct Run {
    cancelled: CancellationToken,
    /// Lanes that may hold runnable tasks.
    lanes: BTreeMap<String, Look>,
    steps: HashMap<JobId, (Step, CancellationToken)>,
    /// When the coordinator has to look at it.
    wake_ms: Option<i64>,
    /// Higher first.
    priority: i32,
    max_running: Option<u32>,
    paused: bool,
}

/// When to look into a lane of a run.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// [`NEVER`] waits for the lane itself.
    at_ms: i64,
    /// Whether tasks there may be waiting for a time.
    delayed: bool,
    /// Whether tasks there are waiting for others of their type.
    crowded: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { at_ms: NEVER, delayed: false, crowded: false }
    }
}

#[derive(Default)]
struct LaneUse {
    running: u32,
    last_start_ms: i64,
    paused_until_ms: i64,
    /// As its last task said; unknown until one has run.
    rule: Option<(u32, u32)>,
}

/// What to do next.
enum Next {
    Again,
    Wait(Option<i64>),
}

impl Processor {
    pub(crate) fn new(
        store: Store,
        registry: Registry,
        clock: Arc<dyn Clock>,
        width: usize,
        threads: Threads,
        waiting: Waiting,
    ) -> Self {
        let width = width.max(1);
        Self {
            seen_ms: clock.now_ms(),
            seen_running_ms: clock.running_ms(),
            set_back_ms: 0,
            skipped_ms: 0,
            store,
            registry,
            clock,
            width,
            places: Arc::new(Semaphore::new(width)),
            spare_places: Arc::new(Semaphore::new(width / SPARE)),
            quick_in_a_row: 0,
            threads: WorkerThreads::new(threads, width + width / SPARE),
            runs: BTreeMap::new(),
            unseen: BTreeSet::new(),
            lost: false,
            lanes: HashMap::new(),
            last_served: JobId(0),
            tasks: JoinSet::new(),
            working: HashMap::new(),
            done: Vec::new(),
            stopping: CancellationToken::new(),
            resting_until_ms: 0,
            waiting,
            waits: None,
            suspects: false,
            paused: false,
            gave_up: false,
        }
    }

    /// Works until told to stop.
    pub(crate) async fn serve(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut changes: broadcast::Receiver<Arc<[Change]>>,
    ) {
        // The last one, as long as it stands for the same time.
        let mut timer: Option<(i64, BoxFuture<'static, ()>)> = None;
        loop {
            if self.threads.are_shared() {
                // Everything that has happened by now goes into the same round, with what tasks do
                // that are about to run: many of them are over in no time.
                task::yield_now().await;
            }
            self.catch_up(&mut changes);
            while let Some(ended) = self.tasks.try_join_next_with_id() {
                self.ended(ended);
            }
            let command = match self.round().await {
                Next::Again => commands.try_recv().ok(),
                Next::Wait(at_ms) => {
                    if timer.as_ref().map(|(at_ms, _)| *at_ms) != at_ms {
                        timer = at_ms.map(|at_ms| (at_ms, self.clock.until(Some(at_ms))));
                    }
                    let over = async {
                        match &mut timer {
                            Some((_, timer)) => timer.await,
                            None => pending().await,
                        }
                    };
                    tokio::select! {
                        change = changes.recv() => {
                            match change {
                                Ok(change) => self.notice(&change),
                                Err(RecvError::Lagged(_)) => self.lost = true,
                                Err(RecvError::Closed) => return,
                            }
                            None
                        }
                        Some(ended) = self.tasks.join_next_with_id() => {
                            self.ended(ended);
                            None
                        }
                        command = commands.recv() => match command {
                            Some(command) => Some(command),
                            None => return self.stop(Duration::ZERO).await,
                        },
                        () = over => {
                            timer = None;
                            None
                        }
                    }
                }
            };
            if let Some(Command::Stop { grace, stopped }) = command {
                self.stop(grace).await;
                // The engine may have gone away meanwhile.
                let _ = stopped.send(());
                return;
            }
        }
    }

    /// Takes in every commit that has been told of by now.
    fn catch_up(&mut self, changes: &mut broadcast::Receiver<Arc<[Change]>>) {
        loop {
            match changes.try_recv() {
                Ok(change) => self.notice(&change),
                Err(TryRecvError::Lagged(_)) => self.lost = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn notice(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Adopted { run, new, priority, max_running } => {
                    self.adopt(*run, *priority, *max_running);
                    if !new {
                        self.unseen.insert(*run);
                    }
                }
                Change::Ready { run, lane, at_ms } => {
                    if let Some(entry) = self.runs.get_mut(run) {
                        let look = entry.lanes.entry(lane.clone()).or_default();
                        look.at_ms = look.at_ms.min(*at_ms);
                        look.delayed |= *at_ms > self.seen_ms;
                    }
                }
                Change::StopRequested { run, step } => {
                    let Some(entry) = self.runs.get(run) else { continue };
                    match step {
                        None => entry.cancelled.cancel(),
                        Some(step) => {
                            if let Some((_, stopped)) = entry.steps.get(step) {
                                stopped.cancel();
                            }
                        }
                    }
                }
                Change::Paused { run: None, paused } => {
                    self.paused = *paused;
                    self.unseen.extend(self.runs.keys());
                }
                Change::Paused { run: Some(run), paused } => {
                    if let Some(entry) = self.runs.get_mut(run) {
                        entry.paused = *paused;
                        self.unseen.insert(*run);
                    }
                }
                Change::Wake { run, at_ms } => {
                    if let Some(entry) = self.runs.get_mut(run) {
                        entry.wake_ms = *at_ms;
                    }
                }
                Change::Status { run, kind: JobKind::Parent, status, .. }
                    if status.is_terminal() =>
                {
                    self.runs.remove(run);
                    self.unseen.remove(run);
                    self.forget_idle_lanes();
                }
                Change::Status { run, job, kind: JobKind::Step, status, .. } => {
                    // Another attempt of it is not stopped any more.
                    if !status.is_terminal()
                        && let Some(entry) = self.runs.get_mut(run)
                    {
                        entry.steps.remove(job);
                    }
                }
                Change::Refused(why) => self.give_all_up(why),
                Change::Status { .. } | Change::Saved { .. } | Change::Progress(_) => {}
            }
        }
    }

    fn adopt(&mut self, run: JobId, priority: i32, max_running: Option<u32>) {
        let entry = self.runs.entry(run).or_insert_with(|| Run {
            cancelled: self.stopping.child_token(),
            lanes: BTreeMap::new(),
            steps: HashMap::new(),
            wake_ms: None,
            priority,
            max_running,
            paused: false,
        });
        (entry.priority, entry.max_running) = (priority, max_running);
    }

    /// A lane is remembered while it still holds something back.
    fn forget_idle_lanes(&mut self) {
        let now_ms = self.clock.now_ms();
        self.lanes.retain(|_, lane| {
            let delay = lane.rule.map_or(0, |(_, delay)| i64::from(delay));
            lane.running > 0
                || lane.paused_until_ms > now_ms
                || lane.last_start_ms.saturating_add(delay) > now_ms
        });
    }

    fn ended(&mut self, ended: Result<(task::Id, Finished), task::JoinError>) {
        let (id, finished) = match ended {
            Ok((id, finished)) => (id, Some(finished)),
            // It was aborted with its runtime. Its lease stays until the next start.
            Err(error) => (error.id(), None),
        };
        let Some(Working { since_ms, lane, task_type, .. }) = self.working.remove(&id) else {
            return;
        };
        let now_ms = self.clock.now_ms();
        let is_quick = now_ms - since_ms <= QUICK_MS;
        self.quick_in_a_row = if is_quick { self.quick_in_a_row.saturating_add(1) } else { 0 };
        if let Some(usage) = self.lanes.get_mut(&lane) {
            usage.running = usage.running.saturating_sub(1);
            let pause = finished.as_ref().map_or(0, |f| f.pause_ms);
            let pause = i64::try_from(pause).unwrap_or(i64::MAX);
            usage.paused_until_ms = usage.paused_until_ms.max(now_ms.saturating_add(pause));
        }
        let limited = self.registry.limits().any(|(name, _)| name == task_type);
        // Its place may be what another task of the lane, or of its type, was waiting for.
        for run in self.runs.values_mut() {
            if let Some(look) = run.lanes.get_mut(&lane) {
                look.at_ms = look.at_ms.min(now_ms);
            }
            if limited {
                for look in run.lanes.values_mut().filter(|look| look.crowded) {
                    look.at_ms = look.at_ms.min(now_ms);
                }
            }
        }
        self.done.extend(finished.and_then(|finished| finished.to_commit));
    }

    /// Records what is done, asks the coordinator about runs whose time has come, and claims what may
    /// start, all in one transaction.
    async fn round(&mut self) -> Next {
        if self.gave_up {
            return Next::Wait(None);
        }
        let now_ms = self.clock.now_ms();
        self.follow_clock(now_ms);
        if self.resting_until_ms > now_ms {
            return Next::Wait(Some(self.resting_until_ms));
        }
        let looked = match self.store_follows_clock(now_ms).await {
            Ok(()) => self.look_into_unseen().await,
            Err(error) => Err(error),
        };
        let looked = match looked {
            Ok(()) => self.give_up_overdue(now_ms).await,
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            tracing::error!(%error, "runs could not be looked into");
            return self.rest_after(&error, now_ms);
        }
        let round = self.plan(now_ms);
        if round.done.is_empty() && round.due.is_empty() && round.candidates.is_empty() {
            self.waits = None;
            return Next::Wait(self.next_look());
        }
        let (done, due) = (round.done.clone(), round.due.clone());
        let first_claim = round.candidates.first().map(|c| (c.run, c.lane.clone()));
        let registry = self.registry.clone();
        // That tasks start may be forgotten in a power failure: they would be pending again, as after
        // any crash. But then nobody counts that they were under way, so a second time it is kept.
        let only_claims = done.is_empty() && due.is_empty();
        let change = move |tx: &mut Tx| round.carry_out(tx, &registry);
        let written = match only_claims && !self.store.was_unclean() {
            true => self.store.write_light(change).await,
            false => self.store.write(change).await,
        };
        match written {
            Ok(outcome) => {
                self.waits = None;
                if outcome.stale > 0 {
                    tracing::warn!(outcome.stale, "results of tasks that are no longer ours");
                }
                self.suspects = outcome.suspects;
                Point::Claimed.pass();
                self.start(outcome, now_ms);
                Point::HandedOut.pass();
                Next::Again
            }
            Err(error) => {
                tracing::error!(%error, "tasks could not be recorded and claimed");
                if error.may_pass() || is_final(&error) {
                    self.done.extend(done);
                    self.wake(&due, now_ms);
                    return self.rest_after(&error, now_ms);
                }
                if let (Some((run, lane)), true) = (first_claim, only_claims) {
                    self.set_aside(run, &lane);
                }
                self.one_by_one(done, due, now_ms).await
            }
        }
    }

    fn start(&mut self, outcome: Outcome, now_ms: i64) {
        for (step, config) in outcome.configs {
            let known = Step {
                config: Arc::new(config.config),
                tags: config.tags.into(),
                task_timeout: Duration::from_millis(config.task_timeout_ms),
            };
            if let Some(run) = self.runs.get_mut(&config.run) {
                let stopped = run.cancelled.child_token();
                run.steps.insert(step, (known, stopped));
            }
        }
        for Served { run, lane, claimed, next_ms, full, delayed, crowded } in outcome.served {
            let usage = self.lanes.entry(lane.clone()).or_default();
            for task in &claimed {
                usage.last_start_ms = now_ms;
                usage.rule = Some((task.lane_limit, task.lane_delay_ms));
            }
            let delay = usage.rule.map_or(0, |(_, delay)| i64::from(delay));
            if let Some(entry) = self.runs.get_mut(&run) {
                let at_ms = match next_ms {
                    Some(_) if full => now_ms.saturating_add(delay),
                    Some(at) => at.max(now_ms.saturating_add(delay.min(1))),
                    None => NEVER,
                };
                entry.lanes.insert(lane, Look { at_ms, delayed, crowded });
            }
            if !claimed.is_empty() {
                self.last_served = run;
            }
            for task in claimed {
                self.launch(task, now_ms);
            }
        }
    }

    fn launch(&mut self, task: Claimed, now_ms: i64) {
        let found = self.runs.get(&task.run).and_then(|run| run.steps.get(&task.step)).cloned();
        let Some((step, cancelled)) = found else {
            tracing::error!(job = %task.lease.job, "a task of a run that is not known");
            return;
        };
        let timeout = i64::try_from(step.task_timeout.as_millis()).unwrap_or(NEVER);
        let overdue_ms = now_ms.saturating_add(timeout).saturating_add(REACTION_MS);
        let over = Arc::new(AtomicBool::new(false));
        let (run, lease, lane) = (task.run, task.lease, task.lane.clone());
        let (task_type, name) = (task.task_type.clone(), task.name.clone());
        let is_first = !self.working.values().any(|working| working.run == run);
        let attempt = Attempt {
            store: self.store.clone(),
            registry: self.registry.clone(),
            clock: self.clock.clone(),
            step,
            cancelled: cancelled.clone(),
            stopping: self.stopping.clone(),
            places: self.places.clone(),
            spare_places: is_first.then(|| self.spare_places.clone()),
            over: over.clone(),
            task,
            now_ms,
            waiting: self.waiting.clone(),
        };
        self.lanes.entry(lane.clone()).or_default().running += 1;
        let abort = self.tasks.spawn_on(attempt.run(), self.threads.handle());
        // In whole seconds, so that the timer is the same for many.
        let overdue_ms = overdue_ms.saturating_add(999) / 1_000 * 1_000;
        self.working.insert(
            abort.id(),
            Working {
                since_ms: now_ms,
                run,
                lane,
                task_type,
                name,
                lease,
                over,
                cancelled,
                abort,
                overdue_ms,
            },
        );
    }

    /// Waits for the running tasks, then puts back those that did not end in time.
    async fn stop(&mut self, grace: Duration) {
        Point::StopBegun.pass();
        // What has not begun goes back at once.
        self.places.close();
        self.spare_places.close();
        let limit = self.clock.sleep(grace);
        tokio::pin!(limit);
        loop {
            tokio::select! {
                ended = self.tasks.join_next_with_id() => match ended {
                    Some(ended) => self.ended(ended),
                    None => break,
                },
                () = &mut limit => break,
            }
        }
        self.stopping.cancel();
        let limit = self.clock.sleep(Duration::from_millis(REACTION_MS.unsigned_abs()));
        tokio::pin!(limit);
        let mut waits = true;
        // A result is waited for until it is recorded, work only until it had time to react.
        while waits || self.working.values().any(|working| working.over.load(Relaxed)) {
            tokio::select! {
                ended = self.tasks.join_next_with_id() => match ended {
                    Some(ended) => self.ended(ended),
                    None => break,
                },
                () = &mut limit, if waits => waits = false,
            }
        }
        let now_ms = self.clock.now_ms();
        if let Err(error) = self.give_up(|_| true, now_ms).await {
            // Their leases stay; the next start takes them back.
            tracing::error!(%error, "tasks that do not react could not be put back");
        }
        let done = std::mem::take(&mut self.done);
        if !done.is_empty() {
            self.one_by_one(done, Vec::new(), now_ms).await;
        }
        Point::StopEnded.pass();
    }
}

#[cfg(test)]
mod tests;
