//! Looking back: the events of a run from any point on, what stands out in it, and forgetting runs
//! that have ended.

use std::collections::BTreeMap;

use quaero_contract::{
    EventPage, FailureCount, JobCounts, JobEvent, JobId, JobKind, JobStatus, RunStatistics,
    TypeCounts,
};
use rusqlite::params;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::{
    Store,
    error::{Result, StoreError},
    point::Point,
    time::rfc3339,
    views::job_node,
    writer::Tx,
};

/// Which runs are kept. Runs that have not ended are never forgotten, nor are those above or below
/// one that has not, nor those whose work such a run does again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// At most this many of the newest runs.
    pub runs: Option<u32>,
    /// Only runs that ended at this time or later, in milliseconds since 1970.
    pub ended_after_ms: Option<i64>,
}

fn parse(word: &str) -> Result<JobStatus> {
    JobStatus::parse(word)
        .ok_or_else(|| StoreError::decode("status", format!("`{word}` is not a status")))
}

impl Store {
    /// The changes of state in a run, or in all of them, after the one with this number, oldest
    /// first, at most `limit`.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn events_after(
        &self,
        run: Option<JobId>,
        after: u64,
        limit: u32,
    ) -> Result<EventPage> {
        let limit = limit.clamp(1, 10_000);
        let rows = sqlx::query(
            "SELECT e.seq, e.job_id, e.from_status, e.to_status, e.attempt, e.at_ms, j.kind, j.name
             FROM events e JOIN jobs j ON j.id = e.job_id
             WHERE e.seq > ?1 AND (?2 IS NULL OR e.run_id = ?2) ORDER BY e.seq LIMIT ?3",
        )
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(run.map(|run| run.0))
        .bind(limit + 1)
        .fetch_all(&self.readers)
        .await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in rows.iter().take(limit as usize) {
            events.push(JobEvent {
                seq: row.try_get::<i64, _>("seq")?.unsigned_abs(),
                job_id: JobId(row.try_get("job_id")?),
                kind: match row.try_get("kind")? {
                    "parent" => JobKind::Parent,
                    "step" => JobKind::Step,
                    _ => JobKind::Task,
                },
                name: row.try_get("name")?,
                from: parse(row.try_get("from_status")?)?,
                to: parse(row.try_get("to_status")?)?,
                attempt: row.try_get("attempt")?,
                at: rfc3339(row.try_get("at_ms")?),
            });
        }
        Ok(EventPage { events, more: rows.len() > limit as usize })
    }

    /// What stands out in a run.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn run_statistics(&self, run: JobId) -> Result<RunStatistics> {
        let rows = sqlx::query(
            "SELECT type, status, count(*) AS n, sum(coalesce(finished_ms - started_ms, 0)) AS ms,
                 sum(finished_ms IS NOT NULL AND started_ms IS NOT NULL) AS ended
             FROM jobs WHERE run_id = ? AND kind = 'task' GROUP BY type, status",
        )
        .bind(run.0)
        .fetch_all(&self.readers)
        .await?;
        let mut types: BTreeMap<String, (JobCounts, i64, i64)> = BTreeMap::new();
        for row in &rows {
            let count: u32 = row.try_get("n")?;
            let (counts, ms, ended) = types.entry(row.try_get("type")?).or_default();
            *ms += row.try_get::<i64, _>("ms")?;
            *ended += row.try_get::<i64, _>("ended")?;
            counts.total += count;
            *match parse(row.try_get("status")?)? {
                JobStatus::Pending => &mut counts.pending,
                JobStatus::Running => &mut counts.running,
                JobStatus::Waiting => &mut counts.waiting,
                JobStatus::Completed => &mut counts.completed,
                JobStatus::Failed => &mut counts.failed,
                JobStatus::Cancelled => &mut counts.cancelled,
                JobStatus::Skipped => &mut counts.skipped,
            } += count;
        }
        let types = types
            .into_iter()
            .map(|(task_type, (jobs, ms, ended))| TypeCounts {
                task_type,
                jobs,
                mean_ms: u32::try_from(ms.max(0) / ended.max(1)).unwrap_or(u32::MAX),
            })
            .collect();
        let slowest = self
            .tasks(
                run,
                " AND j.finished_ms IS NOT NULL AND j.started_ms IS NOT NULL
                  ORDER BY j.finished_ms - j.started_ms DESC, j.id LIMIT 10",
            )
            .await?;
        let codes = sqlx::query(
            "SELECT error_code, count(*) AS n, min(id) AS example FROM jobs
             WHERE run_id = ? AND kind = 'task' AND status = 'failed' AND error_code IS NOT NULL
             GROUP BY error_code ORDER BY n DESC, error_code LIMIT 10",
        )
        .bind(run.0)
        .fetch_all(&self.readers)
        .await?;
        let mut failures = Vec::with_capacity(codes.len());
        for row in &codes {
            let example: i64 = row.try_get("example")?;
            let mut example = self.tasks(run, &format!(" AND j.id = {example}")).await?;
            if let Some(example) = example.pop() {
                let (code, count) = (row.try_get("error_code")?, row.try_get("n")?);
                failures.push(FailureCount { code, count, example });
            }
        }
        let requests = self.requests(run).await?;
        Ok(RunStatistics { types, slowest, failures, requests })
    }

    async fn tasks(&self, run: JobId, which: &str) -> Result<Vec<quaero_contract::JobNode>> {
        let rows = QueryBuilder::<Sqlite>::new(
            "SELECT j.*, (SELECT min(document_id) FROM step_documents d WHERE d.job_id = j.id) AS document_id
             FROM jobs j WHERE j.kind = 'task' AND j.run_id = ",
        )
        .push_bind(run.0)
        .push(which)
        .build()
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(job_node).collect::<Result<Vec<_>>>()
    }

    /// Whether the engine as a whole is paused.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn engine_paused(&self) -> Result<bool> {
        Ok(sqlx::query_scalar("SELECT paused_ms IS NOT NULL FROM engine")
            .fetch_one(&self.readers)
            .await?)
    }

    /// Whether a run of this definition has not ended.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn has_open_run(&self, definition_id: &str) -> Result<bool> {
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM runs r JOIN jobs j ON j.id = r.id
             WHERE r.definition_id = ? AND j.finished_ms IS NULL)",
        )
        .bind(definition_id)
        .fetch_one(&self.readers)
        .await?;
        Ok(found)
    }
}

impl Tx {
    /// Forgets runs that are not to be kept, at most 100 of them, the oldest first: their jobs,
    /// events and warnings. Documents stay. Returns the runs that were forgotten.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn prune_runs(&mut self, keep: Keep) -> Result<Vec<JobId>> {
        // A run and those below it are forgotten together.
        let roots: Vec<i64> = self.scalars(
            "WITH RECURSIVE needed (id) AS (
                 SELECT r.rerun_of FROM runs r JOIN jobs j ON j.id = r.id
                 WHERE r.rerun_of IS NOT NULL AND j.finished_ms IS NULL
                 UNION
                 SELECT s.run_id FROM needed n JOIN runs r ON r.id = n.id JOIN steps s ON s.id = r.caused_by),
             roots AS (
                 SELECT r.id, j.finished_ms, row_number() OVER (ORDER BY r.id DESC) AS place
                 FROM runs r JOIN jobs j ON j.id = r.id WHERE r.caused_by IS NULL)
             SELECT id FROM roots WHERE finished_ms IS NOT NULL AND (place > ?1 OR finished_ms < ?2)
                 AND id NOT IN (SELECT id FROM needed)
             ORDER BY id LIMIT 100",
            params![keep.runs.map_or(i64::MAX, i64::from), keep.ended_after_ms.unwrap_or(i64::MIN)],
        )?;
        let ids: Vec<i64> = self.scalars("WITH RECURSIVE family (id) AS (
                 SELECT value FROM json_each(?1)
                 UNION
                 SELECT r.id FROM family f JOIN steps s ON s.run_id = f.id JOIN runs r ON r.caused_by = s.id)
             SELECT id FROM family", [serde_json::to_string(&roots).expect("numbers are plain data")])?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let json = serde_json::to_string(&ids).expect("numbers are plain data");
        for sql in [
            "DELETE FROM warnings WHERE run_id IN (SELECT value FROM json_each(?))",
            "DELETE FROM step_documents WHERE run_id IN (SELECT value FROM json_each(?))",
            "DELETE FROM step_instances WHERE step_id IN (SELECT id FROM steps WHERE run_id IN (SELECT value FROM json_each(?)))",
            // The events of a run lie between its first and the end of the table.
            "DELETE FROM events WHERE run_id IN (SELECT value FROM json_each(?))",
            "DELETE FROM counters WHERE job_id IN (SELECT id FROM jobs WHERE kind <> 'task' AND run_id IN (SELECT value FROM json_each(?)))",
            "UPDATE runs SET caused_by = NULL WHERE id IN (SELECT value FROM json_each(?))",
            "DELETE FROM requests WHERE step_id IN (SELECT id FROM steps WHERE run_id IN (SELECT value FROM json_each(?)))",
            "DELETE FROM steps WHERE run_id IN (SELECT value FROM json_each(?))",
            "DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))",
            // Children before their parents, which they refer to.
            "DELETE FROM jobs WHERE kind = 'task' AND run_id IN (SELECT value FROM json_each(?))",
            "DELETE FROM jobs WHERE kind = 'step' AND run_id IN (SELECT value FROM json_each(?))",
            "DELETE FROM jobs WHERE run_id IN (SELECT value FROM json_each(?))",
        ] {
            self.execute(sql, [&json])?;
        }
        Point::RunsPruned.reach()?;
        Ok(ids.into_iter().map(JobId).collect())
    }
}
