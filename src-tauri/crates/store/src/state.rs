//! What the coordinator and the processor ask of runs and steps inside a transaction, and warnings.

use quaero_contract::{JobError, JobId};
use sqlx::Row;

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
    pub async fn run_state(&mut self, run: JobId) -> Result<Option<RunState>> {
        self.flush().await?;
        let row = sqlx::query(
            "SELECT j.status, r.cancel_requested, r.held, r.deadline_ms, r.stop_code, r.stop_message, r.variables,
                 r.rerun_of, CASE WHEN r.tolerance_exceeded THEN NULL ELSE r.tolerance END AS tolerance,
                 r.paused_ms IS NOT NULL OR (SELECT paused_ms FROM engine) IS NOT NULL AS paused,
                 s.run_id AS parent_run, c.*
             FROM runs r JOIN jobs j ON j.id = r.id JOIN counters c ON c.job_id = r.id
                 LEFT JOIN steps s ON s.id = r.caused_by WHERE r.id = ?",
        )
        .bind(run.0)
        .fetch_optional(&mut self.conn)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let tolerance = match row.try_get::<Option<&str>, _>("tolerance")? {
            Some(_) => Some(json(&row, "tolerance")?),
            None => None,
        };
        let mut state = RunState {
            status: status(&row)?,
            cancel_requested: row.try_get("cancel_requested")?,
            held: row.try_get("held")?,
            paused: row.try_get("paused")?,
            deadline_ms: row.try_get("deadline_ms")?,
            stop: stop(&row)?,
            tolerance,
            jobs: counts(&row)?.0,
            variables: json(&row, "variables")?,
            parent_run: row.try_get::<Option<i64>, _>("parent_run")?.map(JobId),
            reuse: row.try_get::<Option<i64>, _>("rerun_of")?.map(JobId),
            steps: Vec::new(),
        };
        let rows = sqlx::query(
            "SELECT j.id, j.name, j.type, j.status, j.n_open, j.attempt, j.error_code, s.*, c.*,
                 (SELECT count(*) FROM step_instances i WHERE i.step_id = s.id) AS instances,
                 (SELECT count(*) FROM step_instances i WHERE i.step_id = s.id AND i.run_id IS NULL) AS instances_left
             FROM steps s JOIN jobs j ON j.id = s.id JOIN counters c ON c.job_id = s.id
             WHERE s.run_id = ? ORDER BY s.ordinal",
        )
        .bind(run.0)
        .fetch_all(&mut self.conn)
        .await?;
        for row in &rows {
            let (jobs, documents) = counts(row)?;
            let before = |column: &str| row.try_get::<u32, _>(column);
            state.steps.push(StepRow {
                id: JobId(row.try_get("id")?),
                name: row.try_get("name")?,
                step_type: row.try_get("type")?,
                depends: json(row, "depends")?,
                on_error: on_error(row)?,
                always_run: row.try_get("always_run")?,
                condition: row.try_get("condition")?,
                status: status(row)?,
                error_code: row.try_get("error_code")?,
                open: row.try_get("n_open")?,
                round: (
                    jobs.completed.saturating_sub(before("before_completed")?),
                    jobs.failed.saturating_sub(before("before_failed")?),
                    jobs.cancelled.saturating_sub(before("before_cancelled")?),
                ),
                jobs,
                documents,
                warnings: row.try_get("warnings")?,
                attempt: row.try_get("attempt")?,
                max_attempts: row.try_get("max_attempts")?,
                retry_delay_ms: millis(row, "retry_delay_ms")?,
                max_retry_delay_ms: millis(row, "max_retry_delay_ms")?,
                run_after_ms: row.try_get("run_after_ms")?,
                deadline_ms: row.try_get("deadline_ms")?,
                stop: stop(row)?,
                starts_runs: row.try_get::<i64, _>("instances")? > 0,
                instances_left: row.try_get("instances_left")?,
                parallel: row.try_get("parallel")?,
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
            "SELECT j.error_code, j.error_message FROM jobs j JOIN jobs s ON s.id = ?1
             WHERE j.step_id = ?1 AND j.kind = 'task' AND j.status = 'failed' AND j.round = max(s.attempt, 1)
             UNION ALL
             SELECT j.error_code, j.error_message FROM runs r JOIN jobs j ON j.id = r.id
             WHERE r.caused_by = ?1 AND j.status IN ('failed', 'cancelled') LIMIT 1",
        )
        .bind(step.0)
        .fetch_optional(&mut self.conn)
        .await?;
        Ok(row.as_ref().map(job_error).transpose()?.flatten())
    }

    /// What bounds how much of a run starts.
    ///
    /// # Errors
    /// If there is no such run, or SQLite fails.
    pub async fn run_limits(&mut self, run: JobId) -> Result<RunLimits> {
        let row = sqlx::query(
            "SELECT priority, max_running, paused_ms IS NOT NULL AS paused FROM runs WHERE id = ?",
        )
        .bind(run.0)
        .fetch_one(&mut self.conn)
        .await?;
        Ok(RunLimits {
            priority: row.try_get("priority")?,
            max_running: row.try_get("max_running")?,
            paused: row.try_get("paused")?,
        })
    }

    /// What the workers of a step need to know.
    ///
    /// # Errors
    /// If there is no such step, or SQLite fails.
    pub async fn step_config(&mut self, step: JobId) -> Result<StepConfig> {
        let row = sqlx::query(
            "SELECT s.run_id, s.config, s.output_tags, s.task_timeout_ms, r.tags FROM steps s JOIN runs r ON r.id = s.run_id WHERE s.id = ?",
        )
        .bind(step.0)
        .fetch_one(&mut self.conn)
        .await?;
        let mut tags: Vec<String> = json(&row, "tags")?;
        tags.extend(json::<Vec<String>>(&row, "output_tags")?);
        let task_timeout_ms = millis(&row, "task_timeout_ms")?;
        let run = JobId(row.try_get("run_id")?);
        Ok(StepConfig { run, config: json(&row, "config")?, tags, task_timeout_ms })
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
