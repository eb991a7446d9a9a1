//! The only place that emits to the window.
//!
//! Architecture invariant: nothing else calls `emit`. Many emitters would flood the web view and can
//! deadlock with calls coming the other way. What happened is gathered and sent at most ten times a
//! second, the first of a quiet time at once. Each batch holds whole values, never differences, and
//! [`EventsMissed`] tells the front end to read again.

use std::time::Duration;

use quaero_app::AppEvent;
use quaero_contract::{
    DefinitionsChanged, EngineHalted, JobId, JobProgress, JobStatusChange, LogAppended,
    ResultSaved, StorageWait,
};
use serde::Serialize;
use specta::Type;
use tauri::AppHandle;
use tauri_specta::Event;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep_until},
};

/// From one batch to the next.
const INTERVAL: Duration = Duration::from_millis(100);
/// Log lines of one run in one batch; older ones can be read.
const MAX_LINES: usize = 500;
/// Documents of one run named in one batch; the count is of all.
const MAX_IDS: usize = 50;
/// Status changes in one batch. More than these at once are told as [`EventsMissed`].
const MAX_CHANGES: usize = 1_000;

// The contract knows nothing of Tauri, so what is sent is wrapped here.

/// The newest progress of each run that moved.
#[derive(Clone, Debug, Serialize, Type, Event)]
#[tauri_specta(event_name = "job-progress")]
pub(crate) struct JobProgressBatch(Vec<JobProgress>);

/// Runs and steps that changed state, in order.
#[derive(Clone, Debug, Serialize, Type, Event)]
#[tauri_specta(event_name = "job-status-change")]
pub(crate) struct JobStatusChangeBatch(Vec<JobStatusChange>);

/// Documents written, one entry for each run.
#[derive(Clone, Debug, Serialize, Type, Event)]
#[tauri_specta(event_name = "result-saved")]
pub(crate) struct ResultSavedBatch(Vec<ResultSaved>);

/// Log lines, one entry for each run.
#[derive(Clone, Debug, Serialize, Type, Event)]
#[tauri_specta(event_name = "log-appended")]
pub(crate) struct LogAppendedBatch(Vec<LogAppended>);

/// Definitions and job templates that changed.
#[derive(Clone, Debug, Serialize, Type, Event)]
#[tauri_specta(event_name = "definitions-changed")]
pub(crate) struct DefinitionsChangedBatch(DefinitionsChanged);

/// Work waits for the storage, or goes on.
#[derive(Clone, Debug, Serialize, Type, Event)]
#[tauri_specta(event_name = "storage-wait")]
pub(crate) struct StorageWaitEvent(StorageWait);

/// The engine has given up.
#[derive(Clone, Debug, Serialize, Type, Event)]
#[tauri_specta(event_name = "engine-halted")]
pub(crate) struct EngineHaltedEvent(EngineHalted);

/// Some events were lost because there were too many: everything shown has to be read again.
#[derive(Clone, Debug, Serialize, Type, Event)]
pub(crate) struct EventsMissed;

/// What happened since the last batch.
#[derive(Debug, Default)]
struct Batch {
    progress: Vec<JobProgress>,
    status: Vec<JobStatusChange>,
    saved: Vec<ResultSaved>,
    log: Vec<LogAppended>,
    definitions: DefinitionsChanged,
    waits: Option<StorageWait>,
    halted: Option<EngineHalted>,
    missed: bool,
}

impl Batch {
    fn add(&mut self, event: AppEvent) {
        match event {
            AppEvent::Progress(new) => {
                match self.progress.iter_mut().find(|old| old.run.id == new.run.id) {
                    Some(old) => *old = *new,
                    None => self.progress.push(*new),
                }
            }
            AppEvent::Status(_) if self.status.len() == MAX_CHANGES => self.missed = true,
            AppEvent::Status(new) => self.status.push(new),
            AppEvent::Saved(new) => {
                let all = of_run(
                    &mut self.saved,
                    new.run_id,
                    |saved| saved.run_id,
                    |run_id| ResultSaved { run_id, document_ids: Vec::new(), count: 0 },
                );
                all.count = all.count.saturating_add(new.count);
                all.document_ids.extend(new.document_ids);
                keep_newest(&mut all.document_ids, MAX_IDS);
            }
            AppEvent::Log(new) => {
                let all = of_run(
                    &mut self.log,
                    new.run_id,
                    |log| log.run_id,
                    |run_id| LogAppended { run_id, lines: Vec::new() },
                );
                all.lines.extend(new.lines);
                keep_newest(&mut all.lines, MAX_LINES);
            }
            AppEvent::Definitions(new) => {
                add_new(&mut self.definitions.ids, new.ids);
                add_new(&mut self.definitions.templates, new.templates);
            }
            AppEvent::Waits(new) => self.waits = Some(new),
            AppEvent::Halted(new) => self.halted = Some(new),
        }
    }

    /// Status first, so that a run is known before its progress; the log last, because it is the longest.
    fn emit(self, app: &AppHandle) {
        let unchanged = self.definitions == DefinitionsChanged::default();
        send_unless_empty(app, unchanged, DefinitionsChangedBatch(self.definitions));
        send_unless_empty(app, self.status.is_empty(), JobStatusChangeBatch(self.status));
        send_unless_empty(app, self.progress.is_empty(), JobProgressBatch(self.progress));
        send_unless_empty(app, self.saved.is_empty(), ResultSavedBatch(self.saved));
        send_unless_empty(app, self.log.is_empty(), LogAppendedBatch(self.log));
        send_unless_empty(app, !self.missed, EventsMissed);
        if let Some(waits) = self.waits {
            send_unless_empty(app, false, StorageWaitEvent(waits));
        }
        if let Some(halted) = self.halted {
            send_unless_empty(app, false, EngineHaltedEvent(halted));
        }
    }
}

/// The entry of this run, made if it is not there yet.
fn of_run<T>(
    entries: &mut Vec<T>,
    run: JobId,
    run_of: impl Fn(&T) -> JobId,
    new: impl FnOnce(JobId) -> T,
) -> &mut T {
    let index = entries.iter().position(|entry| run_of(entry) == run).unwrap_or_else(|| {
        entries.push(new(run));
        entries.len() - 1
    });
    &mut entries[index]
}

/// Adds what is not there yet. There are at most a thousand files of each kind.
fn add_new(list: &mut Vec<String>, more: Vec<String>) {
    for one in more {
        if !list.contains(&one) {
            list.push(one);
        }
    }
}

fn keep_newest<T>(list: &mut Vec<T>, max: usize) {
    list.drain(..list.len().saturating_sub(max));
}

fn send_unless_empty<E: Event + Serialize + Clone>(app: &AppHandle, empty: bool, event: E) {
    if empty {
        return;
    }
    if let Err(error) = event.emit(app) {
        tracing::warn!(%error, event = E::NAME, "An event did not reach the window.");
    }
}

/// Forwards events until the application is closed.
pub(crate) async fn forward(app: AppHandle, mut events: Receiver<AppEvent>) {
    let mut next = Instant::now();
    while let Some(batch) = gather(&mut events, next).await {
        batch.emit(&app);
        next = Instant::now() + INTERVAL;
    }
}

/// Waits for an event, then for everything that comes until `until`. None when there will be no more.
async fn gather(events: &mut Receiver<AppEvent>, until: Instant) -> Option<Batch> {
    let mut batch = Batch::default();
    take(&mut batch, events.recv().await)?;
    loop {
        tokio::select! {
            biased;
            () = sleep_until(until) => break,
            // An end is seen again by the next call, after this batch has been sent.
            event = events.recv() => if take(&mut batch, event).is_none() { break },
        }
    }
    Some(batch)
}

fn take(batch: &mut Batch, event: Result<AppEvent, RecvError>) -> Option<()> {
    match event {
        Ok(event) => batch.add(event),
        Err(RecvError::Lagged(count)) => {
            tracing::debug!(count, "The window was told to read again.");
            batch.missed = true;
        }
        Err(RecvError::Closed) => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use quaero_contract::{
        DocumentCounts, DocumentId, JobCounts, JobKind, JobStatus, LogLevel, LogLine, RunStatus,
        RunSummary, StartedBy,
    };
    use tokio::sync::broadcast;

    use super::*;

    fn progress(run: i64, completed: u32) -> AppEvent {
        let run = RunSummary {
            id: JobId(run),
            definition_id: "index-folder".into(),
            subject: String::new(),
            name: "Index a folder".into(),
            status: RunStatus::Running,
            started: String::new(),
            finished: None,
            duration_ms: 0,
            jobs: JobCounts { completed, ..JobCounts::default() },
            documents: DocumentCounts::default(),
            warnings: 0,
            error: None,
            started_by: StartedBy::Manual,
            rerun_of: None,
            parent_run: None,
        };
        AppEvent::Progress(Box::new(JobProgress {
            run,
            steps: Vec::new(),
            tasks_per_minute: None,
            remaining_ms: None,
        }))
    }

    fn status(job: i64) -> AppEvent {
        AppEvent::Status(JobStatusChange {
            run_id: JobId(1),
            job_id: JobId(job),
            kind: JobKind::Step,
            name: "crawl".into(),
            status: JobStatus::Completed,
            error: None,
        })
    }

    fn saved(run: i64, ids: std::ops::Range<i64>) -> AppEvent {
        AppEvent::Saved(ResultSaved {
            run_id: JobId(run),
            count: u32::try_from(ids.end - ids.start).expect("a small range"),
            document_ids: ids.map(DocumentId).collect(),
        })
    }

    fn log(run: i64, lines: std::ops::Range<u32>) -> AppEvent {
        let lines = lines
            .map(|seq| LogLine {
                seq,
                at: String::new(),
                level: LogLevel::Info,
                job_id: None,
                message: String::new(),
            })
            .collect();
        AppEvent::Log(LogAppended { run_id: JobId(run), lines })
    }

    /// What one batch makes of these events.
    async fn batch(capacity: usize, happened: Vec<AppEvent>) -> Batch {
        let (sender, mut receiver) = broadcast::channel(capacity);
        for event in happened {
            sender.send(event).expect("there is a receiver");
        }
        drop(sender);
        let far = Instant::now() + Duration::from_secs(60);
        gather(&mut receiver, far).await.expect("something happened")
    }

    #[tokio::test]
    async fn a_batch_has_the_newest_progress_of_each_run() {
        let batch =
            batch(16, vec![progress(1, 1), progress(2, 5), progress(1, 2), progress(1, 3)]).await;
        let newest: Vec<_> =
            batch.progress.iter().map(|event| (event.run.id.0, event.run.jobs.completed)).collect();
        assert_eq!(newest, [(1, 3), (2, 5)]);
        assert!(!batch.missed, "nothing was lost");
    }

    #[tokio::test]
    async fn a_batch_has_every_status_change_in_order() {
        let batch = batch(16, vec![status(4), status(2), status(3)]).await;
        let jobs: Vec<_> = batch.status.iter().map(|change| change.job_id.0).collect();
        assert_eq!(jobs, [4, 2, 3]);
    }

    #[tokio::test]
    async fn documents_and_lines_are_joined_by_run_and_bounded() {
        let batch = batch(
            16,
            vec![
                saved(1, 0..40),
                log(1, 0..400),
                saved(2, 0..1),
                saved(1, 40..80),
                log(1, 400..800),
            ],
        )
        .await;
        let [one, two] = batch.saved.as_slice() else {
            panic!("two runs, not {}", batch.saved.len())
        };
        assert_eq!((one.count, one.document_ids.len()), (80, MAX_IDS));
        assert_eq!(one.document_ids.last(), Some(&DocumentId(79)), "the newest are kept");
        assert_eq!((two.run_id, two.count), (JobId(2), 1));
        let [lines] = batch.log.as_slice() else { panic!("one run, not {}", batch.log.len()) };
        assert_eq!((lines.lines.len(), lines.lines[MAX_LINES - 1].seq), (MAX_LINES, 799));
    }

    #[tokio::test]
    async fn changed_definitions_are_named_once() {
        let changed = |ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            AppEvent::Definitions(DefinitionsChanged { ids, templates: Vec::new() })
        };
        let batch = batch(16, vec![changed(&["a", "b"]), changed(&["b", "c"])]).await;
        assert_eq!(batch.definitions.ids, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn lost_events_are_told() {
        let batch = batch(2, (0..10).map(status).collect()).await;
        assert!(batch.missed, "the channel holds two of ten");
    }

    #[tokio::test]
    async fn a_flood_of_status_changes_is_bounded_and_told() {
        let batch = batch(4_096, (0..2_000).map(status).collect()).await;
        assert_eq!((batch.status.len(), batch.missed), (MAX_CHANGES, true));
    }

    #[tokio::test]
    async fn the_end_comes_after_the_last_batch() {
        let (sender, mut receiver) = broadcast::channel(4);
        sender.send(status(1)).expect("there is a receiver");
        drop(sender);
        let far = Instant::now() + Duration::from_secs(60);
        assert!(gather(&mut receiver, far).await.is_some());
        assert!(gather(&mut receiver, far).await.is_none());
    }
}
