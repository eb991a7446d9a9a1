//! Runs and their steps: written when a run is accepted, and read by the coordinator and for progress.

use quaero_contract::{
    DocumentCounts, JobCounts, JobError, JobId, JobKind, JobStatus, RunStatus, RunSummary,
    StepProgress,
};
use serde_json::Value;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};

use crate::{change::Change, error::Result, time::rfc3339, writer::Tx};

/// A run to be accepted.
#[derive(Clone, Debug)]
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
    /// The values that were set.
    pub variables: Vec<(String, String)>,
    /// Tags for every document of the run.
    pub tags: Vec<String>,
    /// The sign-in profile that descendants may use.
    pub auth_id: Option<String>,
    /// The steps, in the order of the definition.
    pub steps: Vec<NewStep>,
}

/// A step of a run to be accepted.
#[derive(Clone, Debug)]
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
    /// `continue`, `fail`, `fatal` or `retry`.
    pub on_error: String,
    /// Whether it runs although a predecessor failed.
    pub always_run: bool,
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
    /// Its configuration with all placeholders filled.
    pub config: Value,
    /// The names of its predecessors.
    pub depends: Vec<String>,
    /// `continue`, `fail`, `fatal` or `retry`.
    pub on_error: String,
    /// Whether it runs although a predecessor failed.
    pub always_run: bool,
    /// Its state.
    pub status: JobStatus,
    /// Its direct children that have not ended.
    pub open: u32,
    /// Its tasks by state.
    pub jobs: JobCounts,
}

/// A run as the coordinator sees it.
#[derive(Clone, Debug)]
pub struct RunState {
    /// The run's own state.
    pub status: JobStatus,
    /// Whether a cancel has been recorded.
    pub cancel_requested: bool,
    /// Its steps in the order of the definition.
    pub steps: Vec<StepRow>,
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
                if live_epoch == Some(self.epoch) {
                    RunStatus::Running
                } else {
                    RunStatus::Interrupted
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
        }
    }
}

pub(crate) type RowResult<T> = std::result::Result<T, sqlx::Error>;

pub(crate) fn counts(row: &SqliteRow) -> RowResult<(JobCounts, DocumentCounts)> {
    Ok((
        JobCounts {
            total: row.try_get("total")?,
            pending: row.try_get("pending")?,
            running: row.try_get("running")?,
            waiting: row.try_get("waiting")?,
            completed: row.try_get("completed")?,
            failed: row.try_get("failed")?,
            cancelled: row.try_get("cancelled")?,
            skipped: row.try_get("skipped")?,
        },
        DocumentCounts {
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
            unchanged: row.try_get("unchanged")?,
        },
    ))
}

pub(crate) fn status(row: &SqliteRow) -> RowResult<JobStatus> {
    let word: &str = row.try_get("status")?;
    JobStatus::parse(word)
        .ok_or_else(|| sqlx::Error::Decode(format!("`{word}` is not a status").into()))
}

pub(crate) fn job_error(row: &SqliteRow) -> RowResult<Option<JobError>> {
    let code: Option<String> = row.try_get("error_code")?;
    let message: Option<String> = row.try_get("error_message")?;
    Ok(code.map(|code| JobError { code, message: message.unwrap_or_default() }))
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &SqliteRow, column: &str) -> RowResult<T> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|e| sqlx::Error::Decode(e.into()))
}

pub(crate) const RUN_COLUMNS: &str = "SELECT j.id, j.name, j.status, j.created_ms, j.finished_ms, j.error_code, j.error_message,
    r.definition_id, r.subject, r.epoch, c.* FROM runs r JOIN jobs j ON j.id = r.id JOIN counters c ON c.job_id = r.id";

pub(crate) fn run_row(row: &SqliteRow) -> RowResult<RunProgress> {
    let (jobs, documents) = counts(row)?;
    Ok(RunProgress {
        id: JobId(row.try_get("id")?),
        definition_id: row.try_get("definition_id")?,
        name: row.try_get("name")?,
        subject: row.try_get("subject")?,
        status: status(row)?,
        epoch: row.try_get("epoch")?,
        started_ms: row.try_get("created_ms")?,
        finished_ms: row.try_get("finished_ms")?,
        jobs,
        documents,
        warnings: row.try_get("warnings")?,
        error: job_error(row)?,
        steps: Vec::new(),
    })
}

/// Where a run stands, with its steps. A handful of rows, however many tasks it has.
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
    let steps = sqlx::query(
        "SELECT j.id, j.name, j.status, c.* FROM steps s JOIN jobs j ON j.id = s.id
         JOIN counters c ON c.job_id = s.id WHERE s.run_id = ? ORDER BY s.ordinal",
    )
    .bind(run.0)
    .fetch_all(conn)
    .await?;
    for row in &steps {
        let (jobs, documents) = counts(row)?;
        let (id, name) = (JobId(row.try_get("id")?), row.try_get("name")?);
        progress.steps.push(StepProgress { id, name, status: status(row)?, jobs, documents });
    }
    Ok(Some(progress))
}

impl Tx {
    /// Accepts a run: writes its parent job and a job for every step, all in one go. Returns its
    /// id, and whether it is new; the same request again returns the same run.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn create_run(&mut self, run: &NewRun, now_ms: i64) -> Result<(JobId, bool)> {
        let known: Option<i64> = sqlx::query_scalar("SELECT id FROM runs WHERE request_id = ?")
            .bind(&run.request_id)
            .fetch_optional(&mut self.conn)
            .await?;
        if let Some(id) = known {
            return Ok((JobId(id), false));
        }
        let hash = blake3::hash(run.definition_text.as_bytes()).to_hex().to_string();
        sqlx::query(
            "INSERT INTO definition_texts (hash, text) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&hash)
        .bind(&run.definition_text)
        .execute(&mut self.conn)
        .await?;
        let id = self.insert_job(None, JobKind::Parent, "run", &run.name, now_ms).await?;
        sqlx::query(
            "INSERT INTO runs (id, request_id, definition_id, definition_hash, subject, variables, tags,
                 auth_id, epoch)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(id.0)
        .bind(&run.request_id)
        .bind(&run.definition_id)
        .bind(&hash)
        .bind(&run.subject)
        .bind(serde_json::to_string(&run.variables).expect("text pairs are plain data"))
        .bind(serde_json::to_string(&run.tags).expect("texts are plain data"))
        .bind(&run.auth_id)
        .bind(self.epoch)
        .execute(&mut self.conn)
        .await?;
        for (ordinal, step) in (0_i64..).zip(&run.steps) {
            let job = self
                .insert_job(Some(id), JobKind::Step, &step.step_type, &step.name, now_ms)
                .await?;
            sqlx::query(
                "INSERT INTO steps (id, run_id, ordinal, description, config, output_tags, depends,
                     on_error, always_run)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(job.0)
            .bind(id.0)
            .bind(ordinal)
            .bind(&step.description)
            .bind(step.config.to_string())
            .bind(serde_json::to_string(&step.output_tags).expect("texts are plain data"))
            .bind(serde_json::to_string(&step.depends).expect("texts are plain data"))
            .bind(&step.on_error)
            .bind(step.always_run)
            .execute(&mut self.conn)
            .await?;
        }
        self.move_job(id, JobStatus::Waiting, None, now_ms).await?;
        Ok((id, true))
    }

    async fn insert_job(
        &mut self,
        run: Option<JobId>,
        kind: JobKind,
        job_type: &str,
        name: &str,
        now_ms: i64,
    ) -> Result<JobId> {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO jobs (id, run_id, parent_id, step_id, kind, type, name, created_ms, changed_ms)
             SELECT n.id, coalesce(?1, n.id), ?1, CASE WHEN ?1 IS NOT NULL THEN n.id END, ?2, ?3, ?4, ?5, ?5
             FROM (SELECT coalesce(max(seq), 0) + 1 AS id FROM sqlite_sequence WHERE name = 'jobs') AS n
             RETURNING id",
        )
        .bind(run.map(|r| r.0))
        .bind(kind.as_str())
        .bind(job_type)
        .bind(name)
        .bind(now_ms)
        .fetch_one(&mut self.conn)
        .await?;
        sqlx::query("INSERT INTO counters (job_id) VALUES (?)")
            .bind(id)
            .execute(&mut self.conn)
            .await?;
        Ok(JobId(id))
    }

    /// Makes this process the one that works on a run.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn adopt_run(&mut self, run: JobId) -> Result<()> {
        sqlx::query("UPDATE runs SET epoch = ? WHERE id = ?")
            .bind(self.epoch)
            .bind(run.0)
            .execute(&mut self.conn)
            .await?;
        self.touch(run);
        Ok(())
    }

    /// Records the wish to cancel. From this commit on no task of the run can be written.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn request_cancel(&mut self, run: JobId) -> Result<()> {
        sqlx::query("UPDATE runs SET cancel_requested = 1 WHERE id = ?")
            .bind(run.0)
            .execute(&mut self.conn)
            .await?;
        self.note(Change::CancelRequested { run });
        self.touch(run);
        Ok(())
    }

    /// The run that this step or task belongs to.
    ///
    /// # Errors
    /// If there is no such job, or SQLite fails.
    pub async fn run_of(&mut self, job: JobId) -> Result<JobId> {
        let run: i64 = sqlx::query_scalar("SELECT run_id FROM jobs WHERE id = ?")
            .bind(job.0)
            .fetch_one(&mut self.conn)
            .await?;
        Ok(JobId(run))
    }

    /// The runs that have not ended.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn open_runs(&mut self) -> Result<Vec<JobId>> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM jobs WHERE kind = 'parent' AND status IN ('pending', 'waiting') ORDER BY id",
        )
        .fetch_all(&mut self.conn)
        .await?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// A run for the coordinator.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn run_state(&mut self, run: JobId) -> Result<Option<RunState>> {
        let row = sqlx::query(
            "SELECT j.status, r.cancel_requested FROM runs r JOIN jobs j ON j.id = r.id WHERE r.id = ?",
        )
        .bind(run.0)
        .fetch_optional(&mut self.conn)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let mut state = RunState {
            status: status(&row)?,
            cancel_requested: row.try_get("cancel_requested")?,
            steps: Vec::new(),
        };
        let rows = sqlx::query(
            "SELECT j.id, j.name, j.type, j.status, j.n_open, s.config, s.depends, s.on_error, s.always_run, c.*
             FROM steps s JOIN jobs j ON j.id = s.id JOIN counters c ON c.job_id = s.id
             WHERE s.run_id = ? ORDER BY s.ordinal",
        )
        .bind(run.0)
        .fetch_all(&mut self.conn)
        .await?;
        for row in &rows {
            state.steps.push(StepRow {
                id: JobId(row.try_get("id")?),
                name: row.try_get("name")?,
                step_type: row.try_get("type")?,
                config: json(row, "config")?,
                depends: json(row, "depends")?,
                on_error: row.try_get("on_error")?,
                always_run: row.try_get("always_run")?,
                status: status(row)?,
                open: row.try_get("n_open")?,
                jobs: counts(row)?.0,
            });
        }
        Ok(Some(state))
    }

    /// Why a job failed.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn job_error(&mut self, job: JobId) -> Result<Option<JobError>> {
        let row = sqlx::query("SELECT error_code, error_message FROM jobs WHERE id = ?")
            .bind(job.0)
            .fetch_optional(&mut self.conn)
            .await?;
        Ok(row.as_ref().map(job_error).transpose()?.flatten())
    }

    /// Why the first failed task of a step failed.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn first_task_error(&mut self, step: JobId) -> Result<Option<JobError>> {
        let row = sqlx::query(
            "SELECT error_code, error_message FROM jobs WHERE step_id = ? AND kind = 'task' AND status = 'failed'
             ORDER BY id LIMIT 1",
        )
        .bind(step.0)
        .fetch_optional(&mut self.conn)
        .await?;
        Ok(row.as_ref().map(job_error).transpose()?.flatten())
    }

    /// The configuration of a step, and the tags for its documents: the run's and its own.
    ///
    /// # Errors
    /// If there is no such step, or SQLite fails.
    pub async fn step_config(&mut self, step: JobId) -> Result<(Value, Vec<String>)> {
        let row = sqlx::query(
            "SELECT s.config, s.output_tags, r.tags FROM steps s JOIN runs r ON r.id = s.run_id WHERE s.id = ?",
        )
        .bind(step.0)
        .fetch_one(&mut self.conn)
        .await?;
        let mut tags: Vec<String> = json(&row, "tags")?;
        tags.extend(json::<Vec<String>>(&row, "output_tags")?);
        Ok((json(&row, "config")?, tags))
    }

    /// As [`Tx::warn`], unless the job has said the same before.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn warn_once(
        &mut self,
        run: JobId,
        job: JobId,
        message: &str,
        now_ms: i64,
    ) -> Result<()> {
        let said: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM warnings WHERE run_id = ? AND job_id = ? AND message = ?)")
                .bind(run.0)
                .bind(job.0)
                .bind(message)
                .fetch_one(&mut self.conn)
                .await?;
        if said { Ok(()) } else { self.warn(run, job, message, now_ms).await }
    }

    /// Counts a warning, and keeps its text as long as there are not very many.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn warn(&mut self, run: JobId, job: JobId, message: &str, now_ms: i64) -> Result<()> {
        const KEPT: i64 = 1_000;
        sqlx::query("UPDATE counters SET warnings = warnings + 1 WHERE job_id = ?1 OR job_id = (SELECT step_id FROM jobs WHERE id = ?2)")
            .bind(run.0)
            .bind(job.0)
            .execute(&mut self.conn)
            .await?;
        sqlx::query(
            "INSERT INTO warnings (run_id, job_id, message, at_ms) SELECT ?1, ?2, ?3, ?4
             WHERE (SELECT warnings FROM counters WHERE job_id = ?1) <= ?5",
        )
        .bind(run.0)
        .bind(job.0)
        .bind(message)
        .bind(now_ms)
        .bind(KEPT)
        .execute(&mut self.conn)
        .await?;
        self.touch(run);
        Ok(())
    }
}
