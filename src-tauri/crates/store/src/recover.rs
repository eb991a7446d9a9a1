//! Taking over from a dead process, and following a clock that was set.

use std::collections::BTreeSet;

use quaero_contract::{JobError, JobId, JobStatus};
use rusqlite::params;

use crate::{control::id, error::Result, point::Point, writer::Tx};

/// A task that was under way when this many processes died runs alone from then on: which of the
/// tasks of those processes is to blame cannot be told otherwise.
pub const SUSPECT_AFTER: i64 = 2;

/// A task that was under way when this many processes died is not tried again. Three of those
/// times it was alone.
pub const POISON_AFTER: i64 = SUSPECT_AFTER + 3;

impl Tx {
    /// Takes back every task that a dead process was working on. One that has now taken
    /// [`POISON_AFTER`] processes down is not tried again, and one of a cancelled run or stopped
    /// step is cancelled. Returns the runs that have to be moved on because of that.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn void_dead_leases(&mut self, now_ms: i64) -> Result<BTreeSet<JobId>> {
        self.flush()?;
        let taken = self.all("UPDATE jobs SET status = 'pending', lease_epoch = NULL, recovery_count = recovery_count + 1,
                 suspect = recovery_count + 1 >= ?3, run_after_ms = 0, changed_ms = ?1
             WHERE status = 'running' AND lease_epoch <> ?2
             RETURNING id, run_id, step_id, recovery_count", params![now_ms, self.epoch, SUSPECT_AFTER])?;
        let mut poison = Vec::new();
        let mut runs = BTreeSet::new();
        for row in &taken {
            let (run, step) = (id(row, "run_id")?, id(row, "step_id")?);
            self.tally.moved(run, step, Some(JobStatus::Running), JobStatus::Pending, 1);
            self.touch(run);
            if row.get::<i64>("recovery_count")? >= POISON_AFTER {
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
            self.end_task(job, Some(&error), now_ms)?;
        }
        let stopped = self.all("SELECT r.id, NULL AS step_id, 'The run was cancelled.' AS message
             FROM runs r JOIN jobs j ON j.id = r.id WHERE r.cancel_requested = 1 AND j.finished_ms IS NULL
             UNION ALL
             SELECT s.run_id, s.id, s.stop_message FROM steps s JOIN jobs j ON j.id = s.id
             WHERE s.stop_code IS NOT NULL AND j.finished_ms IS NULL", [])?;
        for row in &stopped {
            let run = id(row, "id")?;
            let step = row.get::<Option<i64>>("step_id")?.map(JobId);
            let error = JobError { code: "cancelled".to_owned(), message: row.get("message")? };
            self.end_waiting_tasks(run, step, &error, now_ms)?;
            runs.insert(run);
        }
        Point::LeasesVoided.reach()?;
        Ok(runs)
    }

    /// Whether one of these runs has a task that must run alone (see [`SUSPECT_AFTER`]): it has not
    /// come to an end of its own since.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn has_suspects(&mut self, runs: &[JobId]) -> Result<bool> {
        let runs = serde_json::to_string(runs).expect("ids are plain data");
        let found = self.scalar(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE suspect = 1
               AND run_id IN (SELECT CAST(value AS INTEGER) FROM json_each(?)))",
            [runs],
        )?;
        Ok(found)
    }

    /// The clock was set back by this much: whatever waits for a time waits no longer than it was
    /// meant to.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn follow_clock(&mut self, back_ms: i64) -> Result<()> {
        for sql in [
            "UPDATE jobs SET run_after_ms = max(1, run_after_ms - ?) WHERE status = 'pending' AND kind = 'task' AND run_after_ms > 0",
            "UPDATE steps SET run_after_ms = max(1, run_after_ms - ?) WHERE run_after_ms > 0",
            "UPDATE steps SET deadline_ms = deadline_ms - ? WHERE deadline_ms IS NOT NULL",
            "UPDATE runs SET deadline_ms = deadline_ms - ? WHERE deadline_ms IS NOT NULL",
            "UPDATE runs SET paused_ms = paused_ms - ? WHERE paused_ms IS NOT NULL",
            "UPDATE engine SET paused_ms = paused_ms - ? WHERE paused_ms IS NOT NULL",
        ] {
            self.execute(sql, [back_ms])?;
        }
        Ok(())
    }

    /// So much time has passed in which nothing could be done: it does not count for the limits of
    /// runs and steps. Of what is paused that is known already.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn skip_time(&mut self, ms: i64) -> Result<()> {
        if self.engine_paused()? { Ok(()) } else { self.put_off(ms) }
    }

    /// When the last job changed its state, in milliseconds since 1970: the clock said so once.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn last_change_ms(&mut self) -> Result<Option<i64>> {
        self.first_scalar("SELECT at_ms FROM events ORDER BY seq DESC LIMIT 1", [])
    }

    /// The runs that have not ended and that this process works on.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn own_runs(&mut self) -> Result<Vec<JobId>> {
        let ids: Vec<i64> = self.scalars("SELECT j.id FROM jobs j JOIN runs r ON r.id = j.id
             WHERE j.kind = 'parent' AND j.status IN ('pending', 'waiting') AND r.epoch = ? ORDER BY j.id", [self.epoch])?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// The runs that have not ended and that no other run has started.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn open_roots(&mut self) -> Result<Vec<JobId>> {
        let ids: Vec<i64> = self.scalars("SELECT j.id FROM jobs j JOIN runs r ON r.id = j.id
             WHERE j.kind = 'parent' AND j.status IN ('pending', 'waiting') AND r.caused_by IS NULL ORDER BY j.id", [])?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// The runs that have not ended.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn open_runs(&mut self) -> Result<Vec<JobId>> {
        let ids: Vec<i64> = self.scalars("SELECT id FROM jobs WHERE kind = 'parent' AND status IN ('pending', 'waiting') ORDER BY id", [])?;
        Ok(ids.into_iter().map(JobId).collect())
    }
}
