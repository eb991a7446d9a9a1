//! The engine as its hosts see it: submit, cancel, resume, listen, stop.

use std::{collections::HashMap, sync::Arc, time::Duration};

use quaero_contract::{JobId, JobStatus, LogLevel};
use quaero_store::{Keep, LogRow, NewRun, Point, Store, StoreError, Tx};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    clock::Clock,
    coordinator::{self, advance},
    monitor::{Event, JobMonitor},
    processor::{Command, Processor},
    threads::Threads,
    work::Registry,
};

/// Which unfinished runs a starting engine goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopt {
    /// All of them: the window.
    All,
    /// None, until one is resumed: a single command.
    None,
}

/// How an engine works.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Which unfinished runs it goes on with.
    pub adopt: Adopt,
    /// How many tasks run at the same time. Beyond them a run of which nothing runs may start one; of
    /// such tasks there are at most a sixth as many. A run below a step is a run of its own here.
    pub width: usize,
    /// Which threads do the work.
    pub threads: Threads,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { adopt: Adopt::All, width: 64, threads: Threads::Own }
    }
}

/// Why the engine refuses.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such run.
    #[error("There is no run {0}.")]
    NoSuchRun(JobId),
    /// The run has ended.
    #[error("Run {0} has already ended: it was {1}.")]
    AlreadyEnded(JobId, JobStatus),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine has been stopped.
    #[error("The engine has been stopped.")]
    Stopped,
}

/// The engine.
pub struct Engine {
    store: Store,
    registry: Registry,
    clock: Arc<dyn Clock>,
    monitor: Arc<JobMonitor>,
    commands: mpsc::Sender<Command>,
    monitoring: JoinHandle<()>,
    began: Began,
}

/// What the clock said when the engine began.
#[derive(Clone, Copy)]
struct Began {
    now_ms: i64,
    running_ms: Option<i64>,
    /// Whether it was near the last thing that the store knows of.
    near: bool,
}

/// How far the clock may go on without Quaero, in milliseconds, before it may as well be wrong.
const DOUBT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

impl Engine {
    /// Starts the engine on a store that is open for writing. Whatever a dead process was working
    /// on is taken back first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn start(
        store: Store,
        registry: Registry,
        clock: Arc<dyn Clock>,
        options: EngineOptions,
    ) -> Result<Self, EngineError> {
        let changes = store.changes()?;
        let live_epoch = store.live_epoch().await?;
        let monitor = JobMonitor::new(store.clone(), clock.clone(), live_epoch);
        let monitoring = tokio::spawn(monitor.clone().serve(store.changes()?));
        let (commands, received) = mpsc::channel(256);
        let processor = Processor::new(
            store.clone(),
            registry.clone(),
            clock.clone(),
            options.width,
            options.threads,
            monitor.waiting(),
        );
        let serving = processor.serve(received, changes);
        match options.threads {
            // Each of its rounds is a commit that it waits for.
            Threads::Own => store.spawn_beside_writer(serving)?,
            Threads::Shared => drop(tokio::spawn(serving)),
        }
        let (now_ms, running_ms) = (clock.now_ms(), clock.running_ms());
        let began = Began { now_ms, running_ms, near: false };
        let mut engine = Self { store, registry, clock, monitor, commands, monitoring, began };
        let (open, last_ms) = engine.recover().await?;
        engine.began.near =
            last_ms.is_none_or(|last_ms| last_ms.abs_diff(now_ms) <= DOUBT_MS.unsigned_abs());
        Point::Recovered.pass();
        if options.adopt == Adopt::All {
            for run in open {
                for run in engine.adopt(run).await? {
                    engine.log(run, "The run goes on after an interruption.");
                }
            }
        }
        Ok(engine)
    }

    /// Takes back what a dead process was working on. Returns the runs that have not ended and that
    /// no other run waits for, and what the clock said last, if that is known.
    async fn recover(&self) -> Result<(Vec<JobId>, Option<i64>), EngineError> {
        if self.store.was_unclean() {
            for violation in self.store.inconsistencies().await? {
                tracing::error!(%violation, "the store contradicts itself");
            }
        }
        let (registry, now_ms) = (self.registry.clone(), self.clock.now_ms());
        let taken = self.store.write(move |tx| {
            let last_ms = tx.last_change_ms()?;
            Ok((take_back(tx, &registry, now_ms)?, last_ms))
        });
        let ((open, back), last_ms) = taken.await?;
        if back > 1_000 {
            for run in &open {
                let message = format!(
                    "The computer's clock is {} s behind what it was when Quaero last ran. What waits for a time was moved with it.",
                    back / 1_000
                );
                self.log_at(*run, LogLevel::Warn, message);
            }
        }
        Ok((open, last_ms))
    }

    /// Whether the clock can be taken for right: it has not been set since the engine began, and then
    /// it was at most 30 days from the last thing that the store knows of. If not, it may be a year
    /// ahead, and nothing should be forgotten because of its age.
    #[must_use]
    pub fn trusts_clock(&self) -> bool {
        let Began { now_ms, running_ms, near } = self.began;
        let passed = self.clock.now_ms().saturating_sub(now_ms);
        let jump = match (running_ms, self.clock.running_ms()) {
            (Some(then), Some(now)) => passed.saturating_sub(now - then),
            _ => passed,
        };
        near && jump.abs() <= DOUBT_MS
    }

    /// Accepts a run and starts it. Returns after it is durable; the same request again returns
    /// the same run, and goes on with it if it was interrupted.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn submit(&self, mut run: NewRun) -> Result<JobId, EngineError> {
        memo_keys(&mut run, &self.registry);
        let (registry, now_ms) = (self.registry.clone(), self.clock.now_ms());
        let name = run.name.clone();
        Point::SubmitBegun.pass();
        let (id, new) = self
            .store
            .write(move |tx| {
                let (id, new) = tx.create_run(&run, now_ms)?;
                if new {
                    advance(tx, id, &registry, now_ms)?;
                } else if tx.job_status(id)?.is_some_and(|status| !status.is_terminal()) {
                    tx.adopt_run(id)?;
                }
                Ok((id, new))
            })
            .await?;
        Point::Submitted.pass();
        if new {
            self.log(id, &format!("{name} was started."));
        }
        Ok(id)
    }

    /// The names of the steps that would do their work if this run were submitted, all of it or a
    /// part; what the others did in the run that it repeats would be reused.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn working_steps(&self, mut run: NewRun) -> Result<Vec<String>, EngineError> {
        let Some(reuse) = run.reuse.clone() else {
            return Ok(run.steps.into_iter().map(|step| step.name).collect());
        };
        memo_keys(&mut run, &self.registry);
        Ok(self.store.write(move |tx| tx.working_steps(&run, &reuse)).await?)
    }

    /// Goes on with an interrupted or paused run. One that is under way here is left alone.
    ///
    /// # Errors
    /// If there is no such run, it has ended, or the store fails.
    pub async fn resume(&self, run: JobId) -> Result<(), EngineError> {
        let (registry, now_ms) = (self.registry.clone(), self.clock.now_ms());
        let resumed = self
            .change_open(run, move |tx| {
                let resumed = tx.pause_run(run, false, now_ms)?;
                tx.adopt_run(run)?;
                advance(tx, run, &registry, now_ms)?;
                Ok(resumed)
            })
            .await?;
        if resumed {
            self.log(run, "The run goes on.");
        }
        Ok(())
    }

    /// Pauses a run: tasks that are running end, and nothing of it starts until it is resumed. Time
    /// that passes meanwhile does not count for its timeouts.
    ///
    /// # Errors
    /// If there is no such run, it has ended, or the store fails.
    pub async fn pause(&self, run: JobId) -> Result<(), EngineError> {
        let now_ms = self.clock.now_ms();
        if self.change_open(run, move |tx| tx.pause_run(run, true, now_ms)).await? {
            self.log(run, "The run was paused.");
        }
        Ok(())
    }

    /// Pauses everything, or goes on. Stays over restarts.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn pause_all(&self, pause: bool) -> Result<(), EngineError> {
        let now_ms = self.clock.now_ms();
        self.store.write_urgent(move |tx| tx.pause_engine(pause, now_ms)).await?;
        Ok(())
    }

    /// Whether everything is paused.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn is_paused(&self) -> Result<bool, EngineError> {
        Ok(self.store.write(|tx| tx.engine_paused()).await?)
    }

    /// Cancels a run and every run that it has started: nothing of them starts any more, and what is
    /// running stops.
    ///
    /// # Errors
    /// If there is no such run, it has ended, or the store fails.
    pub async fn cancel(&self, run: JobId) -> Result<(), EngineError> {
        let (registry, now_ms) = (self.registry.clone(), self.clock.now_ms());
        self.change_open(run, move |tx| coordinator::cancel(tx, run, &registry, now_ms)).await?;
        self.log(run, "The run was cancelled.");
        Ok(())
    }

    /// Forgets runs that have ended and are not to be kept, with their logs. Documents stay.
    /// Returns the runs that were forgotten.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn prune(&self, keep: Keep) -> Result<Vec<JobId>, EngineError> {
        let mut forgotten = Vec::new();
        loop {
            // Small steps: nothing else is written meanwhile.
            let runs = self.store.write(move |tx| tx.prune_runs(keep)).await?;
            if runs.is_empty() {
                break;
            }
            Point::PruneCommitted.pass();
            self.store.logs().forget(&runs).await?;
            forgotten.extend(runs);
        }
        Ok(forgotten)
    }

    /// Changes a run that has not ended, before everything that is queued. Asked for and changed in
    /// one transaction, so that nothing can end the run in between.
    async fn change_open<T, F>(&self, run: JobId, change: F) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx) -> quaero_store::Result<T> + Send + 'static,
    {
        let changed = self.store.write_urgent(move |tx| match tx.job_status(run)? {
            Some(status) if !status.is_terminal() => change(tx).map(Ok),
            status => Ok(Err(status)),
        });
        changed.await?.map_err(|status| match status {
            None => EngineError::NoSuchRun(run),
            Some(status) => EngineError::AlreadyEnded(run, status),
        })
    }

    async fn adopt(&self, run: JobId) -> Result<Vec<JobId>, EngineError> {
        Ok(self.store.write(move |tx| tx.adopt_run(run)).await?)
    }

    fn log(&self, run: JobId, message: &str) {
        self.log_at(run, LogLevel::Info, message.to_owned());
    }

    fn log_at(&self, run: JobId, level: LogLevel, message: String) {
        let at_ms = self.clock.now_ms();
        self.store.logs().write(LogRow { run, job: Some(run), at_ms, level, message });
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.monitor.subscribe()
    }

    /// Knows where every live run stands.
    #[must_use]
    pub const fn monitor(&self) -> &Arc<JobMonitor> {
        &self.monitor
    }

    /// Starts nothing more, lets running tasks end within `grace`, and puts the others back.
    /// The runs are left as they are, to be resumed. The store stays open.
    pub async fn stop(self, grace: Duration) {
        let (stopped, wait) = oneshot::channel();
        if self.commands.send(Command::Stop { grace, stopped }).await.is_ok() {
            // If the processor has died there is nothing to wait for.
            let _ = wait.await;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The monitor holds the store, and with it the folder's lock.
        self.monitoring.abort();
    }
}

/// Takes back what a dead process was working on, and has what is stored follow a clock that was set
/// back since. Returns the runs that have not ended and that no other run waits for, and by how many
/// milliseconds the clock was set back.
pub(crate) fn take_back(
    tx: &mut Tx,
    registry: &Registry,
    now_ms: i64,
) -> quaero_store::Result<(Vec<JobId>, i64)> {
    // The clock cannot have been later than now, unless it was set back since.
    let last = tx.last_change_ms()?.unwrap_or(now_ms);
    let back = (last - now_ms).max(0);
    if back > 0 {
        tx.follow_clock(back)?;
    }
    tx.skip_time((now_ms - last).max(0))?;
    for run in tx.void_dead_leases(now_ms)? {
        advance(tx, run, registry, now_ms)?;
    }
    let paused = tx.engine_paused()?;
    tx.tell_paused(paused);
    Ok((tx.open_roots()?, back))
}

/// Gives every step a key that two steps share only if they do the same work: by their type, its
/// version, their configuration and tags, and the keys of the steps they wait for. Runs below a
/// step get theirs, too, so that each can be repeated in part like any other.
pub(crate) fn memo_keys(run: &mut NewRun, registry: &Registry) {
    for instance in run.steps.iter_mut().flat_map(|step| &mut step.instances) {
        memo_keys(instance, registry);
    }
    let mut keys: HashMap<String, String> = HashMap::new();
    // A step may come before one that it waits for; there are no circles.
    while let Some(at) = run.steps.iter().position(|step| {
        !keys.contains_key(&step.name) && step.depends.iter().all(|name| keys.contains_key(name))
    }) {
        let step = &mut run.steps[at];
        let version = registry.manager(&step.step_type).map_or(0, |manager| manager.version());
        let before: Vec<&String> = step.depends.iter().filter_map(|name| keys.get(name)).collect();
        let instances: Vec<_> =
            step.instances.iter().map(|i| (&i.definition_text, &i.variables)).collect();
        let work = serde_json::json!([
            step.step_type,
            version,
            step.config,
            step.output_tags,
            run.tags,
            before,
            instances
        ]);
        step.memo_key = blake3::hash(work.to_string().as_bytes()).to_hex().to_string();
        keys.insert(step.name.clone(), step.memo_key.clone());
    }
}
