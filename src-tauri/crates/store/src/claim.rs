//! Handing out tasks: which may start now, and when to ask again.

use std::collections::BTreeMap;

use quaero_contract::{JobId, JobStatus};
use rusqlite::params;

use crate::{error::Result, jobs::Lease, statement::Row, writer::Tx};

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

/// How the lane of a claim stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneState {
    /// Tasks of the lane that are running.
    pub running: u32,
    /// When the last one started, in milliseconds since 1970.
    pub last_start_ms: i64,
    /// Whether tasks of it may be waiting for a time.
    pub delayed: bool,
}

/// How many more tasks of a type may start.
pub type Rooms = Vec<(&'static str, u32)>;

fn claimed(row: &Row) -> Result<Claimed> {
    let payload: String = row.get("payload")?;
    Ok(Claimed {
        lease: Lease { job: JobId(row.get("id")?), attempt: row.get("attempt")? },
        run: JobId(row.get("run_id")?),
        step: JobId(row.get("step_id")?),
        task_type: row.get("type")?,
        name: row.get("name")?,
        depth: row.get("depth")?,
        payload: serde_json::from_str(&payload).unwrap_or(serde_json::Value::Null),
        lane: row.get("lane")?,
        lane_limit: row.get("lane_limit")?,
        lane_delay_ms: row.get("lane_delay_ms")?,
    })
}

impl Tx {
    /// Hands out the next tasks of a run in a lane: by priority, then breadth first, then in the
    /// order in which they were found. One statement, so that no two claims can get the same task.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn claim(
        &mut self,
        run: JobId,
        lane: &str,
        state: LaneState,
        rooms: &Rooms,
        limit: u32,
        now_ms: i64,
    ) -> Result<Vec<Claimed>> {
        if state.delayed {
            // Whatever waited for a time that has come is ready.
            self.execute("UPDATE jobs SET run_after_ms = 0 WHERE run_id = ? AND lane = ? AND status = 'pending'
                   AND kind = 'task' AND run_after_ms > 0 AND run_after_ms <= ?", params![run.0, lane, now_ms])?;
        }
        // Those before a task in this claim count for the limits of its lane and type, too.
        let sql = if rooms.is_empty() {
            "UPDATE jobs SET status = 'running', attempt = attempt + 1, lease_epoch = ?1,
                 started_ms = coalesce(started_ms, ?2), changed_ms = ?2
             WHERE id IN (
                 SELECT id FROM (
                     SELECT id, lane_limit, row_number() OVER (ORDER BY priority DESC, depth, id) AS place FROM (
                         SELECT id, priority, depth, lane_limit FROM jobs
                         WHERE run_id = ?3 AND lane = ?4 AND status = 'pending' AND kind = 'task'
                           AND run_after_ms = 0 AND lane_limit > ?5 AND lane_delay_ms <= ?6
                         ORDER BY priority DESC, depth, id LIMIT ?7))
                 WHERE lane_limit >= ?5 + place)
             RETURNING id, run_id, step_id, type, name, depth, attempt, payload, lane, lane_limit, lane_delay_ms, priority"
        } else {
            "UPDATE jobs SET status = 'running', attempt = attempt + 1, lease_epoch = ?1,
                 started_ms = coalesce(started_ms, ?2), changed_ms = ?2
             WHERE id IN (
                 SELECT id FROM (
                     SELECT id, lane_limit, row_number() OVER (ORDER BY priority DESC, depth, id) AS place FROM (
                         SELECT id, priority, depth, lane_limit, row_number() OVER
                             (PARTITION BY type ORDER BY priority DESC, depth, id) AS of_type,
                             (SELECT value ->> 1 FROM json_each(?8) WHERE value ->> 0 = jobs.type) AS room
                         FROM jobs
                         WHERE run_id = ?3 AND lane = ?4 AND status = 'pending' AND kind = 'task'
                           AND run_after_ms = 0 AND lane_limit > ?5 AND lane_delay_ms <= ?6)
                     WHERE room IS NULL OR of_type <= room
                     ORDER BY priority DESC, depth, id LIMIT ?7)
                 WHERE lane_limit >= ?5 + place)
             RETURNING id, run_id, step_id, type, name, depth, attempt, payload, lane, lane_limit, lane_delay_ms, priority"
        };
        let since_start = now_ms.saturating_sub(state.last_start_ms).max(0);
        let (epoch, running) = (self.epoch, state.running);
        let rows = if rooms.is_empty() {
            self.all(sql, params![epoch, now_ms, run.0, lane, running, since_start, limit])?
        } else {
            let rooms = serde_json::to_string(rooms).expect("rooms are plain data");
            self.all(sql, params![epoch, now_ms, run.0, lane, running, since_start, limit, rooms])?
        };
        let mut found = Vec::with_capacity(rows.len());
        let mut by_step: BTreeMap<JobId, i64> = BTreeMap::new();
        for row in &rows {
            let priority: i64 = row.get("priority")?;
            let task = claimed(row)?;
            *by_step.entry(task.step).or_default() += 1;
            found.push((priority, task));
        }
        for (step, count) in by_step {
            self.tally.moved(run, step, Some(JobStatus::Pending), JobStatus::Running, count);
            self.touch(run);
        }
        found.sort_by_key(|(priority, task)| (-priority, task.depth, task.lease.job));
        Ok(found.into_iter().map(|(_, task)| task).collect())
    }

    /// When the next task of a run in a lane may start, as far as time decides: `None` if there is
    /// none, or if it waits for a running task of its lane.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn next_start(
        &mut self,
        run: JobId,
        lane: &str,
        state: LaneState,
        now_ms: i64,
    ) -> Result<Option<i64>> {
        let due: Option<i64> = self.first_scalar(
            "SELECT lane_delay_ms FROM jobs
             WHERE run_id = ?1 AND lane = ?2 AND status = 'pending' AND kind = 'task'
               AND run_after_ms = 0 AND lane_limit > ?3
             ORDER BY priority DESC, depth, id LIMIT 1",
            params![run.0, lane, state.running],
        )?;
        let delayed: Option<i64> = self.scalar("SELECT min(run_after_ms) FROM jobs
             WHERE run_id = ?1 AND lane = ?2 AND status = 'pending' AND kind = 'task' AND run_after_ms > 0", params![run.0, lane])?;
        let due = due.map(|delay| now_ms.max(state.last_start_ms.saturating_add(delay)));
        Ok(due.into_iter().chain(delayed).min())
    }

    /// The lanes in which a run has tasks to start, now or later.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn waiting_lanes(&mut self, run: JobId) -> Result<Vec<String>> {
        Ok(self.scalars("SELECT lane FROM jobs WHERE run_id = ?1 AND status = 'pending' AND kind = 'task' AND run_after_ms = 0
             UNION
             SELECT lane FROM jobs WHERE run_id = ?1 AND status = 'pending' AND kind = 'task' AND run_after_ms > 0", [run.0])?)
    }
}
