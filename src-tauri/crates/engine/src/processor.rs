//! The JobProcessor: claims tasks the moment they may run and hands each to its worker.
//!
//! It never asks on the off chance. A commit that makes a task runnable wakes it, a task that ends
//! wakes it, and one timer stands for everything that has to wait for a time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use quaero_contract::{JobId, JobKind};
use quaero_store::{Change, Claimed, LaneState, Store, StoreError};
use tokio::{
    sync::{
        broadcast::{
            self,
            error::{RecvError, TryRecvError},
        },
        mpsc, oneshot,
    },
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    attempt::{Attempt, Finished, Step},
    clock::Clock,
    work::Registry,
};

/// How soon a storage fault that may pass is met with another try, in milliseconds.
const STORAGE_PAUSE_MS: i64 = 1_000;

/// What the engine asks of the processor.
pub(crate) enum Command {
    /// Work on this run from now on.
    Adopt(JobId),
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
    runs: BTreeMap<JobId, Run>,
    /// Runs of which the store knows more than is known here.
    unseen: BTreeSet<JobId>,
    lanes: HashMap<String, LaneUse>,
    /// The run that was served last; the next one goes first.
    last_served: JobId,
    tasks: JoinSet<Finished>,
    /// Set when running tasks must end now, whatever becomes of their results.
    stopping: CancellationToken,
    /// What the clock said last.
    seen_ms: i64,
    /// After a storage fault: nothing is claimed before this time.
    resting_until_ms: i64,
    /// Whether there may be tasks among those to start that have to run alone.
    suspects: bool,
}

/// A run that this process works on.
#[derive(Default)]
struct Run {
    cancelled: CancellationToken,
    /// Lanes that may hold runnable tasks, and when to look; `i64::MAX` waits for the lane itself.
    lanes: BTreeMap<String, i64>,
    steps: HashMap<JobId, Step>,
}

#[derive(Default)]
struct LaneUse {
    running: u32,
    last_start_ms: i64,
    paused_until_ms: i64,
    /// As its last task said; unknown until one has run.
    rule: Option<(u32, u32)>,
}

/// A run's lane in which something may be claimed.
struct Candidate {
    run: JobId,
    lane: String,
    state: LaneState,
    rule: Option<(u32, u32)>,
}

/// What a claim found there.
struct Served {
    run: JobId,
    lane: String,
    claimed: Vec<Claimed>,
    /// When to look again; `None` waits for the lane.
    next_ms: Option<i64>,
    full: bool,
}

impl Processor {
    pub(crate) fn new(
        store: Store,
        registry: Registry,
        clock: Arc<dyn Clock>,
        width: usize,
    ) -> Self {
        Self {
            store,
            registry,
            clock,
            width: width.max(1),
            runs: BTreeMap::new(),
            unseen: BTreeSet::new(),
            lanes: HashMap::new(),
            last_served: JobId(0),
            tasks: JoinSet::new(),
            stopping: CancellationToken::new(),
            seen_ms: 0,
            resting_until_ms: 0,
            suspects: false,
        }
    }

    /// Works until told to stop.
    pub(crate) async fn serve(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut changes: broadcast::Receiver<Arc<[Change]>>,
    ) {
        loop {
            let wake_ms = self.dispatch().await;
            let timer = self.clock.until(wake_ms);
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => self.notice(&change),
                    Err(RecvError::Lagged(_)) => self.look_everywhere(),
                    Err(RecvError::Closed) => return,
                },
                Some(finished) = self.tasks.join_next() => self.finished(finished.ok()),
                command = commands.recv() => match command {
                    Some(Command::Adopt(run)) => self.adopt(run),
                    Some(Command::Stop { grace, stopped }) => {
                        self.stop(grace).await;
                        // The engine may have gone away meanwhile.
                        let _ = stopped.send(());
                        return;
                    }
                    None => return self.stop(Duration::ZERO).await,
                },
                () = timer => {}
            }
            // Everything else that has happened by now goes into the same look.
            self.catch_up(&mut changes);
            while let Some(finished) = self.tasks.try_join_next() {
                self.finished(finished.ok());
            }
        }
    }

    fn adopt(&mut self, run: JobId) {
        let cancelled = self.stopping.child_token();
        self.runs.entry(run).or_insert_with(|| Run { cancelled, ..Run::default() });
        self.unseen.insert(run);
    }

    /// Takes in every commit that has been told of by now.
    fn catch_up(&mut self, changes: &mut broadcast::Receiver<Arc<[Change]>>) {
        loop {
            match changes.try_recv() {
                Ok(change) => self.notice(&change),
                Err(TryRecvError::Lagged(_)) => self.look_everywhere(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Commits were missed: whatever they were about has to be asked for.
    fn look_everywhere(&mut self) {
        self.unseen.extend(self.runs.keys());
    }

    /// Looks into every run that has to be looked into. On a storage fault that may pass, those
    /// that are left stay to be looked into.
    async fn look_into_unseen(&mut self) -> Result<(), StoreError> {
        while let Some(run) = self.unseen.pop_first() {
            match self.look_into(run).await {
                Ok(()) => {}
                Err(error) if error.may_pass() => {
                    self.unseen.insert(run);
                    return Err(error);
                }
                Err(error) => tracing::error!(%run, %error, "a run could not be looked into"),
            }
        }
        Ok(())
    }

    /// Asks the store in which lanes a run has tasks, and whether it was cancelled or has ended.
    async fn look_into(&mut self, run: JobId) -> Result<(), StoreError> {
        let (state, lanes, suspects) = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let suspects = tx.has_suspects(&[run]).await?;
                    Ok((tx.run_state(run).await?, tx.waiting_lanes(run).await?, suspects))
                })
            })
            .await?;
        let Some(state) = state.filter(|state| !state.status.is_terminal()) else {
            self.runs.remove(&run);
            return Ok(());
        };
        if let Some(entry) = self.runs.get_mut(&run) {
            if state.cancel_requested {
                entry.cancelled.cancel();
            }
            entry.lanes.extend(lanes.into_iter().map(|lane| (lane, 0)));
            self.suspects |= suspects;
        }
        Ok(())
    }

    fn notice(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Ready { run, lane, at_ms } => {
                    if let Some(entry) = self.runs.get_mut(run) {
                        let look = entry.lanes.entry(lane.clone()).or_insert(i64::MAX);
                        *look = (*look).min(*at_ms);
                    }
                }
                Change::CancelRequested { run } => {
                    if let Some(entry) = self.runs.get(run) {
                        entry.cancelled.cancel();
                    }
                }
                Change::Status { run, kind: JobKind::Parent, status, .. }
                    if status.is_terminal() =>
                {
                    self.runs.remove(run);
                    self.forget_idle_lanes();
                }
                Change::Status { .. } | Change::Saved { .. } | Change::Progress(_) => {}
            }
        }
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

    fn finished(&mut self, finished: Option<Finished>) {
        let Some(finished) = finished else { return };
        let now_ms = self.clock.now_ms();
        if let Some(lane) = self.lanes.get_mut(&finished.lane) {
            lane.running = lane.running.saturating_sub(1);
            let pause = i64::try_from(finished.pause_ms).unwrap_or(i64::MAX);
            lane.paused_until_ms = lane.paused_until_ms.max(now_ms.saturating_add(pause));
        }
        // Its place may be what another task of the lane was waiting for.
        for run in self.runs.values_mut() {
            if let Some(look) = run.lanes.get_mut(&finished.lane) {
                *look = (*look).min(now_ms);
            }
        }
    }

    /// Claims what may start now. Returns when to look again if nothing else happens.
    async fn dispatch(&mut self) -> Option<i64> {
        loop {
            let now_ms = self.clock.now_ms();
            self.follow_clock(now_ms);
            if self.resting_until_ms > now_ms {
                return Some(self.resting_until_ms);
            }
            if let Err(error) = self.look_into_unseen().await {
                tracing::error!(%error, "runs could not be looked into");
                self.rest(now_ms);
                continue;
            }
            let width = if self.suspects { 1 } else { self.width };
            let free = width.saturating_sub(self.tasks.len());
            if free == 0 || self.runs.is_empty() {
                return None;
            }
            let candidates = self.candidates(now_ms);
            if candidates.is_empty() {
                return self.next_look();
            }
            match self.claim(candidates, free, now_ms).await {
                Ok((served, suspects)) => {
                    self.suspects = suspects;
                    self.start(served, now_ms).await;
                }
                Err(error) => {
                    tracing::error!(%error, "tasks could not be claimed");
                    if !error.may_pass() {
                        return None;
                    }
                    self.rest(now_ms);
                }
            }
        }
    }

    /// When the clock is set back, what waits for a time must not wait that much longer.
    fn follow_clock(&mut self, now_ms: i64) {
        let back = (self.seen_ms - now_ms).max(0);
        self.seen_ms = now_ms;
        if back == 0 {
            return;
        }
        self.resting_until_ms -= back;
        for lane in self.lanes.values_mut() {
            lane.last_start_ms -= back;
            lane.paused_until_ms -= back;
        }
        let looks = self.runs.values_mut().flat_map(|run| run.lanes.values_mut());
        for look in looks.filter(|look| **look < i64::MAX) {
            *look -= back;
        }
    }

    fn rest(&mut self, now_ms: i64) {
        self.resting_until_ms = now_ms.saturating_add(STORAGE_PAUSE_MS);
    }

    /// The lanes to look into now; the run after the one that was served last comes first.
    fn candidates(&self, now_ms: i64) -> Vec<Candidate> {
        let later = self
            .runs
            .range((std::ops::Bound::Excluded(self.last_served), std::ops::Bound::Unbounded));
        let order = later.chain(self.runs.range(..=self.last_served));
        order
            .filter(|(_, run)| !run.cancelled.is_cancelled())
            .flat_map(|(id, run)| run.lanes.iter().map(move |(lane, look)| (*id, lane, *look)))
            .filter(|(_, _, look)| *look <= now_ms)
            .filter_map(|(run, lane, _)| {
                let usage = self.lanes.get(lane);
                if usage.is_some_and(|u| u.paused_until_ms > now_ms) {
                    return None;
                }
                let state = LaneState {
                    running: usage.map_or(0, |u| u.running),
                    last_start_ms: usage.map_or(0, |u| u.last_start_ms),
                };
                Some(Candidate { run, lane: lane.clone(), state, rule: usage.and_then(|u| u.rule) })
            })
            .collect()
    }

    fn next_look(&self) -> Option<i64> {
        self.runs
            .values()
            .filter(|run| !run.cancelled.is_cancelled())
            .flat_map(|run| &run.lanes)
            .filter(|(_, look)| **look < i64::MAX)
            .map(|(lane, look)| (*look).max(self.lanes.get(lane).map_or(0, |u| u.paused_until_ms)))
            .min()
    }

    /// Claims in these lanes, and says whether tasks still have to run alone.
    async fn claim(
        &self,
        candidates: Vec<Candidate>,
        free: usize,
        now_ms: i64,
    ) -> Result<(Vec<Served>, bool), StoreError> {
        let suspected: Vec<JobId> =
            if self.suspects { self.runs.keys().copied().collect() } else { Vec::new() };
        let mut free = u32::try_from(free).unwrap_or(u32::MAX);
        let share = (free / u32::try_from(candidates.len()).unwrap_or(u32::MAX)).max(1);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let suspects = !suspected.is_empty() && tx.has_suspects(&suspected).await?;
                    let mut used: HashMap<String, LaneState> = HashMap::new();
                    let mut served = Vec::new();
                    for Candidate { run, lane, state, rule } in candidates {
                        if free == 0 {
                            break;
                        }
                        let state = used.entry(lane.clone()).or_insert(state);
                        let room = match rule {
                            // The first task tells the lane's rule.
                            None => 1,
                            Some((_, delay)) if delay > 0 => 1,
                            Some((limit, _)) => limit.saturating_sub(state.running),
                        };
                        let ask = room.min(share).min(free);
                        let claimed = tx.claim(run, &lane, *state, ask, now_ms).await?;
                        let count = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
                        free -= count.min(free);
                        if count > 0 {
                            state.running += count;
                            state.last_start_ms = now_ms;
                        }
                        let full = count == ask && ask > 0;
                        let next_ms = match (full, ask) {
                            (true, _) => Some(now_ms),
                            // The lane is full: a task of it that ends is the sign to look again.
                            (false, 0) => None,
                            (false, _) => tx.next_start(run, &lane, *state, now_ms).await?,
                        };
                        served.push(Served { run, lane, claimed, next_ms, full });
                    }
                    Ok((served, suspects))
                })
            })
            .await
    }

    async fn start(&mut self, served: Vec<Served>, now_ms: i64) {
        for Served { run, lane, claimed, next_ms, full } in served {
            let usage = self.lanes.entry(lane.clone()).or_default();
            for task in &claimed {
                usage.running += 1;
                usage.last_start_ms = now_ms;
                usage.rule = Some((task.lane_limit, task.lane_delay_ms));
            }
            let delay = usage.rule.map_or(0, |(_, delay)| i64::from(delay));
            if let Some(entry) = self.runs.get_mut(&run) {
                let look = match next_ms {
                    Some(_) if full => now_ms.saturating_add(delay),
                    Some(at) => at.max(now_ms.saturating_add(delay.min(1))),
                    None => i64::MAX,
                };
                entry.lanes.insert(lane, look);
            }
            if !claimed.is_empty() {
                self.last_served = run;
            }
            for task in claimed {
                self.launch(task, now_ms).await;
            }
        }
    }

    async fn launch(&mut self, task: Claimed, now_ms: i64) {
        let step = self.step(task.run, task.step).await;
        let run = self.runs.get(&task.run);
        let cancelled =
            run.map_or_else(|| self.stopping.child_token(), |run| run.cancelled.clone());
        let attempt = Attempt {
            store: self.store.clone(),
            registry: self.registry.clone(),
            clock: self.clock.clone(),
            step,
            cancelled,
            stopping: self.stopping.clone(),
            task,
            now_ms,
        };
        self.tasks.spawn(attempt.run());
    }

    async fn step(&mut self, run: JobId, step: JobId) -> Result<Step, StoreError> {
        if let Some(known) = self.runs.get(&run).and_then(|r| r.steps.get(&step)) {
            return Ok(known.clone());
        }
        let (config, tags) = self.store.write(move |tx| Box::pin(tx.step_config(step))).await?;
        let known = Step { config: Arc::new(config), tags: tags.into() };
        if let Some(entry) = self.runs.get_mut(&run) {
            entry.steps.insert(step, known.clone());
        }
        Ok(known)
    }

    /// Waits for the running tasks, then puts back those that did not end in time.
    async fn stop(&mut self, grace: Duration) {
        let limit = self.clock.sleep(grace);
        tokio::pin!(limit);
        loop {
            tokio::select! {
                ended = self.tasks.join_next() => {
                    if ended.is_none() {
                        return;
                    }
                }
                () = &mut limit => break,
            }
        }
        self.stopping.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use quaero_store::Access;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_clock_that_is_set_back_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Write, 0).await.unwrap();
        let mut processor = Processor::new(store, Registry::default(), Arc::new(SystemClock), 1);
        processor.adopt(JobId(7));
        processor.follow_clock(9_000_000);
        let ready = Change::Ready { run: JobId(7), lane: "lane".to_owned(), at_ms: 9_000_500 };
        processor.notice(&[ready]);
        let usage = LaneUse { last_start_ms: 9_000_000, ..LaneUse::default() };
        processor.lanes.insert("lane".to_owned(), usage);
        processor.follow_clock(1_000_000);
        assert_eq!(processor.next_look(), Some(1_000_500));
        assert_eq!(processor.lanes["lane"].last_start_ms, 1_000_000);
    }

    #[tokio::test]
    async fn commits_that_were_missed_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Write, 0).await.unwrap();
        let mut processor = Processor::new(store, Registry::default(), Arc::new(SystemClock), 1);
        processor.adopt(JobId(7));
        processor.unseen.clear();
        let (sender, mut changes) = broadcast::channel(1);
        for lane in ["missed", "told"] {
            let ready = Change::Ready { run: JobId(7), lane: lane.to_owned(), at_ms: 0 };
            sender.send(Arc::from([ready])).unwrap();
        }
        processor.catch_up(&mut changes);
        assert!(processor.runs[&JobId(7)].lanes.contains_key("told"));
        assert!(processor.unseen.contains(&JobId(7)), "the lane that was missed");
    }
}
