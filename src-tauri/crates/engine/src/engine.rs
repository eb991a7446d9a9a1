//! The engine as its hosts see it: submit, cancel, resume, listen, stop.

use std::{sync::Arc, time::Duration};

use quaero_contract::{JobId, JobStatus, LogLevel};
use quaero_store::{LogRow, NewRun, Store, StoreError};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    clock::Clock,
    coordinator::advance,
    monitor::{Event, JobMonitor},
    processor::{Command, Processor},
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
    /// How many tasks run at the same time.
    pub width: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { adopt: Adopt::All, width: 24 }
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
}

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
        let processor =
            Processor::new(store.clone(), registry.clone(), clock.clone(), options.width);
        tokio::spawn(processor.serve(received, changes));
        let engine = Self { store, registry, clock, monitor, commands, monitoring };
        let open = engine.recover().await?;
        if options.adopt == Adopt::All {
            for run in open {
                engine.adopt(run).await?;
                engine.log(run, "The run goes on after an interruption.".to_owned());
            }
        }
        Ok(engine)
    }

    /// Takes back what a dead process was working on. Returns the runs that have not ended.
    async fn recover(&self) -> Result<Vec<JobId>, EngineError> {
        if self.store.was_unclean() {
            for violation in self.store.inconsistencies().await? {
                tracing::error!(%violation, "the store contradicts itself");
            }
        }
        let (registry, now_ms) = (self.registry.clone(), self.clock.now_ms());
        let open = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    for step in tx.void_dead_leases(now_ms).await? {
                        let run = tx.run_of(step).await?;
                        advance(tx, run, &registry, now_ms).await?;
                    }
                    tx.open_runs().await
                })
            })
            .await?;
        Ok(open)
    }

    /// Accepts a run and starts it. Returns after it is durable; the same request again returns
    /// the same run, and goes on with it if it was interrupted.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn submit(&self, run: NewRun) -> Result<JobId, EngineError> {
        let (registry, now_ms) = (self.registry.clone(), self.clock.now_ms());
        let name = run.name.clone();
        let (id, new) = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let (id, new) = tx.create_run(&run, now_ms).await?;
                    if new {
                        advance(tx, id, &registry, now_ms).await?;
                    } else {
                        tx.adopt_run(id).await?;
                    }
                    Ok((id, new))
                })
            })
            .await?;
        if new {
            self.log(id, format!("{name} was started."));
        }
        self.watch(id).await?;
        Ok(id)
    }

    /// Goes on with an interrupted run. One that is already under way here is left alone.
    ///
    /// # Errors
    /// If there is no such run, it has ended, or the store fails.
    pub async fn resume(&self, run: JobId) -> Result<(), EngineError> {
        still_open(run, self.store.run_progress(run).await?.map(|progress| progress.status))?;
        self.adopt(run).await
    }

    /// Cancels a run: nothing of it starts any more, and what is running stops.
    ///
    /// # Errors
    /// If there is no such run, it has ended, or the store fails.
    pub async fn cancel(&self, run: JobId) -> Result<(), EngineError> {
        let (registry, now_ms) = (self.registry.clone(), self.clock.now_ms());
        let status = self
            .store
            .write_urgent(move |tx| {
                Box::pin(async move {
                    // Asked here, so that nothing can end the run in between.
                    let status = tx.run_state(run).await?.map(|state| state.status);
                    if status.is_some_and(|status| !status.is_terminal()) {
                        tx.request_cancel(run).await?;
                        tx.cancel_tasks(run, None, now_ms).await?;
                        advance(tx, run, &registry, now_ms).await?;
                    }
                    Ok(status)
                })
            })
            .await?;
        still_open(run, status)?;
        self.log(run, "The run was cancelled.".to_owned());
        Ok(())
    }

    async fn adopt(&self, run: JobId) -> Result<(), EngineError> {
        self.store.write(move |tx| Box::pin(tx.adopt_run(run))).await?;
        self.watch(run).await
    }

    async fn watch(&self, run: JobId) -> Result<(), EngineError> {
        self.commands.send(Command::Adopt(run)).await.map_err(|_| EngineError::Stopped)
    }

    fn log(&self, run: JobId, message: String) {
        let at_ms = self.clock.now_ms();
        self.store.logs().write(LogRow {
            run,
            job: Some(run),
            at_ms,
            level: LogLevel::Info,
            message,
        });
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.monitor.subscribe()
    }

    /// Knows where every live run stands.
    #[must_use]
    pub fn monitor(&self) -> &JobMonitor {
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

fn still_open(run: JobId, status: Option<JobStatus>) -> Result<(), EngineError> {
    match status {
        None => Err(EngineError::NoSuchRun(run)),
        Some(status) if status.is_terminal() => Err(EngineError::AlreadyEnded(run, status)),
        Some(_) => Ok(()),
    }
}
