//! What the coordinator and the processor ask of runs and steps inside a transaction, and warnings.

use quaero_contract::{JobError, JobId};
use rusqlite::params;

use crate::{
    error::Result,
    runs::{
        RunLimits, RunState, StepConfig, StepRow, counts, job_error, json, millis, on_error,
        status, stop,
    },
    writer::Tx,
};

impl Tx {
    /// A run for the coordinator.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn run_state(&mut self, run: JobId) -> Result<Option<RunState>> {
        self.flush()?;
        let row = self.first("SELECT j.status, r.cancel_requested, r.held, r.deadline_ms, r.stop_code, r.stop_message, r.variables,
                 r.rerun_of, CASE WHEN r.tolerance_exceeded THEN NULL ELSE r.tolerance END AS tolerance,
                 r.paused_ms IS NOT NULL OR (SELECT paused_ms FROM engine) IS NOT NULL AS paused,
                 s.run_id AS parent_run, c.*
             FROM runs r JOIN jobs j ON j.id = r.id JOIN counters c ON c.job_id = r.id
                 LEFT JOIN steps s ON s.id = r.caused_by WHERE r.id = ?", [run.0])?;
        let Some(row) = row else { return Ok(None) };
        let tolerance = match row.get::<Option<String>>("tolerance")? {
            Some(_) => Some(json(&row, "tolerance")?),
            None => None,
        };
        let mut state = RunState {
            status: status(&row)?,
            cancel_requested: row.get("cancel_requested")?,
            held: row.get("held")?,
            paused: row.get("paused")?,
            deadline_ms: row.get("deadline_ms")?,
            stop: stop(&row)?,
            tolerance,
            jobs: counts(&row)?.0,
            variables: json(&row, "variables")?,
            parent_run: row.get::<Option<i64>>("parent_run")?.map(JobId),
            reuse: row.get::<Option<i64>>("rerun_of")?.map(JobId),
            steps: Vec::new(),
        };
        let rows = self.all("SELECT j.id, j.name, j.type, j.status, j.n_open, j.attempt, j.error_code, s.*, c.*,
                 EXISTS (SELECT 1 FROM jobs p WHERE p.id = s.reused_from AND p.status = 'completed') AS completed_before,
                 (SELECT count(*) FROM step_instances i WHERE i.step_id = s.id) AS instances,
                 (SELECT count(*) FROM step_instances i WHERE i.step_id = s.id AND i.run_id IS NULL) AS instances_left
             FROM steps s JOIN jobs j ON j.id = s.id JOIN counters c ON c.job_id = s.id
             WHERE s.run_id = ? ORDER BY s.ordinal", [run.0])?;
        for row in &rows {
            let (jobs, documents) = counts(row)?;
            let before = |column: &str| row.get::<u32>(column);
            state.steps.push(StepRow {
                id: JobId(row.get("id")?),
                name: row.get("name")?,
                step_type: row.get("type")?,
                depends: json(row, "depends")?,
                on_error: on_error(row)?,
                always_run: row.get("always_run")?,
                condition: row.get("condition")?,
                status: status(row)?,
                error_code: row.get("error_code")?,
                open: row.get("n_open")?,
                round: (
                    jobs.completed.saturating_sub(before("before_completed")?),
                    jobs.failed.saturating_sub(before("before_failed")?),
                    jobs.cancelled.saturating_sub(before("before_cancelled")?),
                ),
                jobs,
                documents,
                warnings: row.get("warnings")?,
                attempt: row.get("attempt")?,
                max_attempts: row.get("max_attempts")?,
                retry_delay_ms: millis(row, "retry_delay_ms")?,
                max_retry_delay_ms: millis(row, "max_retry_delay_ms")?,
                run_after_ms: row.get("run_after_ms")?,
                deadline_ms: row.get("deadline_ms")?,
                keep_on_timeout: row.get("keep_on_timeout")?,
                sweep_due: row.get("sweep_due")?,
                stop: stop(row)?,
                starts_runs: row.get::<i64>("instances")? > 0,
                instances_left: row.get("instances_left")?,
                parallel: row.get("parallel")?,
                completed_before: row.get("completed_before")?,
            });
        }
        Ok(Some(state))
    }

    /// Why a job failed.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn job_error(&mut self, job: JobId) -> Result<Option<JobError>> {
        let row = self.first("SELECT error_code, error_message FROM jobs WHERE id = ?", [job.0])?;
        Ok(row.as_ref().map(job_error).transpose()?.flatten())
    }

    /// Why the first failed task of a step failed.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn first_task_error(&mut self, step: JobId) -> Result<Option<JobError>> {
        let row = self.first("SELECT j.error_code, j.error_message FROM jobs j JOIN jobs s ON s.id = ?1
             WHERE j.step_id = ?1 AND j.kind = 'task' AND j.status = 'failed' AND j.round = max(s.attempt, 1)
             UNION ALL
             SELECT j.error_code, j.error_message FROM runs r JOIN jobs j ON j.id = r.id
             WHERE r.caused_by = ?1 AND j.status IN ('failed', 'cancelled') LIMIT 1", [step.0])?;
        Ok(row.as_ref().map(job_error).transpose()?.flatten())
    }

    /// What bounds how much of a run starts.
    ///
    /// # Errors
    /// If there is no such run, or SQLite fails.
    pub fn run_limits(&mut self, run: JobId) -> Result<RunLimits> {
        let row = self.one(
            "SELECT priority, max_running, paused_ms IS NOT NULL AS paused FROM runs WHERE id = ?",
            [run.0],
        )?;
        Ok(RunLimits {
            priority: row.get("priority")?,
            max_running: row.get("max_running")?,
            paused: row.get("paused")?,
        })
    }

    /// What the workers of a step need to know.
    ///
    /// # Errors
    /// If there is no such step, or SQLite fails.
    pub fn step_config(&mut self, step: JobId) -> Result<StepConfig> {
        let row = self.one("SELECT s.run_id, s.config, s.output_tags, s.task_timeout_ms, r.tags FROM steps s JOIN runs r ON r.id = s.run_id WHERE s.id = ?", [step.0])?;
        let mut tags: Vec<String> = json(&row, "tags")?;
        tags.extend(json::<Vec<String>>(&row, "output_tags")?);
        let task_timeout_ms = millis(&row, "task_timeout_ms")?;
        let run = JobId(row.get("run_id")?);
        Ok(StepConfig { run, config: json(&row, "config")?, tags, task_timeout_ms })
    }

    /// As [`Tx::warn`], unless the job has said the same before.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn warn_once(&mut self, run: JobId, job: JobId, message: &str, now_ms: i64) -> Result<()> {
        let said: bool =
            self.scalar("SELECT EXISTS (SELECT 1 FROM warnings WHERE run_id = ? AND job_id = ? AND message = ?)", params![run.0, job.0, message])?;
        if said { Ok(()) } else { self.warn(run, job, message, now_ms) }
    }

    /// Counts a warning, and keeps its text as long as there are not very many.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn warn(&mut self, run: JobId, job: JobId, message: &str, now_ms: i64) -> Result<()> {
        const KEPT: i64 = 1_000;
        self.execute("UPDATE counters SET warnings = warnings + 1 WHERE job_id = ?1 OR job_id = (SELECT step_id FROM jobs WHERE id = ?2)", params![run.0, job.0])?;
        self.execute(
            "INSERT INTO warnings (run_id, job_id, message, at_ms) SELECT ?1, ?2, ?3, ?4
             WHERE (SELECT warnings FROM counters WHERE job_id = ?1) <= ?5",
            params![run.0, job.0, message, now_ms, KEPT],
        )?;
        self.touch(run);
        Ok(())
    }
}
