//! Runs and their steps: as they are accepted, as the coordinator sees them, and their progress.

use quaero_contract::{
    DocumentCounts, FailureAction, JobCounts, JobError, JobId, JobStatus, OnError, RerunPart,
    RunStatus, RunSummary, StartedBy, StepProgress,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::{
    error::{Result, StoreError},
    schedules::Slot,
    statement::Record,
    time::rfc3339,
    writer::Tx,
};

/// A run to be accepted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NewRun {
    /// The same id twice is one run.
    pub request_id: String,
    /// The definition.
    pub definition_id: String,
    /// Its name now.
    pub name: String,
    /// What it works on, such as a folder or an address; empty if that is not known.
    pub subject: String,
    /// Its text now.
    pub definition_text: String,
    /// The values it runs with.
    pub variables: Vec<(String, String)>,
    /// Those of them that were given for this run.
    pub given: Vec<(String, String)>,
    /// Tags for every document of the run.
    pub tags: Vec<String>,
    /// The sign-in profile that descendants may use.
    pub auth_id: Option<String>,
    /// The steps, in the order of the definition.
    pub steps: Vec<NewStep>,
    /// What has started it.
    pub started_by: StartedBy,
    /// The earlier run whose work it does again.
    pub reuse: Option<Reuse>,
    /// Higher first.
    pub priority: i32,
    /// How many of its tasks may run at the same time.
    pub max_running: Option<u32>,
    /// What it is a run of, as far as only one of them may be under way.
    pub singleton: Option<String>,
    /// Whether it waits while another run with the same `singleton` is under way.
    pub hold: bool,
    /// The scheduled time that is settled with its acceptance.
    #[serde(skip)]
    pub slot: Option<Slot>,
    /// How long it may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How many failures of tasks it bears.
    pub tolerance: Option<Tolerance>,
}

/// How many tasks an attempt of a step may have, if the step does not say: far more than work that
/// comes to an end.
pub const MAX_TASKS: u32 = 1_000_000;

/// A step of a run to be accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewStep {
    /// Its name.
    pub name: String,
    /// Its type.
    pub step_type: String,
    /// What the definition says of it.
    pub description: String,
    /// Its configuration with all placeholders filled.
    pub config: Value,
    /// Tags for every document of the step.
    pub output_tags: Vec<String>,
    /// The names of its predecessors.
    pub depends: Vec<String>,
    /// What happens when it fails.
    pub on_error: OnError,
    /// Whether it runs although a predecessor failed.
    pub always_run: bool,
    /// The condition under which it runs.
    pub condition: Option<String>,
    /// Attempts in all, if `on_error` is `Retry`.
    pub max_attempts: u32,
    /// The pause before the second attempt, in milliseconds, on average half of it.
    pub retry_delay_ms: u64,
    /// The longest pause, in milliseconds.
    pub max_retry_delay_ms: u64,
    /// How long each attempt may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Whether what it has brought stands when that time is over.
    #[serde(default)]
    pub keep_on_timeout: bool,
    /// How long each attempt at one of its tasks may take, in milliseconds.
    pub task_timeout_ms: u64,
    /// How often each of its tasks is tried.
    pub task_attempts: u32,
    /// How many tasks each attempt may have.
    #[serde(default = "max_tasks")]
    pub max_tasks: u32,
    /// Of its tasks, higher first.
    pub priority: i32,
    /// Steps with the same key do the same work.
    pub memo_key: String,
    /// Runs that it starts.
    pub instances: Vec<NewRun>,
    /// How many of them at the same time.
    pub parallel: u32,
}

const fn max_tasks() -> u32 {
    MAX_TASKS
}

impl Default for NewStep {
    fn default() -> Self {
        Self {
            name: String::new(),
            step_type: String::new(),
            description: String::new(),
            config: Value::Null,
            output_tags: Vec::new(),
            depends: Vec::new(),
            on_error: OnError::default(),
            always_run: false,
            condition: None,
            max_attempts: 3,
            retry_delay_ms: 2_000,
            max_retry_delay_ms: 300_000,
            timeout_ms: None,
            keep_on_timeout: false,
            task_timeout_ms: 600_000,
            task_attempts: 4,
            max_tasks: MAX_TASKS,
            priority: 0,
            memo_key: String::new(),
            instances: Vec::new(),
            parallel: 1,
        }
    }
}

/// Which results of an earlier run stand for those of a new one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reuse {
    /// The earlier run.
    pub run: JobId,
    /// What is done again; the rest is reused where the memo keys are equal.
    pub part: RerunPart,
}

/// How many failures of tasks a run bears.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// This many may fail; 0 means any number.
    pub max_failures: u32,
    /// This share of the finished tasks may fail, in percent.
    pub max_percent: Option<f64>,
    /// The share counts from this many finished tasks on.
    pub min_sample: u32,
    /// What happens beyond that.
    pub action: FailureAction,
}

/// A step as the coordinator sees it.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// Its job.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub step_type: String,
    /// The names of its predecessors.
    pub depends: Vec<String>,
    /// What happens when it fails.
    pub on_error: OnError,
    /// Whether it runs although a predecessor failed.
    pub always_run: bool,
    /// The condition under which it runs.
    pub condition: Option<String>,
    /// Its state.
    pub status: JobStatus,
    /// The code of the error with which it ended.
    pub error_code: Option<String>,
    /// Its direct children that have not ended.
    pub open: u32,
    /// Its tasks by state, over all attempts.
    pub jobs: JobCounts,
    /// Its documents.
    pub documents: DocumentCounts,
    /// Its warnings.
    pub warnings: u32,
    /// What its present attempt has done: tasks completed, failed and cancelled.
    pub round: (u32, u32, u32),
    /// How often it has been started.
    pub attempt: u32,
    /// How often it may be.
    pub max_attempts: u32,
    /// The pause before the second attempt, in milliseconds.
    pub retry_delay_ms: u64,
    /// The longest pause, in milliseconds.
    pub max_retry_delay_ms: u64,
    /// When it may be tried again; 0 for now.
    pub run_after_ms: i64,
    /// When its present attempt has taken too long.
    pub deadline_ms: Option<i64>,
    /// Whether what it has brought stands when it has taken too long.
    pub keep_on_timeout: bool,
    /// Whether it still has to look after documents that earlier runs of it brought.
    pub sweep_due: bool,
    /// Why it was stopped.
    pub stop: Option<JobError>,
    /// Whether it starts runs.
    pub starts_runs: bool,
    /// Runs that it has yet to start.
    pub instances_left: u32,
    /// How many runs it starts at the same time.
    pub parallel: u32,
    /// It does again what failed in a step of an earlier run that completed nevertheless.
    pub completed_before: bool,
}

/// A run as the coordinator sees it.
#[derive(Clone, Debug)]
pub struct RunState {
    /// The run's own state.
    pub status: JobStatus,
    /// Whether a cancel has been recorded.
    pub cancel_requested: bool,
    /// Whether it waits for another run with the same singleton key.
    pub held: bool,
    /// Whether it, or the engine, is paused.
    pub paused: bool,
    /// When it has taken too long.
    pub deadline_ms: Option<i64>,
    /// Why it was stopped.
    pub stop: Option<JobError>,
    /// How many failures it bears, as long as that has not been acted on.
    pub tolerance: Option<Tolerance>,
    /// Its tasks by state.
    pub jobs: JobCounts,
    /// The values it runs with.
    pub variables: Vec<(String, String)>,
    /// The run above it.
    pub parent_run: Option<JobId>,
    /// The earlier run whose work it does again.
    pub reuse: Option<JobId>,
    /// Its steps in the order of the definition.
    pub steps: Vec<StepRow>,
}

/// What the workers of a step need to know.
#[derive(Clone, Debug)]
pub struct StepConfig {
    /// Its run.
    pub run: JobId,
    /// Its configuration with all placeholders filled.
    pub config: Value,
    /// The tags for its documents: the run's and its own.
    pub tags: Vec<String>,
    /// How long each attempt at a task may take, in milliseconds.
    pub task_timeout_ms: u64,
}

/// What bounds how much of a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// Higher first.
    pub priority: i32,
    /// How many of its tasks may run at the same time.
    pub max_running: Option<u32>,
    /// Whether it is paused itself.
    pub paused: bool,
}

/// Where a run stands.
#[derive(Clone, Debug)]
pub struct RunProgress {
    /// The run.
    pub id: JobId,
    /// The definition.
    pub definition_id: String,
    /// Its name.
    pub name: String,
    /// What it works on.
    pub subject: String,
    /// The state of the parent job.
    pub status: JobStatus,
    /// The process that works on it, or did last.
    pub epoch: i64,
    /// Whether it, or the engine, is paused.
    pub paused: bool,
    /// Whether it waits for another run.
    pub held: bool,
    /// What has started it.
    pub started_by: StartedBy,
    /// The run whose work it does again.
    pub rerun_of: Option<JobId>,
    /// The run above it.
    pub parent_run: Option<JobId>,
    /// When it was accepted, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended.
    pub finished_ms: Option<i64>,
    /// Tasks by state.
    pub jobs: JobCounts,
    /// Documents by outcome.
    pub documents: DocumentCounts,
    /// Things that went wrong without ending it.
    pub warnings: u32,
    /// Why it failed.
    pub error: Option<JobError>,
    /// Its steps in the order of the definition.
    pub steps: Vec<StepProgress>,
}

impl RunProgress {
    /// The view of it. `live_epoch` is the process that runs the engine now, if one does.
    #[must_use]
    pub fn summary(&self, live_epoch: Option<i64>, now_ms: i64) -> RunSummary {
        let status = match self.status {
            JobStatus::Pending | JobStatus::Running | JobStatus::Waiting => {
                if live_epoch != Some(self.epoch) {
                    RunStatus::Interrupted
                } else if self.held {
                    RunStatus::Queued
                } else if self.paused {
                    RunStatus::Paused
                } else {
                    RunStatus::Running
                }
            }
            JobStatus::Completed => RunStatus::Completed,
            JobStatus::Failed => RunStatus::Failed,
            JobStatus::Cancelled | JobStatus::Skipped => RunStatus::Cancelled,
        };
        let until = self.finished_ms.unwrap_or(now_ms);
        RunSummary {
            id: self.id,
            definition_id: self.definition_id.clone(),
            name: self.name.clone(),
            subject: self.subject.clone(),
            status,
            started: rfc3339(self.started_ms),
            finished: self.finished_ms.map(rfc3339),
            duration_ms: u32::try_from((until - self.started_ms).max(0)).unwrap_or(u32::MAX),
            jobs: self.jobs,
            documents: self.documents,
            warnings: self.warnings,
            error: self.error.clone(),
            started_by: self.started_by,
            rerun_of: self.rerun_of,
            parent_run: self.parent_run,
        }
    }
}

pub(crate) fn counts(row: &impl Record) -> Result<(JobCounts, DocumentCounts)> {
    Ok((
        JobCounts {
            total: row.field("total")?,
            pending: row.field("pending")?,
            running: row.field("running")?,
            waiting: row.field("waiting")?,
            completed: row.field("completed")?,
            failed: row.field("failed")?,
            cancelled: row.field("cancelled")?,
            skipped: row.field("skipped")?,
        },
        DocumentCounts {
            created: row.field("created")?,
            updated: row.field("updated")?,
            unchanged: row.field("unchanged")?,
        },
    ))
}

pub(crate) fn status(row: &impl Record) -> Result<JobStatus> {
    let word: String = row.field("status")?;
    JobStatus::parse(&word)
        .ok_or_else(|| StoreError::decode("JobStatus", format!("`{word}` is not a status")))
}

pub(crate) fn job_error(row: &impl Record) -> Result<Option<JobError>> {
    error_in(row, "error_code", "error_message")
}

fn error_in(row: &impl Record, code: &str, message: &str) -> Result<Option<JobError>> {
    let code: Option<String> = row.field(code)?;
    let message: Option<String> = row.field(message)?;
    Ok(code.map(|code| JobError { code, message: message.unwrap_or_default() }))
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &impl Record, column: &str) -> Result<T> {
    let text: String = row.field(column)?;
    serde_json::from_str(&text).map_err(|e| StoreError::decode(column, e))
}

pub(crate) const RUN_COLUMNS: &str =
    "SELECT j.id, j.name, j.status, j.created_ms, j.finished_ms, j.error_code, j.error_message,
    r.definition_id, r.subject, r.epoch, r.held, r.started_by, r.rerun_of, s.run_id AS parent_run,
    r.paused_ms IS NOT NULL OR (SELECT paused_ms FROM engine) IS NOT NULL AS paused, c.*
    FROM runs r JOIN jobs j ON j.id = r.id JOIN counters c ON c.job_id = r.id
        LEFT JOIN steps s ON s.id = r.caused_by";

pub(crate) fn run_row(row: &impl Record) -> Result<RunProgress> {
    let (jobs, documents) = counts(row)?;
    Ok(RunProgress {
        id: JobId(row.field("id")?),
        definition_id: row.field("definition_id")?,
        name: row.field("name")?,
        subject: row.field("subject")?,
        status: status(row)?,
        epoch: row.field("epoch")?,
        paused: row.field("paused")?,
        held: row.field("held")?,
        started_by: StartedBy::parse(&row.field::<String>("started_by")?).unwrap_or_default(),
        rerun_of: row.field::<Option<i64>>("rerun_of")?.map(JobId),
        parent_run: row.field::<Option<i64>>("parent_run")?.map(JobId),
        started_ms: row.field("created_ms")?,
        finished_ms: row.field("finished_ms")?,
        jobs,
        documents,
        warnings: row.field("warnings")?,
        error: job_error(row)?,
        steps: Vec::new(),
    })
}

pub(crate) fn on_error(row: &impl Record) -> Result<OnError> {
    let word: String = row.field("on_error")?;
    OnError::parse(&word)
        .ok_or_else(|| StoreError::decode("OnError", format!("`{word}` is not an error strategy")))
}

pub(crate) fn stop(row: &impl Record) -> Result<Option<JobError>> {
    error_in(row, "stop_code", "stop_message")
}

pub(crate) fn millis(row: &impl Record, column: &str) -> Result<u64> {
    Ok(row.field::<i64>(column)?.max(0).unsigned_abs())
}

/// The steps of a run, by its id.
const STEP_COLUMNS: &str =
    "SELECT j.id, j.name, j.status, c.* FROM steps s JOIN jobs j ON j.id = s.id
    JOIN counters c ON c.job_id = s.id WHERE s.run_id = ? ORDER BY s.ordinal";

fn step_progress(row: &impl Record) -> Result<StepProgress> {
    let (jobs, documents) = counts(row)?;
    let (id, name) = (JobId(row.field("id")?), row.field("name")?);
    Ok(StepProgress { id, name, status: status(row)?, jobs, documents })
}

impl Tx {
    /// Where a run stands, with its steps. A handful of rows, however many tasks it has.
    pub(crate) fn progress(&self, run: JobId) -> Result<Option<RunProgress>> {
        let row = self.first(&format!("{RUN_COLUMNS} WHERE r.id = ?"), [run.0])?;
        let Some(row) = row else { return Ok(None) };
        let mut progress = run_row(&row)?;
        for row in self.all(STEP_COLUMNS, [run.0])? {
            progress.steps.push(step_progress(&row)?);
        }
        Ok(Some(progress))
    }
}

/// As [`Tx::progress`], for a reader.
pub(crate) async fn progress(
    conn: &mut SqliteConnection,
    run: JobId,
) -> Result<Option<RunProgress>> {
    let row = QueryBuilder::<Sqlite>::new(RUN_COLUMNS)
        .push(" WHERE r.id = ")
        .push_bind(run.0)
        .build()
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut progress = run_row(&row)?;
    for row in &sqlx::query(STEP_COLUMNS).bind(run.0).fetch_all(conn).await? {
        progress.steps.push(step_progress(row)?);
    }
    Ok(Some(progress))
}
