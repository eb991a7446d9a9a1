//! One attempt at one task: the worker works, whatever it does, and its ending is recorded.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use quaero_contract::{JobId, LogLevel};
use quaero_store::{Claimed, LogRow, Store};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    complete::{self, Done, Ending, Recorded},
    coordinator::rows,
    work::{JobContext, Outcome, Registry, TaskError},
};

/// A task that takes longer than this is given up.
const TASK_LIMIT: Duration = Duration::from_secs(600);
/// How soon a storage fault that may pass is met with another try, at first and at most.
const STORAGE_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What all tasks of a step share.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) config: Arc<Value>,
    pub(crate) tags: Arc<[String]>,
}

/// What the processor has to know of an attempt that is over.
pub(crate) struct Finished {
    pub(crate) lane: String,
    /// How long nothing of the lane may start.
    pub(crate) pause_ms: u64,
}

/// One attempt at one task.
pub(crate) struct Attempt {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) step: Step,
    pub(crate) cancelled: CancellationToken,
    pub(crate) task: Claimed,
    pub(crate) now_ms: i64,
}

impl Attempt {
    pub(crate) async fn run(self) -> Finished {
        let ending = self.work().await;
        let recorded = self.record(&ending).await;
        let mut pause_ms = 0;
        match &recorded {
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
                if let Ending::Failed(TaskError {
                    retry: crate::work::Retry::PauseLane { ms },
                    ..
                }) = &ending
                {
                    pause_ms = *ms;
                }
            }
            Recorded::Stale => {
                tracing::warn!(job = %self.task.lease.job, "the result of a task that is no longer ours")
            }
            Recorded::Ended => {}
        }
        Finished { lane: self.task.lane, pause_ms }
    }

    /// Lets the worker work, whatever it does.
    async fn work(&self) -> Ending {
        let Some(worker) = self.registry.worker(&self.task.task_type).cloned() else {
            let message = format!("This version of Quaero cannot do `{}`.", self.task.task_type);
            return Ending::Failed(TaskError::permanent("unknown_task_type", message));
        };
        let context = self.context();
        let guarded = AssertUnwindSafe(worker.run(&context)).catch_unwind();
        let result = tokio::select! {
            biased;
            () = self.cancelled.cancelled() => return Ending::Interrupted,
            result = guarded => result,
            () = self.clock.sleep(TASK_LIMIT) => {
                let message = format!("It took longer than {} minutes.", TASK_LIMIT.as_secs() / 60);
                return Ending::Failed(TaskError::transient("timeout", message));
            }
        };
        match result {
            Ok(Ok(outcome)) => self.prepare(outcome).await,
            Ok(Err(error)) => Ending::Failed(error),
            Err(_) => {
                Ending::Failed(TaskError::permanent("panic", "The worker failed unexpectedly."))
            }
        }
    }

    /// Hashing and compressing take time that belongs to no async thread.
    async fn prepare(&self, outcome: Outcome) -> Ending {
        let tags = self.step.tags.clone();
        match tokio::task::spawn_blocking(move || Done::new(outcome, &tags)).await {
            Ok(done) => Ending::Done(Arc::new(done)),
            Err(_) => {
                Ending::Failed(TaskError::permanent("panic", "The result could not be prepared."))
            }
        }
    }

    /// Commits the ending. While the store cannot write, for example because the disk is full, the
    /// result is kept and tried again.
    async fn record(&self, ending: &Ending) -> Recorded {
        let mut pause = STORAGE_PAUSE.0;
        loop {
            let (lease, ending, registry) =
                (self.task.lease, ending.clone(), self.registry.clone());
            let now_ms = self.clock.now_ms();
            let written = self
                .store
                .write(move |tx| {
                    Box::pin(async move {
                        complete::complete(tx, lease, &ending, &registry, now_ms).await
                    })
                })
                .await;
            match written {
                Ok(recorded) => return recorded,
                Err(error) if complete::passes(&error) && !self.cancelled.is_cancelled() => {
                    tracing::error!(%error, job = %lease.job, "a result could not be written; trying again");
                    self.clock.sleep(pause).await;
                    pause = (pause * 2).min(STORAGE_PAUSE.1);
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

    fn context(&self) -> JobContext {
        let (store, clock, task) = (self.store.clone(), self.clock.clone(), &self.task);
        let (run, job, lease) = (task.run, task.lease.job, task.lease);
        let (log_store, log_clock) = (store.clone(), clock.clone());
        let spawn_store = store.clone();
        JobContext {
            id: job,
            step_id: task.step,
            run_id: run,
            depth: task.depth,
            attempt: u32::try_from(task.lease.attempt).unwrap_or(u32::MAX),
            name: task.name.clone(),
            config: self.step.config.clone(),
            payload: task.payload.clone(),
            tags: self.step.tags.clone(),
            cancelled: self.cancelled.clone(),
            store,
            log: Arc::new(move |level, message| {
                log(&log_store, &*log_clock, run, job, level, message)
            }),
            spawn: Arc::new(move |tasks| {
                let (store, now_ms) = (spawn_store.clone(), clock.now_ms());
                Box::pin(async move {
                    let children = rows(tasks);
                    let written = store
                        .write(move |tx| {
                            Box::pin(
                                async move { complete::spawn(tx, lease, &children, now_ms).await },
                            )
                        })
                        .await?;
                    let lost = || TaskError::permanent("cancelled", "The task is no longer ours.");
                    Ok(u32::try_from(written.ok_or_else(lost)?).unwrap_or(u32::MAX))
                })
            }),
            now_ms: self.now_ms,
        }
    }
}

fn log(store: &Store, clock: &dyn Clock, run: JobId, job: JobId, level: LogLevel, message: String) {
    store.logs().write(LogRow { run, job: Some(job), at_ms: clock.now_ms(), level, message });
}
