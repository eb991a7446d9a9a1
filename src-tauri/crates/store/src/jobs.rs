//! The queue: tasks are written, handed out under a lease, put back, and end. Together with
//! [`crate::control`] this is the only place that writes a status; the schema refuses a transition
//! that is not in the table.

use std::collections::{BTreeMap, BTreeSet};

use quaero_contract::{JobError, JobId, JobKind, JobStatus};
use rusqlite::params;
use serde::{Deserialize, Serialize};

use crate::{change::Change, error::Result, known::Known, point::Point, runs::status, writer::Tx};

/// Tasks that one statement writes.
const CHUNK: usize = 1_000;

/// A task to write to the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskRow {
    /// Which worker does it.
    pub task_type: String,
    /// What it works on, for people.
    pub name: String,
    /// Within one attempt of a step, a second task with the same key is not written.
    pub key: Option<String>,
    /// What the worker needs to know.
    pub payload: serde_json::Value,
    /// Where it queues.
    pub lane: String,
    /// How many tasks of the lane run at the same time.
    pub lane_limit: u32,
    /// Milliseconds from one start in the lane to the next.
    pub lane_delay_ms: u32,
    /// Higher first, within a lane of its run; added to that of its step.
    pub priority: i32,
}

/// What became of tasks that were to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// New in the queue.
    pub written: u64,
    /// Not written, because the step has as many tasks as its task allows ([`Tx::insert_tasks`]).
    pub left_out: u64,
    /// As many tasks as the step may have at all, if more were to be written.
    pub too_many: Option<u32>,
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
    /// Why it has to stop, if its run was cancelled or its step stopped: no children are written.
    pub stop: Option<JobError>,
    /// Whether its run bears only so many failures.
    pub tolerance: bool,
}

impl Tx {
    /// Writes tasks, in order, leaving out those whose key the step already has, and everything
    /// beyond `max_step_tasks` tasks in this attempt of the step, or beyond what it may have at all.
    ///
    /// # Errors
    /// If the run is cancelled or the parent has ended (nothing is written then), or if SQLite fails.
    pub fn insert_tasks(
        &mut self,
        place: Place,
        tasks: &[TaskRow],
        max_step_tasks: Option<u32>,
        now_ms: i64,
    ) -> Result<Inserted> {
        let mut all = Inserted::default();
        // A statement for each chunk bounds what is held in memory twice.
        for chunk in tasks.chunks(CHUNK) {
            let part = self.insert_chunk(place, chunk, max_step_tasks, now_ms)?;
            all.written += part.written;
            all.left_out += part.left_out;
            all.too_many = all.too_many.or(part.too_many);
        }
        Point::TasksWritten.reach()?;
        Ok(all)
    }

    fn insert_chunk(
        &mut self,
        place: Place,
        tasks: &[TaskRow],
        max_step_tasks: Option<u32>,
        now_ms: i64,
    ) -> Result<Inserted> {
        let round: i64 =
            self.scalar("SELECT max(attempt, 1) FROM jobs WHERE id = ?", [place.step.0])?;
        let hash = |key: &String| Known::new(place.step.0, round, key);
        let (mut hashes, mut new) = (Vec::new(), Vec::new());
        for task in tasks {
            let hash = task.key.as_ref().map(hash);
            if hash.is_some_and(|hash| self.known.has(hash, place.depth)) {
                continue;
            }
            hashes.extend(hash);
            new.push(task);
        }
        let tasks = new;
        if tasks.is_empty() {
            return Ok(Inserted::default());
        }
        // Its counter says how many the step has.
        self.flush()?;
        let row = self.one(
            "SELECT s.max_tasks, s.task_attempts, s.priority,
                 c.total - s.before_completed - s.before_failed - s.before_cancelled AS present
             FROM steps s JOIN counters c ON c.job_id = s.id WHERE s.id = ?",
            [place.step.0],
        )?;
        let max_tasks: u32 = row.get("max_tasks")?;
        let (attempts, priority): (i64, i64) = (row.get("task_attempts")?, row.get("priority")?);
        let most = max_step_tasks.unwrap_or(u32::MAX).min(max_tasks);
        let room = (i64::from(most) - row.get::<i64>("present")?).max(0);
        let json = serde_json::to_string(&tasks).expect("task rows are plain data");
        let wanted: i64 = match i64::try_from(tasks.len()).is_ok_and(|count| count <= room) {
            true => 0,
            false => self.scalar(
                "SELECT count(*) - count(t.value ->> 'key') + count(DISTINCT t.value ->> 'key')
                 FROM json_each(?3) AS t WHERE t.value ->> 'key' IS NULL OR NOT EXISTS
                     (SELECT 1 FROM jobs WHERE step_id = ?1 AND round = ?2 AND task_key = t.value ->> 'key')",
                params![place.step.0, round, &json],
            )?,
        };
        let written = self.execute("INSERT INTO jobs (run_id, parent_id, step_id, kind, type, name, depth, task_key, payload,
                 lane, lane_limit, lane_delay_ms, max_attempts, priority, round, created_ms, changed_ms)
             SELECT ?1, ?2, ?3, 'task', t.value ->> 'task_type', t.value ->> 'name', ?4,
                 t.value ->> 'key', t.value -> 'payload', t.value ->> 'lane',
                 t.value ->> 'lane_limit', t.value ->> 'lane_delay_ms', ?7,
                 ?8 + (t.value ->> 'priority'), ?9, ?5, ?5
             FROM json_each(?6) AS t
             WHERE t.value ->> 'key' IS NULL OR NOT EXISTS
                 (SELECT 1 FROM jobs WHERE step_id = ?3 AND round = ?9 AND task_key = t.value ->> 'key')
             ORDER BY t.key
             LIMIT ?10
             ON CONFLICT DO NOTHING", params![place.run.0, place.parent.0, place.step.0, place.depth, now_ms, &json, attempts, priority, round, room])?;
        let count = i64::try_from(written).unwrap_or(i64::MAX);
        self.tally.moved(place.run, place.step, None, JobStatus::Pending, count);
        self.tally.children_written(place.parent, count);
        let left_out = (wanted - count).max(0).unsigned_abs();
        let all_new = usize::try_from(count).is_ok_and(|count| count == tasks.len());
        if place.depth > 0 && !all_new && !hashes.is_empty() {
            // A page that was first found by a longer way is now nearer.
            self.execute("UPDATE jobs SET depth = ?1 WHERE step_id = ?2 AND status IN ('pending', 'running') AND depth > ?1
                 AND round = ?4
                 AND task_key IN (SELECT value ->> 'key' FROM json_each(?3))", params![place.depth, place.step.0, &json, round])?;
        }
        if left_out == 0 {
            hashes.into_iter().for_each(|key| self.known.add(key, place.depth));
        }
        let lanes: BTreeSet<&str> = tasks.iter().map(|t| t.lane.as_str()).collect();
        for lane in lanes {
            self.note(Change::Ready { run: place.run, lane: lane.to_owned(), at_ms: now_ms });
        }
        self.touch(place.run);
        let written = count.unsigned_abs();
        Ok(match most == max_tasks && left_out > 0 {
            true => Inserted { written, left_out: 0, too_many: Some(max_tasks) },
            false => Inserted { written, left_out, too_many: None },
        })
    }

    /// The task, if this lease on it still holds.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn leased(&mut self, lease: Lease) -> Result<Option<Leased>> {
        let row = self.first("SELECT j.run_id, j.step_id, j.depth, j.name, j.lane,
                 j.max_attempts - (j.attempt - j.recovery_count) AS attempts_left,
                 CASE WHEN r.cancel_requested THEN 'cancelled' ELSE s.stop_code END AS error_code,
                 CASE WHEN r.cancel_requested THEN 'The run was cancelled.' ELSE s.stop_message END AS error_message,
                 r.tolerance IS NOT NULL AND NOT r.tolerance_exceeded AS tolerance
             FROM jobs j JOIN runs r ON r.id = j.run_id JOIN steps s ON s.id = j.step_id
             WHERE j.id = ? AND j.status = 'running' AND j.lease_epoch = ? AND j.attempt = ?", params![lease.job.0, self.epoch, lease.attempt])?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Leased {
            below: Place {
                run: JobId(row.get("run_id")?),
                step: JobId(row.get("step_id")?),
                parent: lease.job,
                depth: row.get::<u32>("depth")? + 1,
            },
            name: row.get("name")?,
            lane: row.get("lane")?,
            attempts_left: row.get("attempts_left")?,
            stop: crate::runs::job_error(&row)?,
            tolerance: row.get("tolerance")?,
        }))
    }

    /// Puts a running task back into the queue, not to start before `run_after_ms`. With `error`
    /// the attempt counts and the error is kept for show; without one the attempt is given back.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn requeue(
        &mut self,
        task: &Leased,
        error: Option<&JobError>,
        run_after_ms: i64,
        now_ms: i64,
    ) -> Result<()> {
        self.execute("UPDATE jobs SET status = 'pending', lease_epoch = NULL, run_after_ms = ?2, changed_ms = ?3,
                 attempt = attempt - (?4 IS NULL), suspect = suspect AND ?4 IS NULL,
                 error_code = ?4, error_message = ?5 WHERE id = ?1", params![task.below.parent.0, run_after_ms, now_ms, error.map(|e| &e.code), error.map(|e| &e.message)])?;
        let Place { run, step, .. } = task.below;
        self.tally.moved(run, step, Some(JobStatus::Running), JobStatus::Pending, 1);
        self.note(Change::Ready { run, lane: task.lane.clone(), at_ms: run_after_ms });
        self.touch(run);
        Point::Requeued.reach()
    }

    /// Ends the work of tasks that have done it and leave nothing else behind, all at once. Leases
    /// that do not hold are passed over. Returns how many held, and the steps that have nothing open
    /// any more; what becomes of a step is not decided here.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn complete_tasks(&mut self, leases: &[Lease], now_ms: i64) -> Result<(usize, Vec<JobId>)> {
        self.flush_children()?;
        let pairs: Vec<(i64, i64)> = leases.iter().map(|l| (l.job.0, l.attempt)).collect();
        let rows = self.all("UPDATE jobs SET status = CASE WHEN n_open > 0 THEN 'waiting' ELSE 'completed' END,
                 lease_epoch = NULL, changed_ms = ?2, suspect = 0, error_code = NULL, error_message = NULL,
                 finished_ms = CASE WHEN n_open > 0 THEN NULL ELSE ?2 END
             FROM (SELECT value ->> 0 AS job, value ->> 1 AS attempt FROM json_each(?1)) AS l
             WHERE jobs.id = l.job AND jobs.attempt = l.attempt AND status = 'running' AND lease_epoch = ?3
             RETURNING run_id, step_id, parent_id, status", params![serde_json::to_string(&pairs).expect("numbers are plain data"), now_ms, self.epoch])?;
        let mut moved: BTreeMap<(JobId, JobId, JobId, bool), i64> = BTreeMap::new();
        for row in &rows {
            let ended = row.get::<String>("status")? == JobStatus::Completed.as_str();
            let key = (
                JobId(row.get("run_id")?),
                JobId(row.get("step_id")?),
                JobId(row.get("parent_id")?),
                ended,
            );
            *moved.entry(key).or_default() += 1;
        }
        for ((run, step, parent, ended), count) in moved {
            let to = if ended { JobStatus::Completed } else { JobStatus::Waiting };
            self.tally.moved(run, step, Some(JobStatus::Running), to, count);
            if ended {
                self.tally.children_ended(parent, count);
            }
            self.touch(run);
        }
        Point::TasksEnded.reach()?;
        Ok((rows.len(), self.settle(now_ms)?))
    }

    /// Ends a task's own work. While it has open children it waits for them and ends with the last.
    /// Returns the steps that have nothing open any more.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn end_task(
        &mut self,
        task: JobId,
        error: Option<&JobError>,
        now_ms: i64,
    ) -> Result<Vec<JobId>> {
        self.flush_children()?;
        let before = self.one(
            "SELECT status, run_id, step_id, parent_id, n_open FROM jobs WHERE id = ?",
            [task.0],
        )?;
        let open: i64 = before.get("n_open")?;
        let to = match (open, error) {
            (1.., _) => JobStatus::Waiting,
            (_, None) => JobStatus::Completed,
            (_, Some(error)) if error.code == "cancelled" => JobStatus::Cancelled,
            (_, Some(_)) => JobStatus::Failed,
        };
        self.execute("UPDATE jobs SET status = ?2, changed_ms = ?3, lease_epoch = NULL, suspect = 0,
                 finished_ms = CASE WHEN ?4 THEN ?3 END, error_code = ?5, error_message = ?6 WHERE id = ?1", params![task.0, to.as_str(), now_ms, to.is_terminal(), error.map(|e| &e.code), error.map(|e| &e.message)])?;
        let run = JobId(before.get("run_id")?);
        let step = JobId(before.get("step_id")?);
        self.tally.moved(run, step, Some(status(&before)?), to, 1);
        if to.is_terminal() {
            self.tally.children_ended(JobId(before.get("parent_id")?), 1);
        }
        self.touch(run);
        Point::TaskEnded.reach()?;
        self.settle(now_ms)
    }

    /// Ends every task that has only been waiting for children that have now ended, and so on
    /// upwards. Returns the steps that have nothing open any more, or in which one of these failed.
    pub(crate) fn settle(&mut self, now_ms: i64) -> Result<Vec<JobId>> {
        let mut drained = BTreeSet::new();
        loop {
            self.flush_children()?;
            let emptied = self.tally.take_emptied();
            if emptied.is_empty() {
                return Ok(drained.into_iter().collect());
            }
            let ids: Vec<i64> = emptied.iter().map(|job| job.0).collect();
            let rows = self.all("SELECT id, kind, run_id, step_id, parent_id, error_code FROM jobs
                 WHERE id IN (SELECT value FROM json_each(?)) AND status = 'waiting' AND n_open = 0", [serde_json::to_string(&ids).expect("numbers are plain data")])?;
            let mut ends: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
            for row in &rows {
                let id: i64 = row.get("id")?;
                match row.get::<String>("kind")?.as_str() {
                    "task" => {}
                    "step" => {
                        drained.insert(JobId(id));
                        continue;
                    }
                    _ => continue,
                }
                let to = ending(row.get::<Option<String>>("error_code")?.as_deref());
                let run = JobId(row.get("run_id")?);
                let step = JobId(row.get("step_id")?);
                // A run that bears only so many failures has to be asked after this one, too.
                drained.extend((to == JobStatus::Failed).then_some(step));
                self.tally.moved(run, step, Some(JobStatus::Waiting), to, 1);
                self.tally.children_ended(JobId(row.get("parent_id")?), 1);
                self.touch(run);
                ends.entry(to.as_str()).or_default().push(id);
            }
            for (to, ids) in ends {
                self.execute(
                    "UPDATE jobs SET status = ?1, finished_ms = ?2, changed_ms = ?2
                     WHERE id IN (SELECT value FROM json_each(?3))",
                    params![
                        to,
                        now_ms,
                        serde_json::to_string(&ids).expect("numbers are plain data")
                    ],
                )?;
            }
        }
    }

    /// Changes the status of a run or a step.
    pub(crate) fn set_status(
        &mut self,
        job: JobId,
        kind: JobKind,
        status: JobStatus,
        now_ms: i64,
    ) -> Result<()> {
        debug_assert!(kind != JobKind::Task, "tasks have functions of their own");
        self.flush()?;
        self.execute("UPDATE jobs SET status = ?2, changed_ms = ?3,
                 finished_ms = CASE WHEN ?4 THEN ?3 END, started_ms = coalesce(started_ms, CASE WHEN ?5 THEN ?3 END)
             WHERE id = ?1", params![job.0, status.as_str(), now_ms, status.is_terminal(), status == JobStatus::Waiting])?;
        Ok(())
    }
}

/// How a task ends whose children have ended, by the error of its own work.
fn ending(code: Option<&str>) -> JobStatus {
    match code {
        None => JobStatus::Completed,
        Some("cancelled") => JobStatus::Cancelled,
        Some(_) => JobStatus::Failed,
    }
}
