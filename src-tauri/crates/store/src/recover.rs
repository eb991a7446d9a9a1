//! Taking over from a dead process, and following a clock that was set.

use std::collections::BTreeSet;

use quaero_contract::{JobError, JobId, JobStatus};
use sqlx::Row;

use crate::{control::id, error::Result, writer::Tx};

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

    /// The clock was set back by this much: whatever waits for a time waits no longer than it was
    /// meant to.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn follow_clock(&mut self, back_ms: i64) -> Result<()> {
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
        Ok(())
    }

    /// When the last job changed its state, in milliseconds since 1970: the clock said so once.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn last_change_ms(&mut self) -> Result<Option<i64>> {
        let last = sqlx::query_scalar("SELECT at_ms FROM events ORDER BY seq DESC LIMIT 1");
        Ok(last.fetch_optional(&mut self.conn).await?)
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
}
