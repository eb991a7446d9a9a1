//! What happens to runs and steps as a whole: they move on, are stopped, paused, cancelled, tried
//! again, and taken over from a dead process. Nothing here decides; see the engine's coordinator.

use std::collections::{BTreeMap, BTreeSet};

use quaero_contract::{JobError, JobId, JobKind, JobStatus};
use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    change::Change,
    error::Result,
    jobs::{Place, TaskRow},
    runs::{NewRun, RowResult, json, status},
    writer::Tx,
};

/// A task that was under way when this many processes died runs alone from then on: which of the
/// tasks of those processes is to blame cannot be told otherwise.
pub const SUSPECT_AFTER: i64 = 2;

/// A task that was under way when this many processes died is not tried again. Three of those
/// times it was alone.
pub const POISON_AFTER: i64 = SUSPECT_AFTER + 3;

fn id(row: &SqliteRow, column: &str) -> RowResult<JobId> {
    row.try_get(column).map(JobId)
}

impl Tx {
    /// Moves a run or a step on, and tells of it.
    ///
    /// # Errors
    /// If the transition is not allowed, or SQLite fails.
    pub async fn move_job(
        &mut self,
        job: JobId,
        to: JobStatus,
        error: Option<&JobError>,
        now_ms: i64,
    ) -> Result<()> {
        let row = sqlx::query(
            "SELECT j.run_id, j.kind, j.name, j.status, j.parent_id, r.caused_by, s.run_id AS causing_run
             FROM jobs j LEFT JOIN runs r ON r.id = j.id LEFT JOIN jobs s ON s.id = r.caused_by WHERE j.id = ?",
        )
        .bind(job.0)
        .fetch_one(&mut self.conn)
        .await?;
        let run = id(&row, "run_id")?;
        let kind = match row.try_get("kind")? {
            "parent" => JobKind::Parent,
            _ => JobKind::Step,
        };
        self.set_status(job, kind, to, now_ms).await?;
        if let Some(error) = error {
            sqlx::query("UPDATE jobs SET error_code = ?2, error_message = ?3 WHERE id = ?1")
                .bind(job.0)
                .bind(&error.code)
                .bind(&error.message)
                .execute(&mut self.conn)
                .await?;
        }
        let above: Option<i64> = row.try_get("parent_id")?;
        if let (Some(above), true) = (above, to.is_terminal()) {
            self.tally.children_ended(JobId(above), 1);
        }
        // A run below a step counts there like a task.
        if let Some(step) = row.try_get::<Option<i64>, _>("caused_by")?.map(JobId)
            && to.is_terminal()
        {
            let above = id(&row, "causing_run")?;
            self.tally.moved(above, step, Some(JobStatus::Waiting), to, 1);
            self.tally.children_ended(step, 1);
            self.touch(above);
        }
        self.note(Change::Status {
            run,
            job,
            kind,
            name: row.try_get("name")?,
            status: to,
            error: error.cloned(),
        });
        self.touch_now(run);
        Ok(())
    }

    /// Starts a step, or another attempt of it: from now on it can have tasks.
    ///
    /// # Errors
    /// If the step is not pending, or SQLite fails.
    pub async fn open_step(&mut self, step: JobId, now_ms: i64) -> Result<()> {
        sqlx::query("UPDATE jobs SET attempt = attempt + 1 WHERE id = ?")
            .bind(step.0)
            .execute(&mut self.conn)
            .await?;
        sqlx::query(
            "UPDATE steps SET run_after_ms = 0, deadline_ms = ?2 + timeout_ms WHERE id = ?1",
        )
        .bind(step.0)
        .bind(now_ms)
        .execute(&mut self.conn)
        .await?;
        self.move_job(step, JobStatus::Waiting, None, now_ms).await
    }

    /// Has a step that has nothing open tried again, not before `run_after_ms`.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn retry_step(
        &mut self,
        step: JobId,
        error: Option<&JobError>,
        run_after_ms: i64,
        now_ms: i64,
    ) -> Result<()> {
        self.flush().await?;
        sqlx::query(
            "UPDATE steps SET run_after_ms = ?2, deadline_ms = NULL, stop_code = NULL, stop_message = NULL,
                 before_completed = c.completed, before_failed = c.failed, before_cancelled = c.cancelled
             FROM counters c WHERE c.job_id = steps.id AND steps.id = ?1",
        )
        .bind(step.0)
        .bind(run_after_ms)
        .execute(&mut self.conn)
        .await?;
        // The runs below it are started again, too.
        sqlx::query("UPDATE step_instances SET run_id = NULL WHERE step_id = ?")
            .bind(step.0)
            .execute(&mut self.conn)
            .await?;
        self.move_job(step, JobStatus::Pending, error, now_ms).await
    }

    /// Makes this process the one that works on a run and on the runs below it. Returns all of
    /// them.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn adopt_run(&mut self, run: JobId) -> Result<Vec<JobId>> {
        let family = self.open_family(run).await?;
        for run in &family {
            sqlx::query("UPDATE runs SET epoch = ? WHERE id = ?")
                .bind(self.epoch)
                .bind(run.0)
                .execute(&mut self.conn)
                .await?;
            self.tell_adopted(*run, false).await?;
            self.touch_now(*run);
        }
        Ok(family)
    }

    pub(crate) async fn tell_adopted(&mut self, run: JobId, new: bool) -> Result<()> {
        let row = sqlx::query("SELECT priority, max_running FROM runs WHERE id = ?")
            .bind(run.0)
            .fetch_one(&mut self.conn)
            .await?;
        self.note(Change::Adopted {
            run,
            new,
            priority: row.try_get("priority")?,
            max_running: row.try_get("max_running")?,
        });
        Ok(())
    }

    /// A run and all runs below it that have not ended; itself in any case, first.
    async fn open_family(&mut self, run: JobId) -> Result<Vec<JobId>> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "WITH RECURSIVE family (id) AS (
                 SELECT ?1
                 UNION
                 SELECT r.id FROM family f JOIN steps s ON s.run_id = f.id JOIN runs r ON r.caused_by = s.id
                     JOIN jobs j ON j.id = r.id WHERE j.finished_ms IS NULL)
             SELECT id FROM family",
        )
        .bind(run.0)
        .fetch_all(&mut self.conn)
        .await?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// Cancels a run and every run below it: from this commit on no task of them can be written,
    /// none that waits is left, and those that run are told to stop. Returns these runs, the lowest
    /// first; each has to be moved on.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn cancel_run(&mut self, run: JobId, now_ms: i64) -> Result<Vec<JobId>> {
        let mut family = self.open_family(run).await?;
        family.reverse();
        let error = cancelled();
        for run in &family {
            sqlx::query("UPDATE runs SET cancel_requested = 1, held = 0 WHERE id = ?")
                .bind(run.0)
                .execute(&mut self.conn)
                .await?;
            self.note(Change::StopRequested { run: *run, step: None });
            self.end_waiting_tasks(*run, None, &error, now_ms).await?;
            self.touch_now(*run);
        }
        Ok(family)
    }

    /// Stops a step: as a cancel, but only in it, and with a reason of its own. Returns the runs
    /// below it that were cancelled.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn stop_step(
        &mut self,
        run: JobId,
        step: JobId,
        error: &JobError,
        now_ms: i64,
    ) -> Result<Vec<JobId>> {
        sqlx::query("UPDATE steps SET stop_code = ?2, stop_message = ?3 WHERE id = ?1")
            .bind(step.0)
            .bind(&error.code)
            .bind(&error.message)
            .execute(&mut self.conn)
            .await?;
        self.note(Change::StopRequested { run, step: Some(step) });
        let below: Vec<i64> = sqlx::query_scalar(
            "SELECT r.id FROM runs r JOIN jobs j ON j.id = r.id WHERE r.caused_by = ? AND j.finished_ms IS NULL",
        )
        .bind(step.0)
        .fetch_all(&mut self.conn)
        .await?;
        let mut runs = Vec::new();
        for run in below {
            runs.extend(self.cancel_run(JobId(run), now_ms).await?);
        }
        let error = JobError { code: "cancelled".to_owned(), message: error.message.clone() };
        self.end_waiting_tasks(run, Some(step), &error, now_ms).await?;
        Ok(runs)
    }

    /// Notes why a run is stopped before its steps have ended.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn stop_run(&mut self, run: JobId, error: &JobError) -> Result<()> {
        sqlx::query("UPDATE runs SET stop_code = ?2, stop_message = ?3 WHERE id = ?1")
            .bind(run.0)
            .bind(&error.code)
            .bind(&error.message)
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }

    /// Notes that more of a run's tasks have failed than it bears.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn note_tolerance_exceeded(&mut self, run: JobId) -> Result<()> {
        sqlx::query("UPDATE runs SET tolerance_exceeded = 1 WHERE id = ?")
            .bind(run.0)
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }

    /// Ends every task of a run, or of one step of it, that is not running now.
    async fn end_waiting_tasks(
        &mut self,
        run: JobId,
        step: Option<JobId>,
        error: &JobError,
        now_ms: i64,
    ) -> Result<()> {
        self.flush().await?;
        let waiting = sqlx::query(
            "SELECT step_id, parent_id, n_open > 0 AS opens, count(*) AS n FROM jobs
             WHERE run_id = ?1 AND kind = 'task' AND status = 'pending' AND (?2 IS NULL OR step_id = ?2)
             GROUP BY step_id, parent_id, n_open > 0",
        )
        .bind(run.0)
        .bind(step.map(|s| s.0))
        .fetch_all(&mut self.conn)
        .await?;
        if waiting.is_empty() {
            return Ok(());
        }
        // A task that has spawned children and was to be tried again cannot end before them.
        sqlx::query(
            "UPDATE jobs SET status = CASE WHEN n_open > 0 THEN 'waiting' ELSE 'cancelled' END,
                 finished_ms = CASE WHEN n_open > 0 THEN NULL ELSE ?3 END, changed_ms = ?3, suspect = 0,
                 error_code = ?4, error_message = ?5
             WHERE run_id = ?1 AND kind = 'task' AND status = 'pending' AND (?2 IS NULL OR step_id = ?2)",
        )
        .bind(run.0)
        .bind(step.map(|s| s.0))
        .bind(now_ms)
        .bind(&error.code)
        .bind(&error.message)
        .execute(&mut self.conn)
        .await?;
        for row in &waiting {
            let (opens, count): (bool, i64) = (row.try_get("opens")?, row.try_get("n")?);
            let to = if opens { JobStatus::Waiting } else { JobStatus::Cancelled };
            self.tally.moved(run, id(row, "step_id")?, Some(JobStatus::Pending), to, count);
            if !opens {
                self.tally.children_ended(id(row, "parent_id")?, count);
            }
        }
        self.settle(now_ms).await?;
        Ok(())
    }

    /// Pauses a run, or goes on with it. Time that passes meanwhile does not count for its limits.
    /// Returns whether anything has changed.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn pause_run(&mut self, run: JobId, pause: bool, now_ms: i64) -> Result<bool> {
        let since: Option<i64> = sqlx::query_scalar("SELECT paused_ms FROM runs WHERE id = ?")
            .bind(run.0)
            .fetch_one(&mut self.conn)
            .await?;
        if since.is_some() == pause {
            return Ok(false);
        }
        if let Some(since) = since {
            self.put_off(Some(run), (now_ms - since).max(0)).await?;
        }
        sqlx::query("UPDATE runs SET paused_ms = ?2 WHERE id = ?1")
            .bind(run.0)
            .bind(pause.then_some(now_ms))
            .execute(&mut self.conn)
            .await?;
        self.note(Change::Paused { run: Some(run), paused: pause });
        self.touch_now(run);
        Ok(true)
    }

    /// Pauses the engine as a whole, or goes on. Stays over restarts.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn pause_engine(&mut self, pause: bool, now_ms: i64) -> Result<()> {
        let since: Option<i64> =
            sqlx::query_scalar("SELECT paused_ms FROM engine").fetch_one(&mut self.conn).await?;
        if since.is_some() == pause {
            return Ok(());
        }
        if let Some(since) = since {
            self.put_off(None, (now_ms - since).max(0)).await?;
        }
        sqlx::query("UPDATE engine SET paused_ms = ?")
            .bind(pause.then_some(now_ms))
            .execute(&mut self.conn)
            .await?;
        self.note(Change::Paused { run: None, paused: pause });
        for run in self.open_runs().await? {
            self.touch_now(run);
        }
        Ok(())
    }

    /// Moves the deadlines of a run, or of all that are not paused themselves, by this much.
    async fn put_off(&mut self, run: Option<JobId>, by_ms: i64) -> Result<()> {
        sqlx::query(
            "UPDATE runs SET deadline_ms = deadline_ms + ?2
             WHERE deadline_ms IS NOT NULL AND (id = ?1 OR (?1 IS NULL AND paused_ms IS NULL))",
        )
        .bind(run.map(|run| run.0))
        .bind(by_ms)
        .execute(&mut self.conn)
        .await?;
        sqlx::query(
            "UPDATE steps SET deadline_ms = deadline_ms + ?2 WHERE deadline_ms IS NOT NULL
             AND (run_id = ?1 OR (?1 IS NULL AND run_id IN (SELECT id FROM runs WHERE paused_ms IS NULL)))",
        )
        .bind(run.map(|run| run.0))
        .bind(by_ms)
        .execute(&mut self.conn)
        .await?;
        Ok(())
    }

    /// The clock was set back by this much: whatever waits for a time waits no longer than it was
    /// meant to. Returns the runs that have not ended.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn follow_clock(&mut self, back_ms: i64) -> Result<Vec<JobId>> {
        for sql in [
            "UPDATE jobs SET run_after_ms = max(1, run_after_ms - ?) WHERE status = 'pending' AND kind = 'task' AND run_after_ms > 0",
            "UPDATE steps SET run_after_ms = max(1, run_after_ms - ?) WHERE run_after_ms > 0",
            "UPDATE steps SET deadline_ms = deadline_ms - ? WHERE deadline_ms IS NOT NULL",
            "UPDATE runs SET deadline_ms = deadline_ms - ? WHERE deadline_ms IS NOT NULL",
            "UPDATE runs SET paused_ms = paused_ms - ? WHERE paused_ms IS NOT NULL",
            "UPDATE engine SET paused_ms = paused_ms - ? WHERE paused_ms IS NOT NULL",
        ] {
            sqlx::query(sql).bind(back_ms).execute(&mut self.conn).await?;
        }
        self.open_runs().await
    }

    /// When the last job changed its state, in milliseconds since 1970: the clock said so once.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn last_change_ms(&mut self) -> Result<Option<i64>> {
        let last = sqlx::query_scalar("SELECT at_ms FROM events ORDER BY seq DESC LIMIT 1");
        Ok(last.fetch_optional(&mut self.conn).await?)
    }

    /// The first run that is held back by this one, which has ended, and may now go on.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn release_next(&mut self, run: JobId) -> Result<Option<JobId>> {
        let next: Option<i64> = sqlx::query_scalar(
            "UPDATE runs SET held = 0 WHERE id = (
                 SELECT r.id FROM runs r JOIN jobs j ON j.id = r.id
                 WHERE r.held = 1 AND j.finished_ms IS NULL
                   AND r.singleton_key = (SELECT singleton_key FROM runs WHERE id = ?1)
                   AND NOT EXISTS (SELECT 1 FROM runs o JOIN jobs b ON b.id = o.id
                       WHERE o.singleton_key = r.singleton_key AND o.held = 0 AND b.finished_ms IS NULL)
                 ORDER BY r.id LIMIT 1)
             RETURNING id",
        )
        .bind(run.0)
        .fetch_optional(&mut self.conn)
        .await?;
        if let Some(next) = next {
            self.begin_run(JobId(next)).await?;
        }
        Ok(next.map(JobId))
    }

    /// The time that a run may take begins.
    pub(crate) async fn begin_run(&mut self, run: JobId) -> Result<()> {
        sqlx::query(
            "UPDATE runs SET deadline_ms = j.changed_ms + timeout_ms FROM jobs j WHERE j.id = runs.id AND runs.id = ?",
        )
        .bind(run.0)
        .execute(&mut self.conn)
        .await?;
        self.touch_now(run);
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

    /// Tells whether the engine as a whole is paused.
    pub fn tell_paused(&mut self, paused: bool) {
        self.note(Change::Paused { run: None, paused });
    }

    /// The runs that have not ended and that no other run has started.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn open_roots(&mut self) -> Result<Vec<JobId>> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT j.id FROM jobs j JOIN runs r ON r.id = j.id
             WHERE j.kind = 'parent' AND j.status IN ('pending', 'waiting') AND r.caused_by IS NULL ORDER BY j.id",
        )
        .fetch_all(&mut self.conn)
        .await?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// The runs that have not ended and that this process works on.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn own_runs(&mut self) -> Result<Vec<JobId>> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT j.id FROM jobs j JOIN runs r ON r.id = j.id
             WHERE j.kind = 'parent' AND j.status IN ('pending', 'waiting') AND r.epoch = ? ORDER BY j.id",
        )
        .bind(self.epoch)
        .fetch_all(&mut self.conn)
        .await?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// Whether the engine as a whole is paused.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn engine_paused(&mut self) -> Result<bool> {
        Ok(sqlx::query_scalar("SELECT paused_ms IS NOT NULL FROM engine")
            .fetch_one(&mut self.conn)
            .await?)
    }

    /// Whether one of these runs has a task that must run alone (see [`SUSPECT_AFTER`]): it has not
    /// come to an end of its own since.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn has_suspects(&mut self, runs: &[JobId]) -> Result<bool> {
        let runs = serde_json::to_string(runs).expect("ids are plain data");
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE suspect = 1
               AND run_id IN (SELECT CAST(value AS INTEGER) FROM json_each(?)))",
        )
        .bind(runs)
        .fetch_one(&mut self.conn)
        .await?;
        Ok(found)
    }

    /// Takes back every task that a dead process was working on. One that has now taken
    /// [`POISON_AFTER`] processes down is not tried again, and one of a cancelled run or stopped
    /// step is cancelled. Returns the runs that have to be moved on because of that.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn void_dead_leases(&mut self, now_ms: i64) -> Result<BTreeSet<JobId>> {
        self.flush().await?;
        let taken = sqlx::query(
            "UPDATE jobs SET status = 'pending', lease_epoch = NULL, recovery_count = recovery_count + 1,
                 suspect = recovery_count + 1 >= ?3, run_after_ms = 0, changed_ms = ?1
             WHERE status = 'running' AND lease_epoch <> ?2
             RETURNING id, run_id, step_id, recovery_count",
        )
        .bind(now_ms)
        .bind(self.epoch)
        .bind(SUSPECT_AFTER)
        .fetch_all(&mut self.conn)
        .await?;
        let mut poison = Vec::new();
        let mut runs = BTreeSet::new();
        for row in &taken {
            let (run, step) = (id(row, "run_id")?, id(row, "step_id")?);
            self.tally.moved(run, step, Some(JobStatus::Running), JobStatus::Pending, 1);
            self.touch(run);
            if row.try_get::<i64, _>("recovery_count")? >= POISON_AFTER {
                poison.push(id(row, "id")?);
                runs.insert(run);
            }
        }
        for job in poison {
            let error = JobError {
                code: "poison".to_owned(),
                message: format!(
                    "Quaero stopped unexpectedly {POISON_AFTER} times while working on this."
                ),
            };
            self.end_task(job, Some(&error), now_ms).await?;
        }
        let stopped = sqlx::query(
            "SELECT r.id, NULL AS step_id, 'The run was cancelled.' AS message
             FROM runs r JOIN jobs j ON j.id = r.id WHERE r.cancel_requested = 1 AND j.finished_ms IS NULL
             UNION ALL
             SELECT s.run_id, s.id, s.stop_message FROM steps s JOIN jobs j ON j.id = s.id
             WHERE s.stop_code IS NOT NULL AND j.finished_ms IS NULL",
        )
        .fetch_all(&mut self.conn)
        .await?;
        for row in &stopped {
            let run = id(row, "id")?;
            let step = row.try_get::<Option<i64>, _>("step_id")?.map(JobId);
            let error = JobError { code: "cancelled".to_owned(), message: row.try_get("message")? };
            self.end_waiting_tasks(run, step, &error, now_ms).await?;
            runs.insert(run);
        }
        Ok(runs)
    }

    /// Starts the next runs that a step has to start, at most `count`. Returns them.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn start_instances(
        &mut self,
        step: JobId,
        count: u32,
        now_ms: i64,
    ) -> Result<Vec<JobId>> {
        let rows = sqlx::query(
            "SELECT ordinal, run FROM step_instances WHERE step_id = ? AND run_id IS NULL ORDER BY ordinal LIMIT ?",
        )
        .bind(step.0)
        .bind(count)
        .fetch_all(&mut self.conn)
        .await?;
        let attempt: i64 = sqlx::query_scalar("SELECT attempt FROM jobs WHERE id = ?")
            .bind(step.0)
            .fetch_one(&mut self.conn)
            .await?;
        let above = self.run_of(step).await?;
        let mut started = Vec::new();
        for row in &rows {
            let ordinal: i64 = row.try_get("ordinal")?;
            let mut run: NewRun = json(row, "run")?;
            run.request_id = format!("step:{step}:{attempt}:{ordinal}");
            let (id, new) = self.create_run_below(&run, Some(step), now_ms).await?;
            sqlx::query(
                "UPDATE step_instances SET run_id = ?3 WHERE step_id = ?1 AND ordinal = ?2",
            )
            .bind(step.0)
            .bind(ordinal)
            .bind(id.0)
            .execute(&mut self.conn)
            .await?;
            if new {
                self.tally.moved(above, step, None, JobStatus::Waiting, 1);
                self.tally.children_written(step, 1);
                started.push(id);
            }
        }
        self.touch(above);
        Ok(started)
    }

    /// Writes the failed tasks of a step of an earlier run as the first tasks of this one. Returns
    /// how many there were.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn copy_failed_tasks(
        &mut self,
        from: JobId,
        run: JobId,
        step: JobId,
        now_ms: i64,
    ) -> Result<u64> {
        let rows = sqlx::query(
            "SELECT type, name, task_key, payload, lane, lane_limit, lane_delay_ms, priority, depth FROM jobs
             WHERE step_id = ? AND kind = 'task' AND status IN ('failed', 'cancelled') ORDER BY id",
        )
        .bind(from.0)
        .fetch_all(&mut self.conn)
        .await?;
        let mut written = 0;
        let mut tasks: BTreeMap<u32, Vec<TaskRow>> = BTreeMap::new();
        for row in &rows {
            tasks.entry(row.try_get("depth")?).or_default().push(TaskRow {
                task_type: row.try_get("type")?,
                name: row.try_get("name")?,
                key: row.try_get("task_key")?,
                payload: json(row, "payload")?,
                lane: row.try_get("lane")?,
                lane_limit: row.try_get("lane_limit")?,
                lane_delay_ms: row.try_get("lane_delay_ms")?,
                priority: 0,
            });
        }
        for (depth, tasks) in tasks {
            let place = Place { run, step, parent: step, depth };
            for chunk in tasks.chunks(1_000) {
                written += self.insert_tasks(place, chunk, None, now_ms).await?.written;
            }
        }
        Ok(written)
    }

    /// The state of a run or step.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn job_status(&mut self, job: JobId) -> Result<Option<JobStatus>> {
        let row = sqlx::query("SELECT status FROM jobs WHERE id = ?")
            .bind(job.0)
            .fetch_optional(&mut self.conn)
            .await?;
        Ok(row.as_ref().map(status).transpose()?)
    }
}

fn cancelled() -> JobError {
    JobError { code: "cancelled".to_owned(), message: "The run was cancelled.".to_owned() }
}
