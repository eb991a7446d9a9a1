//! What happens to runs and steps as a whole: they move on, are stopped, paused, cancelled, tried
//! again, and taken over from a dead process. Nothing here decides; see the engine's coordinator.

use quaero_contract::{JobError, JobId, JobKind, JobStatus};
use rusqlite::params;

use crate::{
    change::Change, error::Result, point::Point, runs::status, statement::Row, writer::Tx,
};

pub(crate) fn id(row: &Row, column: &str) -> Result<JobId> {
    row.get(column).map(JobId)
}

impl Tx {
    /// Moves a run or a step on, and tells of it.
    ///
    /// # Errors
    /// If the transition is not allowed, or SQLite fails.
    pub fn move_job(
        &mut self,
        job: JobId,
        to: JobStatus,
        error: Option<&JobError>,
        now_ms: i64,
    ) -> Result<()> {
        let row = self.one("SELECT j.run_id, j.kind, j.name, j.status, j.parent_id, r.caused_by, s.run_id AS causing_run
             FROM jobs j LEFT JOIN runs r ON r.id = j.id LEFT JOIN jobs s ON s.id = r.caused_by WHERE j.id = ?", [job.0])?;
        let run = id(&row, "run_id")?;
        let kind = match row.get::<String>("kind")?.as_str() {
            "parent" => JobKind::Parent,
            _ => JobKind::Step,
        };
        self.set_status(job, kind, to, now_ms)?;
        // What an earlier attempt ended with is over.
        self.execute(
            "UPDATE jobs SET error_code = ?2, error_message = ?3 WHERE id = ?1",
            params![job.0, error.map(|e| &e.code), error.map(|e| &e.message)],
        )?;
        let above: Option<i64> = row.get("parent_id")?;
        if let (Some(above), true) = (above, to.is_terminal()) {
            self.tally.children_ended(JobId(above), 1);
        }
        // A run below a step counts there like a task.
        if let Some(step) = row.get::<Option<i64>>("caused_by")?.map(JobId)
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
            name: row.get("name")?,
            status: to,
            error: error.cloned(),
        });
        self.touch_now(run);
        Ok(())
    }

    /// Starts a step, or another attempt of it: from now on it can have tasks. In a pause its time
    /// begins with the pause, which is added to it when the pause ends.
    ///
    /// # Errors
    /// If the step is not pending, or SQLite fails.
    pub fn open_step(&mut self, step: JobId, now_ms: i64) -> Result<()> {
        self.execute("UPDATE jobs SET attempt = attempt + 1 WHERE id = ?", [step.0])?;
        self.execute(
            "UPDATE steps SET run_after_ms = 0, deadline_ms = timeout_ms +
                 (SELECT min(coalesce(r.paused_ms, ?2), coalesce(e.paused_ms, ?2)) FROM runs r, engine e
                  WHERE r.id = steps.run_id) WHERE id = ?1",
            params![step.0, now_ms],
        )?;
        self.move_job(step, JobStatus::Waiting, None, now_ms)?;
        Point::StepOpened.reach()
    }

    /// Has a step that has nothing open tried again, not before `run_after_ms`.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn retry_step(
        &mut self,
        step: JobId,
        error: Option<&JobError>,
        run_after_ms: i64,
        now_ms: i64,
    ) -> Result<()> {
        self.flush()?;
        self.execute("UPDATE steps SET run_after_ms = ?2, deadline_ms = NULL, stop_code = NULL, stop_message = NULL,
                 before_completed = c.completed, before_failed = c.failed, before_cancelled = c.cancelled
             FROM counters c WHERE c.job_id = steps.id AND steps.id = ?1", params![step.0, run_after_ms])?;
        // The runs below it are started again, too.
        self.execute("UPDATE step_instances SET run_id = NULL WHERE step_id = ?", [step.0])?;
        self.move_job(step, JobStatus::Pending, error, now_ms)?;
        Point::StepRetried.reach()
    }

    /// Makes this process the one that works on a run and on the runs below it. Returns all of
    /// them.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn adopt_run(&mut self, run: JobId) -> Result<Vec<JobId>> {
        let family = self.open_family(run)?;
        for run in &family {
            self.execute("UPDATE runs SET epoch = ? WHERE id = ?", params![self.epoch, run.0])?;
            self.tell_adopted(*run, false)?;
            self.touch_now(*run);
        }
        Point::RunAdopted.reach()?;
        Ok(family)
    }

    pub(crate) fn tell_adopted(&mut self, run: JobId, new: bool) -> Result<()> {
        let row = self.one("SELECT priority, max_running FROM runs WHERE id = ?", [run.0])?;
        self.note(Change::Adopted {
            run,
            new,
            priority: row.get("priority")?,
            max_running: row.get("max_running")?,
        });
        Ok(())
    }

    /// A run and all runs below it that have not ended; itself in any case, first.
    fn open_family(&mut self, run: JobId) -> Result<Vec<JobId>> {
        let ids: Vec<i64> = self.scalars("WITH RECURSIVE family (id) AS (
                 SELECT ?1
                 UNION
                 SELECT r.id FROM family f JOIN steps s ON s.run_id = f.id JOIN runs r ON r.caused_by = s.id
                     JOIN jobs j ON j.id = r.id WHERE j.finished_ms IS NULL)
             SELECT id FROM family", [run.0])?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// Cancels a run and every run below it: from this commit on no task of them can be written,
    /// none that waits is left, and those that run are told to stop. Returns these runs, the lowest
    /// first; each has to be moved on.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn cancel_run(&mut self, run: JobId, now_ms: i64) -> Result<Vec<JobId>> {
        let mut family = self.open_family(run)?;
        family.reverse();
        let error = cancelled();
        for run in &family {
            self.execute("UPDATE runs SET cancel_requested = 1, held = 0 WHERE id = ?", [run.0])?;
            self.note(Change::StopRequested { run: *run, step: None });
            self.end_waiting_tasks(*run, None, &error, now_ms)?;
            self.touch_now(*run);
        }
        Point::RunCancelled.reach()?;
        Ok(family)
    }

    /// Stops a step: as a cancel, but only in it, and with a reason of its own. Returns the runs
    /// below it that were cancelled.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn stop_step(
        &mut self,
        run: JobId,
        step: JobId,
        error: &JobError,
        now_ms: i64,
    ) -> Result<Vec<JobId>> {
        self.execute(
            "UPDATE steps SET stop_code = ?2, stop_message = ?3 WHERE id = ?1",
            params![step.0, &error.code, &error.message],
        )?;
        self.note(Change::StopRequested { run, step: Some(step) });
        let below: Vec<i64> = self.scalars("SELECT r.id FROM runs r JOIN jobs j ON j.id = r.id WHERE r.caused_by = ? AND j.finished_ms IS NULL", [step.0])?;
        let mut runs = Vec::new();
        for run in below {
            runs.extend(self.cancel_run(JobId(run), now_ms)?);
        }
        let error = JobError { code: "cancelled".to_owned(), message: error.message.clone() };
        self.end_waiting_tasks(run, Some(step), &error, now_ms)?;
        Point::StepStopped.reach()?;
        Ok(runs)
    }

    /// Notes why a run is stopped before its steps have ended.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn stop_run(&mut self, run: JobId, error: &JobError) -> Result<()> {
        self.execute(
            "UPDATE runs SET stop_code = ?2, stop_message = ?3 WHERE id = ?1",
            params![run.0, &error.code, &error.message],
        )?;
        Point::RunStopped.reach()
    }

    /// Notes that more of a run's tasks have failed than it bears.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn note_tolerance_exceeded(&mut self, run: JobId) -> Result<()> {
        self.execute("UPDATE runs SET tolerance_exceeded = 1 WHERE id = ?", [run.0])?;
        Ok(())
    }

    /// Ends every task of a run, or of one step of it, that is not running now.
    pub(crate) fn end_waiting_tasks(
        &mut self,
        run: JobId,
        step: Option<JobId>,
        error: &JobError,
        now_ms: i64,
    ) -> Result<()> {
        self.flush()?;
        let waiting = self.all("SELECT step_id, parent_id, n_open > 0 AS opens, count(*) AS n FROM jobs
             WHERE run_id = ?1 AND kind = 'task' AND status = 'pending' AND (?2 IS NULL OR step_id = ?2)
             GROUP BY step_id, parent_id, n_open > 0", params![run.0, step.map(|s| s.0)])?;
        if waiting.is_empty() {
            return Ok(());
        }
        // A task that has spawned children and was to be tried again cannot end before them.
        self.execute("UPDATE jobs SET status = CASE WHEN n_open > 0 THEN 'waiting' ELSE 'cancelled' END,
                 finished_ms = CASE WHEN n_open > 0 THEN NULL ELSE ?3 END, changed_ms = ?3, suspect = 0,
                 error_code = ?4, error_message = ?5
             WHERE run_id = ?1 AND kind = 'task' AND status = 'pending' AND (?2 IS NULL OR step_id = ?2)", params![run.0, step.map(|s| s.0), now_ms, &error.code, &error.message])?;
        for row in &waiting {
            let (opens, count): (bool, i64) = (row.get("opens")?, row.get("n")?);
            let to = if opens { JobStatus::Waiting } else { JobStatus::Cancelled };
            self.tally.moved(run, id(row, "step_id")?, Some(JobStatus::Pending), to, count);
            if !opens {
                self.tally.children_ended(id(row, "parent_id")?, count);
            }
        }
        self.settle(now_ms)?;
        Ok(())
    }

    /// Pauses a run, or goes on with it. Time that passes meanwhile does not count for its limits.
    /// Returns whether anything has changed.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn pause_run(&mut self, run: JobId, pause: bool, now_ms: i64) -> Result<bool> {
        let since: Option<i64> = self.scalar("SELECT paused_ms FROM runs WHERE id = ?", [run.0])?;
        if since.is_some() == pause {
            return Ok(false);
        }
        if let Some(since) = since {
            // What both pauses have in common is added when that of the engine ends.
            let engine: Option<i64> = self.scalar("SELECT paused_ms FROM engine", [])?;
            let by_ms = (engine.unwrap_or(now_ms) - since).max(0);
            self.execute(
                "UPDATE runs SET deadline_ms = deadline_ms + ?2 WHERE id = ?1",
                [run.0, by_ms],
            )?;
            self.execute(
                "UPDATE steps SET deadline_ms = deadline_ms + ?2 WHERE run_id = ?1",
                [run.0, by_ms],
            )?;
        }
        self.execute(
            "UPDATE runs SET paused_ms = ?2 WHERE id = ?1",
            params![run.0, pause.then_some(now_ms)],
        )?;
        self.note(Change::Paused { run: Some(run), paused: pause });
        self.touch_now(run);
        Point::RunPaused.reach()?;
        Ok(true)
    }

    /// Pauses the engine as a whole, or goes on. Stays over restarts.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn pause_engine(&mut self, pause: bool, now_ms: i64) -> Result<()> {
        let since: Option<i64> = self.scalar("SELECT paused_ms FROM engine", [])?;
        if since.is_some() == pause {
            return Ok(());
        }
        if let Some(since) = since {
            // Runs that are paused themselves get the rest when their own pause ends.
            for sql in [
                "UPDATE steps SET deadline_ms = steps.deadline_ms + max(0, coalesce(r.paused_ms, ?2) - ?1)
                 FROM runs r WHERE r.id = steps.run_id AND steps.deadline_ms IS NOT NULL",
                "UPDATE runs SET deadline_ms = deadline_ms + max(0, coalesce(paused_ms, ?2) - ?1)
                 WHERE deadline_ms IS NOT NULL",
            ] {
                self.execute(sql, [since, now_ms])?;
            }
        }
        self.execute("UPDATE engine SET paused_ms = ?", [pause.then_some(now_ms)])?;
        self.note(Change::Paused { run: None, paused: pause });
        for run in self.open_runs()? {
            self.touch_now(run);
        }
        Point::EnginePaused.reach()
    }

    /// Moves the deadlines of all runs that are not paused themselves by this much.
    pub(crate) fn put_off(&mut self, by_ms: i64) -> Result<()> {
        for sql in [
            "UPDATE runs SET deadline_ms = deadline_ms + ? WHERE deadline_ms IS NOT NULL AND paused_ms IS NULL",
            "UPDATE steps SET deadline_ms = deadline_ms + ? WHERE deadline_ms IS NOT NULL
             AND run_id IN (SELECT id FROM runs WHERE paused_ms IS NULL)",
        ] {
            self.execute(sql, [by_ms])?;
        }
        Ok(())
    }

    /// The first run that is held back by this one, which has ended, and may now go on.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn release_next(&mut self, run: JobId, now_ms: i64) -> Result<Option<JobId>> {
        let next: Option<i64> = self.first_scalar("UPDATE runs SET held = 0 WHERE id = (
                 SELECT r.id FROM runs r JOIN jobs j ON j.id = r.id
                 WHERE r.held = 1 AND j.finished_ms IS NULL
                   AND r.singleton_key = (SELECT singleton_key FROM runs WHERE id = ?1)
                   AND NOT EXISTS (SELECT 1 FROM runs o JOIN jobs b ON b.id = o.id
                       WHERE o.singleton_key = r.singleton_key AND o.held = 0 AND b.finished_ms IS NULL)
                 ORDER BY r.id LIMIT 1)
             RETURNING id", [run.0])?;
        if let Some(next) = next {
            self.begin_run(JobId(next), now_ms)?;
        }
        Ok(next.map(JobId))
    }

    /// The time that a run may take begins; in a pause, as in [`Tx::open_step`].
    pub(crate) fn begin_run(&mut self, run: JobId, now_ms: i64) -> Result<()> {
        self.execute(
            "UPDATE runs SET deadline_ms = timeout_ms + min(coalesce(paused_ms, ?2),
                 coalesce((SELECT paused_ms FROM engine), ?2)) WHERE id = ?1",
            [run.0, now_ms],
        )?;
        self.touch_now(run);
        Ok(())
    }

    /// The run that this step or task belongs to.
    ///
    /// # Errors
    /// If there is no such job, or SQLite fails.
    pub fn run_of(&mut self, job: JobId) -> Result<JobId> {
        let run: i64 = self.scalar("SELECT run_id FROM jobs WHERE id = ?", [job.0])?;
        Ok(JobId(run))
    }

    /// Tells whether the engine as a whole is paused.
    pub fn tell_paused(&mut self, paused: bool) {
        self.note(Change::Paused { run: None, paused });
    }

    /// Whether the engine as a whole is paused.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn engine_paused(&mut self) -> Result<bool> {
        self.scalar("SELECT paused_ms IS NOT NULL FROM engine", [])
    }

    /// The state of a run or step.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn job_status(&mut self, job: JobId) -> Result<Option<JobStatus>> {
        let row = self.first("SELECT status FROM jobs WHERE id = ?", [job.0])?;
        row.as_ref().map(status).transpose()
    }
}

fn cancelled() -> JobError {
    JobError { code: "cancelled".to_owned(), message: "The run was cancelled.".to_owned() }
}
