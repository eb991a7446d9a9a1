//! The queue and the tree of jobs. Every statement that writes a status is in this file; the
//! schema refuses a transition that is not in the table.

use quaero_contract::{JobError, JobId, JobKind, JobStatus};
use serde::{Deserialize, Serialize};
use sqlx::{Row, sqlite::SqliteRow};

use crate::{change::Change, error::Result, writer::Tx};

/// A task that was under way when this many processes died runs alone from then on: which of the
/// tasks of those processes is to blame cannot be told otherwise.
pub const SUSPECT_AFTER: i64 = 2;

// The index that finds suspects, and the query that uses it, have to name the number itself.
const _: () = assert!(SUSPECT_AFTER == 2);

/// A task that was under way when this many processes died is not tried again. Three of those
/// times it was alone.
pub const POISON_AFTER: i64 = SUSPECT_AFTER + 3;

/// A task to write to the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskRow {
    /// Which worker does it.
    pub task_type: String,
    /// What it works on, for people.
    pub name: String,
    /// Within a step, a second task with the same key is not written.
    pub key: Option<String>,
    /// What the worker needs to know.
    pub payload: serde_json::Value,
    /// Where it queues.
    pub lane: String,
    /// How many tasks of the lane run at the same time.
    pub lane_limit: u32,
    /// Milliseconds from one start in the lane to the next.
    pub lane_delay_ms: u32,
    /// How often it may be tried.
    pub max_attempts: u32,
}

/// What became of tasks that were to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// New in the queue.
    pub written: u64,
    /// Not written, because the step has as many tasks as it may have.
    pub left_out: u64,
}

/// Where new tasks go.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The run.
    pub run: JobId,
    /// The step.
    pub step: JobId,
    /// The job right above: the step itself or a task of it.
    pub parent: JobId,
    /// 0 below the step itself.
    pub depth: u32,
}

/// The right to finish one attempt of a task: void as soon as the task is not running under this
/// process and this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The task.
    pub job: JobId,
    /// Which attempt.
    pub attempt: i64,
}

/// A task that was handed out.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The right to finish it.
    pub lease: Lease,
    /// The run.
    pub run: JobId,
    /// The step.
    pub step: JobId,
    /// Which worker does it.
    pub task_type: String,
    /// What it works on.
    pub name: String,
    /// 0 for a step's first tasks.
    pub depth: u32,
    /// What the worker needs to know.
    pub payload: serde_json::Value,
    /// Where it queued.
    pub lane: String,
    /// How many of the lane may run at the same time.
    pub lane_limit: u32,
    /// Milliseconds from one start in the lane to the next.
    pub lane_delay_ms: u32,
}

/// A task whose lease still holds.
#[derive(Clone, Debug)]
pub struct Leased {
    /// Where its children go.
    pub below: Place,
    /// What it works on.
    pub name: String,
    /// Where it queued.
    pub lane: String,
    /// Attempts that may still follow.
    pub attempts_left: i64,
    /// Whether its run has been cancelled.
    pub cancel_requested: bool,
}

/// How the lane of a claim stands.
#[derive(Clone, Copy, Debug)]
pub struct LaneState {
    /// Tasks of the lane that are running.
    pub running: u32,
    /// When the last one started, in milliseconds since 1970.
    pub last_start_ms: i64,
}

fn place(row: &SqliteRow) -> std::result::Result<Claimed, sqlx::Error> {
    let payload: String = row.try_get("payload")?;
    Ok(Claimed {
        lease: Lease { job: JobId(row.try_get("id")?), attempt: row.try_get("attempt")? },
        run: JobId(row.try_get("run_id")?),
        step: JobId(row.try_get("step_id")?),
        task_type: row.try_get("type")?,
        name: row.try_get("name")?,
        depth: row.try_get("depth")?,
        payload: serde_json::from_str(&payload).unwrap_or(serde_json::Value::Null),
        lane: row.try_get("lane")?,
        lane_limit: row.try_get("lane_limit")?,
        lane_delay_ms: row.try_get("lane_delay_ms")?,
    })
}

impl Tx {
    /// Writes tasks, in order, leaving out those whose key the step already has, and everything
    /// beyond `max_step_tasks` tasks in the step.
    ///
    /// # Errors
    /// If the run is cancelled or the parent has ended (nothing is written then), or if SQLite fails.
    pub async fn insert_tasks(
        &mut self,
        place: Place,
        tasks: &[TaskRow],
        max_step_tasks: Option<u32>,
        now_ms: i64,
    ) -> Result<Inserted> {
        if tasks.is_empty() {
            return Ok(Inserted::default());
        }
        let json = serde_json::to_string(tasks).expect("task rows are plain data");
        let written = sqlx::query(
            "INSERT INTO jobs (run_id, parent_id, step_id, kind, type, name, depth, task_key, payload,
                 lane, lane_limit, lane_delay_ms, max_attempts, created_ms, changed_ms)
             SELECT ?1, ?2, ?3, 'task', t.value ->> 'task_type', t.value ->> 'name', ?4,
                 t.value ->> 'key', t.value -> 'payload', t.value ->> 'lane',
                 t.value ->> 'lane_limit', t.value ->> 'lane_delay_ms', t.value ->> 'max_attempts', ?5, ?5
             FROM json_each(?6) AS t
             WHERE t.value ->> 'key' IS NULL OR NOT EXISTS
                 (SELECT 1 FROM jobs WHERE step_id = ?3 AND task_key = t.value ->> 'key')
             ORDER BY t.key
             LIMIT max(0, ?7 - (SELECT total FROM counters WHERE job_id = ?3))
             ON CONFLICT DO NOTHING",
        )
        .bind(place.run.0)
        .bind(place.parent.0)
        .bind(place.step.0)
        .bind(place.depth)
        .bind(now_ms)
        .bind(&json)
        .bind(max_step_tasks.map_or(i64::MAX, i64::from))
        .execute(&mut self.conn)
        .await?
        .rows_affected();
        let left_out: i64 = match max_step_tasks {
            Some(_) => {
                sqlx::query_scalar(
                    "SELECT count(*) FROM json_each(?2) AS t WHERE NOT EXISTS
                     (SELECT 1 FROM jobs WHERE step_id = ?1 AND task_key = t.value ->> 'key')",
                )
                .bind(place.step.0)
                .bind(&json)
                .fetch_one(&mut self.conn)
                .await?
            }
            None => 0,
        };
        // A page that was first found by a longer way is now nearer.
        sqlx::query(
            "UPDATE jobs SET depth = ?1 WHERE step_id = ?2 AND status = 'pending' AND depth > ?1
             AND task_key IN (SELECT value ->> 'key' FROM json_each(?3))",
        )
        .bind(place.depth)
        .bind(place.step.0)
        .bind(&json)
        .execute(&mut self.conn)
        .await?;
        let lanes: std::collections::BTreeSet<&str> =
            tasks.iter().map(|t| t.lane.as_str()).collect();
        for lane in lanes {
            self.note(Change::Ready { run: place.run, lane: lane.to_owned(), at_ms: now_ms });
        }
        self.touch(place.run);
        Ok(Inserted { written, left_out: left_out.unsigned_abs() })
    }

    /// Hands out the next tasks of a run in a lane: breadth first, in the order in which they were
    /// found. One statement, so that no two claims can get the same task.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn claim(
        &mut self,
        run: JobId,
        lane: &str,
        state: LaneState,
        limit: u32,
        now_ms: i64,
    ) -> Result<Vec<Claimed>> {
        let rows = sqlx::query(
            "UPDATE jobs SET status = 'running', attempt = attempt + 1, lease_epoch = ?1,
                 started_ms = coalesce(started_ms, ?2), changed_ms = ?2
             WHERE id IN (
                 SELECT id FROM (
                     SELECT id, lane_limit, row_number() OVER (ORDER BY depth, id) AS place FROM (
                         SELECT id, depth, lane_limit FROM jobs
                         WHERE run_id = ?3 AND lane = ?4 AND status = 'pending' AND kind = 'task'
                           AND run_after_ms <= ?2 AND lane_limit > ?5 AND lane_delay_ms <= ?6
                         ORDER BY depth, id LIMIT ?7))
                 -- Those before it in this claim count for its limit, too.
                 WHERE lane_limit >= ?5 + place)
             RETURNING id, run_id, step_id, type, name, depth, attempt, payload, lane, lane_limit, lane_delay_ms",
        )
        .bind(self.epoch)
        .bind(now_ms)
        .bind(run.0)
        .bind(lane)
        .bind(state.running)
        .bind(now_ms.saturating_sub(state.last_start_ms).max(0))
        .bind(limit)
        .fetch_all(&mut self.conn)
        .await?;
        if !rows.is_empty() {
            self.touch(run);
        }
        let mut claimed = rows.iter().map(place).collect::<std::result::Result<Vec<_>, _>>()?;
        claimed.sort_by_key(|task| (task.depth, task.lease.job));
        Ok(claimed)
    }

    /// When the next task of a run in a lane may start, as far as time decides: `None` if there is
    /// none, or if it waits for a running task of its lane.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn next_start(
        &mut self,
        run: JobId,
        lane: &str,
        state: LaneState,
        now_ms: i64,
    ) -> Result<Option<i64>> {
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT lane_delay_ms FROM jobs
             WHERE run_id = ?1 AND lane = ?2 AND status = 'pending' AND kind = 'task'
               AND run_after_ms <= ?3 AND lane_limit > ?4
             ORDER BY depth, id LIMIT 1",
        )
        .bind(run.0)
        .bind(lane)
        .bind(now_ms)
        .bind(state.running)
        .fetch_optional(&mut self.conn)
        .await?;
        let delayed: Option<i64> = sqlx::query_scalar(
            "SELECT min(run_after_ms) FROM jobs
             WHERE run_id = ?1 AND lane = ?2 AND status = 'pending' AND kind = 'task' AND run_after_ms > ?3",
        )
        .bind(run.0)
        .bind(lane)
        .bind(now_ms.max(0))
        .fetch_one(&mut self.conn)
        .await?;
        let due = due.map(|delay| now_ms.max(state.last_start_ms.saturating_add(delay)));
        Ok(due.into_iter().chain(delayed).min())
    }

    /// The lanes in which a run has tasks to start, now or later.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn waiting_lanes(&mut self, run: JobId) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(
            "SELECT DISTINCT lane FROM jobs WHERE run_id = ? AND status = 'pending' AND kind = 'task'",
        )
        .bind(run.0)
        .fetch_all(&mut self.conn)
        .await?)
    }

    /// The task, if this lease on it still holds.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn leased(&mut self, lease: Lease) -> Result<Option<Leased>> {
        let row = sqlx::query(
            "SELECT j.run_id, j.step_id, j.depth, j.name, j.lane,
                 j.max_attempts - (j.attempt - j.recovery_count) AS attempts_left, r.cancel_requested
             FROM jobs j JOIN runs r ON r.id = j.run_id
             WHERE j.id = ? AND j.status = 'running' AND j.lease_epoch = ? AND j.attempt = ?",
        )
        .bind(lease.job.0)
        .bind(self.epoch)
        .bind(lease.attempt)
        .fetch_optional(&mut self.conn)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Leased {
            below: Place {
                run: JobId(row.try_get("run_id")?),
                step: JobId(row.try_get("step_id")?),
                parent: lease.job,
                depth: row.try_get::<u32, _>("depth")? + 1,
            },
            name: row.try_get("name")?,
            lane: row.try_get("lane")?,
            attempts_left: row.try_get("attempts_left")?,
            cancel_requested: row.try_get("cancel_requested")?,
        }))
    }

    /// Puts a running task back into the queue, not to start before `run_after_ms`. With `error`
    /// the attempt counts and the error is kept for show; without one the attempt is given back.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn requeue(
        &mut self,
        task: &Leased,
        error: Option<&JobError>,
        run_after_ms: i64,
        now_ms: i64,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE jobs SET status = 'pending', lease_epoch = NULL, run_after_ms = ?2, changed_ms = ?3,
                 attempt = attempt - (?4 IS NULL), error_code = ?4, error_message = ?5 WHERE id = ?1",
        )
        .bind(task.below.parent.0)
        .bind(run_after_ms)
        .bind(now_ms)
        .bind(error.map(|e| &e.code))
        .bind(error.map(|e| &e.message))
        .execute(&mut self.conn)
        .await?;
        self.note(Change::Ready {
            run: task.below.run,
            lane: task.lane.clone(),
            at_ms: run_after_ms,
        });
        self.touch(task.below.run);
        Ok(())
    }

    /// Ends a task's own work. While it has open children it waits for them and ends with the last.
    /// Then everything above it that was only waiting for it ends too. Returns the step if it has
    /// nothing open any more; what becomes of a step is not decided here.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn end_task(
        &mut self,
        task: JobId,
        error: Option<&JobError>,
        now_ms: i64,
    ) -> Result<Option<JobId>> {
        sqlx::query("UPDATE jobs SET error_code = ?2, error_message = ?3 WHERE id = ?1")
            .bind(task.0)
            .bind(error.map(|e| &e.code))
            .bind(error.map(|e| &e.message))
            .execute(&mut self.conn)
            .await?;
        let mut job = task;
        loop {
            let row = sqlx::query(
                "SELECT run_id, parent_id, kind, status, n_open, error_code FROM jobs WHERE id = ?",
            )
            .bind(job.0)
            .fetch_one(&mut self.conn)
            .await?;
            let kind: &str = row.try_get("kind")?;
            let status: &str = row.try_get("status")?;
            let (open, code): (i64, Option<&str>) =
                (row.try_get("n_open")?, row.try_get("error_code")?);
            let run = JobId(row.try_get("run_id")?);
            if kind == JobKind::Step.as_str() {
                return Ok((open == 0 && status == JobStatus::Waiting.as_str()).then_some(job));
            }
            // A task that still has work of its own ends by itself.
            if job != task && status != JobStatus::Waiting.as_str() {
                return Ok(None);
            }
            let next = match (open, code) {
                (1.., _) => JobStatus::Waiting,
                (_, None) => JobStatus::Completed,
                (_, Some("cancelled")) => JobStatus::Cancelled,
                (_, Some(_)) => JobStatus::Failed,
            };
            let above = JobId(row.try_get("parent_id")?);
            if status != next.as_str() {
                self.set_status(job, next, now_ms).await?;
            }
            self.touch(run);
            if next == JobStatus::Waiting {
                return Ok(None);
            }
            job = above;
        }
    }

    /// The one place where a single job changes its status.
    async fn set_status(&mut self, job: JobId, status: JobStatus, now_ms: i64) -> Result<()> {
        sqlx::query(
            "UPDATE jobs SET status = ?2, changed_ms = ?3, lease_epoch = NULL,
                 finished_ms = CASE WHEN ?4 THEN ?3 END, started_ms = coalesce(started_ms, CASE WHEN ?5 THEN ?3 END)
             WHERE id = ?1",
        )
        .bind(job.0)
        .bind(status.as_str())
        .bind(now_ms)
        .bind(status.is_terminal())
        .bind(status == JobStatus::Waiting)
        .execute(&mut self.conn)
        .await?;
        Ok(())
    }

    /// Moves a run or a step on, and tells of it.
    ///
    /// # Errors
    /// If the transition is not allowed, or SQLite fails.
    pub async fn move_job(
        &mut self,
        job: JobId,
        status: JobStatus,
        error: Option<&JobError>,
        now_ms: i64,
    ) -> Result<()> {
        self.set_status(job, status, now_ms).await?;
        let row = sqlx::query(
            "UPDATE jobs SET error_code = coalesce(?2, error_code), error_message = coalesce(?3, error_message)
             WHERE id = ?1 RETURNING run_id, kind, name",
        )
        .bind(job.0)
        .bind(error.map(|e| &e.code))
        .bind(error.map(|e| &e.message))
        .fetch_one(&mut self.conn)
        .await?;
        let run = JobId(row.try_get("run_id")?);
        let kind = if row.try_get::<&str, _>("kind")? == "parent" {
            JobKind::Parent
        } else {
            JobKind::Step
        };
        self.note(Change::Status {
            run,
            job,
            kind,
            name: row.try_get("name")?,
            status,
            error: error.cloned(),
        });
        self.touch(run);
        Ok(())
    }

    /// Ends every task of a run, or of one step of it, that is not running now. Returns the steps
    /// that have nothing open any more.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn cancel_tasks(
        &mut self,
        run: JobId,
        step: Option<JobId>,
        now_ms: i64,
    ) -> Result<Vec<JobId>> {
        // A task that has spawned children and was to be tried again cannot end before them.
        sqlx::query(
            "UPDATE jobs SET status = CASE WHEN n_open > 0 THEN 'waiting' ELSE 'cancelled' END,
                 finished_ms = CASE WHEN n_open > 0 THEN NULL ELSE ?3 END, changed_ms = ?3,
                 error_code = 'cancelled', error_message = 'The run was cancelled.'
             WHERE run_id = ?1 AND kind = 'task' AND status = 'pending' AND (?2 IS NULL OR step_id = ?2)",
        )
        .bind(run.0)
        .bind(step.map(|s| s.0))
        .bind(now_ms)
        .execute(&mut self.conn)
        .await?;
        loop {
            let ended = sqlx::query(
                "UPDATE jobs SET status = CASE WHEN error_code IS NULL THEN 'completed'
                     WHEN error_code = 'cancelled' THEN 'cancelled' ELSE 'failed' END,
                     finished_ms = ?3, changed_ms = ?3
                 WHERE run_id = ?1 AND kind = 'task' AND status = 'waiting' AND n_open = 0
                   AND (?2 IS NULL OR step_id = ?2)",
            )
            .bind(run.0)
            .bind(step.map(|s| s.0))
            .bind(now_ms)
            .execute(&mut self.conn)
            .await?
            .rows_affected();
            if ended == 0 {
                break;
            }
        }
        self.touch(run);
        let drained: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM jobs WHERE run_id = ?1 AND kind = 'step' AND status = 'waiting' AND n_open = 0
               AND (?2 IS NULL OR id = ?2) ORDER BY id",
        )
        .bind(run.0)
        .bind(step.map(|s| s.0))
        .fetch_all(&mut self.conn)
        .await?;
        Ok(drained.into_iter().map(JobId).collect())
    }

    /// Whether one of these runs has a task that must run alone (see [`SUSPECT_AFTER`]): it has not
    /// come to an end of its own since.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn has_suspects(&mut self, runs: &[JobId]) -> Result<bool> {
        let runs = serde_json::to_string(runs).expect("ids are plain data");
        // A retry has a time of its own; a task that was taken back has none.
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE kind = 'task' AND status IN ('pending', 'running')
               AND recovery_count >= 2 AND run_after_ms = 0
               AND run_id IN (SELECT CAST(value AS INTEGER) FROM json_each(?)))",
        )
        .bind(runs)
        .fetch_one(&mut self.conn)
        .await?;
        Ok(found)
    }

    /// Takes back every task that a dead process was working on. One that has now taken
    /// [`POISON_AFTER`] processes down is not tried again, and one of a cancelled run is cancelled.
    /// Returns the steps that have nothing open any more because of that.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn void_dead_leases(&mut self, now_ms: i64) -> Result<Vec<JobId>> {
        sqlx::query(
            "UPDATE jobs SET status = 'pending', lease_epoch = NULL, recovery_count = recovery_count + 1,
                 run_after_ms = 0, changed_ms = ?1
             WHERE status = 'running' AND lease_epoch <> ?2",
        )
        .bind(now_ms)
        .bind(self.epoch)
        .execute(&mut self.conn)
        .await?;
        let poison: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM jobs WHERE status = 'pending' AND kind = 'task' AND recovery_count >= ? ORDER BY id",
        )
        .bind(POISON_AFTER)
        .fetch_all(&mut self.conn)
        .await?;
        let mut drained = Vec::new();
        for job in poison {
            let error = JobError {
                code: "poison".to_owned(),
                message: format!(
                    "Quaero stopped unexpectedly {POISON_AFTER} times while working on this."
                ),
            };
            drained.extend(self.end_task(JobId(job), Some(&error), now_ms).await?);
        }
        let cancelled: Vec<i64> = sqlx::query_scalar(
            "SELECT r.id FROM runs r JOIN jobs j ON j.id = r.id
             WHERE r.cancel_requested = 1 AND j.finished_ms IS NULL ORDER BY r.id",
        )
        .fetch_all(&mut self.conn)
        .await?;
        for run in cancelled {
            drained.extend(self.cancel_tasks(JobId(run), None, now_ms).await?);
        }
        Ok(drained)
    }
}
