//! One attempt at one task: the worker works, whatever it does, and its ending is recorded.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::FutureExt;
use quaero_contract::{JobId, LogLevel};
use quaero_store::{Claimed, Lease, LogRow, NewDocument, Point, Request, Store, StoreError};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    complete::{self, Done, Ending, Recorded},
    coordinator::rows,
    threads::compute,
    waiting::Waiting,
    work::{Asked, JobContext, NewTask, Outcome, Registry, Retry, TaskError},
};

/// How soon a storage fault that may pass is met with another try, at first and at most.
const STORAGE_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long a task that was handed out waits for a place before it is given back.
const SOON: Duration = Duration::from_millis(20);

/// How far below its step a task may have children. Work that leads to itself ends here; what is meant
/// to go deep is far from it.
const MOST_DEPTH: u32 = 1_000;

/// What all tasks of a step share.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) config: Arc<Value>,
    pub(crate) tags: Arc<[String]>,
    /// How long an attempt may take.
    pub(crate) task_timeout: Duration,
}

/// What the processor has to know of an attempt that is over.
pub(crate) struct Finished {
    /// How long nothing of the lane may start.
    pub(crate) pause_ms: u64,
    /// The attempt has done its work and leaves nothing else behind: the processor commits it
    /// together with others. Everything else is committed already.
    pub(crate) to_commit: Option<Lease>,
}

/// One attempt at one task.
pub(crate) struct Attempt {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) step: Step,
    /// Set when the run is cancelled or the step stopped, and with `stopping`.
    pub(crate) cancelled: CancellationToken,
    /// Set when the engine can wait no longer.
    pub(crate) stopping: CancellationToken,
    /// One for each task that may run at the same time.
    pub(crate) places: Arc<Semaphore>,
    /// More of them, for the first task of a run of which nothing runs.
    pub(crate) spare_places: Option<Arc<Semaphore>>,
    /// To be set when the worker is done.
    pub(crate) over: Arc<AtomicBool>,
    pub(crate) task: Claimed,
    pub(crate) now_ms: i64,
    pub(crate) waiting: Waiting,
}

impl Attempt {
    pub(crate) async fn run(self) -> Finished {
        let asked = Asked::default();
        let ending = match self.place().await {
            Some(_place) => self.work(&asked).await,
            None => Ending::NotBegun,
        };
        let requests: Arc<[Request]> =
            std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner)).into();
        self.over.store(true, Relaxed);
        Point::WorkDone.pass();
        if let Ending::Done(done) = &ending
            && done.is_plain()
            && requests.is_empty()
        {
            return Finished { pause_ms: done.pause_lane_ms, to_commit: Some(self.task.lease) };
        }
        let pause_ms = match &ending {
            Ending::Failed(TaskError { retry: Retry::PauseLane { ms }, .. }) => *ms,
            Ending::Done(done) => done.pause_lane_ms,
            _ => 0,
        };
        let recorded = self.record(ending, requests).await;
        Point::Recorded.pass();
        match recorded {
            Recorded::Failed(message) => {
                self.log(LogLevel::Error, format!("{}: {message}", self.task.name))
            }
            Recorded::Requeued(message, ms) => {
                self.log(
                    LogLevel::Warn,
                    format!(
                        "{}: {message} Trying again in {} s.",
                        self.task.name,
                        ms.div_ceil(1_000)
                    ),
                );
            }
            Recorded::Stale => {
                tracing::warn!(job = %self.task.lease.job, "the result of a task that is no longer ours")
            }
            Recorded::Ended | Recorded::GivenBack => {}
        }
        Finished { pause_ms, to_commit: None }
    }

    /// A place to run in; none if there is none soon, or when the attempt is interrupted.
    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.places.try_acquire() {
            return Some(place);
        }
        if let Some(place) = self.spare_places.as_ref().and_then(|spare| spare.try_acquire().ok()) {
            return Some(place);
        }
        tokio::select! {
            place = self.places.acquire() => place.ok(),
            () = self.cancelled.cancelled() => None,
            () = self.clock.sleep(SOON) => None,
        }
    }

    /// Lets the worker work, whatever it does.
    async fn work(&self, asked: &Asked) -> Ending {
        let Some(worker) = self.registry.worker(&self.task.task_type).cloned() else {
            let message = format!("This version of Quaero cannot do `{}`.", self.task.task_type);
            return Ending::Failed(TaskError::permanent("unknown_task_type", message));
        };
        let step = &self.step;
        let context = self.context(step, asked.clone());
        let prepared = async {
            let outcome = self.within_limits(worker.run(&context).await?);
            let tags = step.tags.clone();
            let bytes = outcome.documents.iter().map(NewDocument::bytes).sum();
            let done = compute(bytes, move || Done::new(outcome, &tags)).await;
            done.map_err(|_| TaskError::permanent("panic", "The result could not be prepared."))
        };
        let guarded = AssertUnwindSafe(prepared).catch_unwind();
        let result = tokio::select! {
            biased;
            () = self.cancelled.cancelled() => return Ending::Interrupted,
            result = guarded => result,
            () = self.clock.sleep(step.task_timeout) => {
                let message = format!("It took longer than {} s.", step.task_timeout.as_secs_f64());
                return Ending::Failed(TaskError::transient("timeout", message));
            }
        };
        match result {
            Ok(Ok(done)) => Ending::Done(Arc::new(done)),
            Ok(Err(error)) => Ending::Failed(error),
            Err(_) => {
                Ending::Failed(TaskError::permanent("panic", "The worker failed unexpectedly."))
            }
        }
    }

    /// Leaves out children that would be too deep or are too large. What the task has found stays.
    fn within_limits(&self, mut outcome: Outcome) -> Outcome {
        let Outcome { children, warnings, .. } = &mut outcome;
        children.retain(|child| match child.check() {
            Ok(()) => true,
            Err(error) => {
                warnings.push(format!("{} It was left out.", error.message));
                false
            }
        });
        if self.task.depth >= MOST_DEPTH && !outcome.children.is_empty() {
            outcome.children.clear();
            outcome.warnings.push(too_deep(&self.task.name));
        }
        outcome
    }

    /// Commits the ending. While the store cannot write, for example because the disk is full, the
    /// result is kept and tried again. A result that the store will never take fails the task.
    async fn record(&self, mut ending: Ending, requests: Arc<[Request]>) -> Recorded {
        let mut pause = STORAGE_PAUSE.0;
        let mut waits = None;
        loop {
            let (lease, registry, tried) = (self.task.lease, self.registry.clone(), ending.clone());
            let (now_ms, asked) = (self.clock.now_ms(), requests.clone());
            let written = self
                .store
                .write(move |tx| complete::complete(tx, lease, &tried, &asked, &registry, now_ms))
                .await;
            match written {
                Ok(recorded) => return recorded,
                Err(error) if error.may_pass() && !self.stopping.is_cancelled() => {
                    tracing::error!(%error, job = %lease.job, "a result could not be written; trying again");
                    waits.get_or_insert_with(|| self.waiting.begin(&error));
                    tokio::select! {
                        () = self.clock.sleep(pause) => {}
                        () = self.stopping.cancelled() => {}
                    }
                    pause = (pause * 2).min(STORAGE_PAUSE.1);
                }
                Err(error @ (StoreError::Database { .. } | StoreError::Panicked(_)))
                    if !error.may_pass() && matches!(ending, Ending::Done(_)) =>
                {
                    tracing::error!(%error, job = %lease.job, "a result was refused");
                    let message = format!("Its result could not be saved. {error}");
                    ending = Ending::Failed(TaskError::permanent("storage", message));
                }
                Err(error) => {
                    // The lease stays; the next start takes the task back.
                    tracing::error!(%error, job = %lease.job, "a result could not be written");
                    return Recorded::Stale;
                }
            }
        }
    }

    fn log(&self, level: LogLevel, message: String) {
        log(&self.store, &*self.clock, self.task.run, self.task.lease.job, level, message);
    }

    fn context(&self, step: &Step, asked: Asked) -> JobContext {
        let (store, clock, task) = (self.store.clone(), self.clock.clone(), &self.task);
        let (run, job, lease) = (task.run, task.lease.job, task.lease);
        let (log_store, log_clock) = (store.clone(), clock.clone());
        let spawn_store = store.clone();
        let (depth, name) = (task.depth, task.name.clone());
        JobContext {
            id: job,
            step_id: task.step,
            run_id: run,
            depth: task.depth,
            attempt: u32::try_from(task.lease.attempt).unwrap_or(u32::MAX),
            name: task.name.clone(),
            config: step.config.clone(),
            payload: task.payload.clone(),
            tags: step.tags.clone(),
            cancelled: self.cancelled.clone(),
            store,
            clock: clock.clone(),
            log: Arc::new(move |level, message| {
                log(&log_store, &*log_clock, run, job, level, message)
            }),
            spawn: Arc::new(move |tasks| {
                if depth >= MOST_DEPTH {
                    let error = TaskError::permanent("too_deep", too_deep(&name));
                    return Box::pin(std::future::ready(Err(error)));
                }
                let (store, now_ms) = (spawn_store.clone(), clock.now_ms());
                Box::pin(async move {
                    tasks.iter().try_for_each(NewTask::check)?;
                    let children = rows(tasks);
                    let written = store
                        .write(move |tx| complete::spawn(tx, lease, &children, now_ms))
                        .await?;
                    let lost = || TaskError::permanent("cancelled", "The task is no longer ours.");
                    let written = written.ok_or_else(lost)?;
                    if let Some(most) = written.too_many {
                        let error = complete::too_many(most);
                        return Err(TaskError::permanent(error.code, error.message));
                    }
                    Ok(u32::try_from(written.written).unwrap_or(u32::MAX))
                })
            }),
            now_ms: self.now_ms,
            asked,
        }
    }
}

fn too_deep(name: &str) -> String {
    format!(
        "{name} is {MOST_DEPTH} levels below its step, so what it leads to was left out. Limit the depth of the step, or look for work that leads to itself."
    )
}

fn log(store: &Store, clock: &dyn Clock, run: JobId, job: JobId, level: LogLevel, message: String) {
    store.logs().write(LogRow { run, job: Some(job), at_ms: clock.now_ms(), level, message });
}
