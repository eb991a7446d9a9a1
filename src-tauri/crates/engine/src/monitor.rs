//! The JobMonitor: knows where every live run stands, and tells.
//!
//! Each commit carries the progress of the runs it touched, read inside that commit, so the monitor
//! never asks the database on the off chance and is never ahead of it or behind.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use quaero_contract::{
    DocumentId, JobId, JobProgress, JobStatusChange, LogAppended, LogLine, ResultSaved,
};
use quaero_store::{Change, RunProgress, Store, StoreError};
use tokio::sync::broadcast;

use crate::{clock::Clock, pace::Pace, waiting::Waiting};

/// The shortest time between two reports of one run.
const INTERVAL_MS: i64 = 50;
const DOCUMENTS_TOLD: usize = 50;
const LINES_TOLD: usize = 500;

/// Something has happened. A receiver that lags loses old events, never the truth: it reads again.
#[derive(Clone, Debug)]
pub enum Event {
    /// Progress of a run.
    Progress(Box<JobProgress>),
    /// A run or a step changed state.
    Status(JobStatusChange),
    /// Documents were written.
    Saved(ResultSaved),
    /// Log lines were written.
    Log(LogAppended),
    /// Work waits because the store cannot be written at present, for this reason; `None` when it
    /// goes on.
    Waits(Option<StoreError>),
    /// The engine has given up: the store is damaged, or belongs to another process by now. Nothing
    /// runs until the next start.
    Halted(StoreError),
}

/// Where every live run stands.
pub struct JobMonitor {
    store: Store,
    clock: Arc<dyn Clock>,
    /// The epoch of this process: an open run of another one is interrupted.
    live_epoch: Option<i64>,
    events: broadcast::Sender<Event>,
    runs: Mutex<HashMap<JobId, (RunProgress, Pace)>>,
    halted: OnceLock<StoreError>,
    waiting: Waiting,
}

/// What is to be told of a run, and when it was last told of.
#[derive(Default)]
struct Untold {
    last_ms: i64,
    progress: bool,
    documents: Vec<DocumentId>,
    saved: u32,
    lines: Vec<LogLine>,
}

impl JobMonitor {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, live_epoch: Option<i64>) -> Arc<Self> {
        let (events, _) = broadcast::channel(4_096);
        let (runs, halted) = (Mutex::default(), OnceLock::new());
        let waiting = Waiting::new(events.clone());
        Arc::new(Self { store, clock, live_epoch, events, runs, halted, waiting })
    }

    /// What happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn halted(&self, why: &StoreError) {
        // Once, although it may be heard of twice.
        if self.halted.set(why.clone()).is_ok() {
            self.send(Event::Halted(why.clone()));
        }
    }

    /// Why the engine has given up, if it has.
    #[must_use]
    pub fn why_halted(&self) -> Option<StoreError> {
        self.halted.get().cloned()
    }

    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting.clone()
    }

    /// Why work waits for the store, if it does.
    #[must_use]
    pub fn why_waits(&self) -> Option<StoreError> {
        self.waiting.why()
    }

    /// Starts to keep track of a run. New and resumed runs are kept track of by themselves.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn start_monitoring(&self, run: JobId) -> quaero_store::Result<()> {
        // The answer comes with the commit, in order with all the others.
        self.store
            .write(move |tx| {
                tx.touch(run);
                Ok(())
            })
            .await
    }

    /// Forgets a run.
    pub fn stop_monitoring(&self, run: JobId) {
        self.known().remove(&run);
    }

    /// Whether a run is kept track of.
    #[must_use]
    pub fn is_monitoring(&self, run: JobId) -> bool {
        self.known().contains_key(&run)
    }

    /// Where a run stands, if it is kept track of. Asks nobody.
    #[must_use]
    pub fn progress(&self, run: JobId) -> Option<JobProgress> {
        let known = self.known();
        let (progress, pace) = known.get(&run)?;
        let pace = Some(pace).filter(|_| !progress.paused && !progress.status.is_terminal());
        Some(JobProgress {
            run: progress.summary(self.live_epoch, self.clock.now_ms()),
            steps: progress.steps.clone(),
            tasks_per_minute: pace.and_then(Pace::tasks_per_minute),
            remaining_ms: pace.and_then(|pace| pace.remaining_ms(progress)),
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, (RunProgress, Pace)>> {
        // The map is whole even if a holder panicked between two operations on it.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns commits into events until the store is closed.
    pub(crate) async fn serve(self: Arc<Self>, mut changes: broadcast::Receiver<Arc<[Change]>>) {
        let mut lines = self.store.logs().subscribe();
        let mut untold: BTreeMap<JobId, Untold> = BTreeMap::new();
        loop {
            let due = untold.values().filter(|u| u.is_due()).map(|u| u.last_ms + INTERVAL_MS).min();
            let timer = self.clock.until(due);
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => self.notice(&change, &mut untold),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.read_again(&mut untold).await,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                // Lines that were missed can be read; a closed log is not the end.
                Ok(written) = lines.recv() => {
                    for (run, line) in written.iter() {
                        untold.entry(*run).or_default().lines.push(line.clone());
                    }
                }
                () = timer => {}
            }
            let now_ms = self.clock.now_ms();
            for (run, news) in &mut untold {
                // The clock may have been set back.
                news.last_ms = news.last_ms.min(now_ms);
                if news.is_due() && news.last_ms + INTERVAL_MS <= now_ms {
                    news.last_ms = now_ms;
                    self.tell(*run, news);
                }
            }
            untold.retain(|run, news| news.is_due() || self.is_monitoring(*run));
        }
    }

    fn notice(&self, changes: &[Change], untold: &mut BTreeMap<JobId, Untold>) {
        for change in changes {
            match change {
                Change::Progress(progress) => {
                    let news = untold.entry(progress.id).or_default();
                    news.progress = true;
                    let ended = progress.status.is_terminal();
                    let now_ms = self.clock.now_ms();
                    let mut known = self.known();
                    let mut pace = known.remove(&progress.id).map(|k| k.1).unwrap_or_default();
                    pace.note(now_ms, progress.jobs.done(), progress.jobs.total);
                    known.insert(progress.id, (progress.clone(), pace));
                    drop(known);
                    if ended {
                        // The last word is never held back.
                        self.tell(progress.id, news);
                        self.stop_monitoring(progress.id);
                    }
                }
                Change::Saved { run, document } => {
                    let news = untold.entry(*run).or_default();
                    news.saved += 1;
                    news.documents.push(*document);
                }
                Change::Status { run, job, kind, name, status, error } => {
                    self.send(Event::Status(JobStatusChange {
                        run_id: *run,
                        job_id: *job,
                        kind: *kind,
                        name: name.clone(),
                        status: *status,
                        error: error.clone(),
                    }));
                }
                Change::Refused(why) => self.halted(why),
                Change::Adopted { .. }
                | Change::Ready { .. }
                | Change::StopRequested { .. }
                | Change::Paused { .. }
                | Change::Wake { .. } => {}
            }
        }
    }

    async fn read_again(&self, untold: &mut BTreeMap<JobId, Untold>) {
        let runs: Vec<JobId> = self.known().keys().copied().collect();
        for run in runs {
            if let Ok(Some(progress)) = self.store.run_progress(run).await {
                self.notice(&[Change::Progress(progress)], untold);
            }
        }
        let refused = self.store.write(|_| Ok(())).await.err();
        if let Some(why @ (StoreError::Corrupt { .. } | StoreError::Superseded { .. })) = refused {
            self.halted(&why);
        }
    }

    fn tell(&self, run: JobId, news: &mut Untold) {
        if std::mem::take(&mut news.progress)
            && let Some(progress) = self.progress(run)
        {
            self.send(Event::Progress(Box::new(progress)));
        }
        if news.saved > 0 {
            let newest =
                news.documents.split_off(news.documents.len().saturating_sub(DOCUMENTS_TOLD));
            self.send(Event::Saved(ResultSaved {
                run_id: run,
                document_ids: newest,
                count: news.saved,
            }));
            news.documents.clear();
            news.saved = 0;
        }
        if !news.lines.is_empty() {
            let newest = news.lines.split_off(news.lines.len().saturating_sub(LINES_TOLD));
            self.send(Event::Log(LogAppended { run_id: run, lines: newest }));
            news.lines.clear();
        }
    }

    fn send(&self, event: Event) {
        // Without a listener there is nobody to tell.
        let _ = self.events.send(event);
    }
}

impl Untold {
    fn is_due(&self) -> bool {
        self.progress || self.saved > 0 || !self.lines.is_empty()
    }
}
