//! Handing out tasks: which may start now, and when to ask again.

use std::collections::BTreeMap;

use quaero_contract::{JobId, JobStatus};
use rusqlite::params;

use crate::{error::Result, jobs::Lease, writer::Tx};

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

impl Tx {
    /// Hands out the next tasks of a run in a lane: by priority, then breadth first, then in the
    /// order in which they were found. Those before a task in this claim count for the limits of its
    /// lane and type, too.
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
            self.execute(
                "UPDATE jobs SET run_after_ms = 0 WHERE run_id = ? AND lane = ? AND status = 'pending'
                   AND kind = 'task' AND run_after_ms > 0 AND run_after_ms <= ?",
                params![run.0, lane, now_ms],
            )?;
        }
        let mut rooms = rooms.clone();
        let mut found = Vec::new();
        // Again for tasks of other types when no more of one may start.
        while self.claim_some(run, lane, state, &mut rooms, (limit, now_ms), &mut found)? {}
        let mut by_step: BTreeMap<JobId, i64> = BTreeMap::new();
        for task in &found {
            *by_step.entry(task.step).or_default() += 1;
        }
        for (step, count) in by_step {
            self.tally.moved(run, step, Some(JobStatus::Pending), JobStatus::Running, count);
            self.touch(run);
        }
        Ok(found)
    }

    /// Hands out tasks until there are enough or no more, or until no more of a type may start. Says
    /// whether to look again, for those of other types.
    fn claim_some(
        &self,
        run: JobId,
        lane: &str,
        state: LaneState,
        rooms: &mut Rooms,
        (limit, now_ms): (u32, i64),
        found: &mut Vec<Claimed>,
    ) -> Result<bool> {
        let count = |found: &[Claimed]| u32::try_from(found.len()).unwrap_or(u32::MAX);
        let running = state.running.saturating_add(count(found));
        let left = limit.saturating_sub(count(found));
        let since_start = now_ms.saturating_sub(state.last_start_ms).max(0);
        let full: Vec<&str> =
            rooms.iter().filter(|(_, room)| *room == 0).map(|(name, _)| *name).collect();
        let ready = |and: &str| {
            format!(
                "SELECT id, step_id, type, name, depth, attempt, payload, lane_limit, lane_delay_ms
                 FROM jobs WHERE run_id = ?1 AND lane = ?2 AND status = 'pending' AND kind = 'task'
                   AND run_after_ms = 0 AND lane_limit > ?3 AND lane_delay_ms <= ?4 {and}
                 ORDER BY priority DESC, depth, id LIMIT ?5"
            )
        };
        let rows = if full.is_empty() {
            self.all(&ready(""), params![run.0, lane, running, since_start, left])?
        } else {
            let others = "AND type NOT IN (SELECT value FROM json_each(?6))";
            let full = serde_json::to_string(&full).expect("names are plain data");
            self.all(&ready(others), params![run.0, lane, running, since_start, left, full])?
        };
        for row in &rows {
            let lane_limit: u32 = row.get("lane_limit")?;
            if lane_limit <= state.running.saturating_add(count(found)) {
                continue;
            }
            let lane_delay_ms = row.get("lane_delay_ms")?;
            if !found.is_empty() && lane_delay_ms > 0 {
                // One has just started.
                continue;
            }
            let task_type: String = row.get("type")?;
            if let Some((_, room)) = rooms.iter_mut().find(|(name, _)| *name == task_type) {
                match room.checked_sub(1) {
                    Some(less) => *room = less,
                    None => return Ok(true),
                }
            }
            let job = JobId(row.get("id")?);
            self.execute(
                "UPDATE jobs SET status = 'running', attempt = attempt + 1, lease_epoch = ?2,
                     started_ms = coalesce(started_ms, ?3), changed_ms = ?3 WHERE id = ?1",
                params![job.0, self.epoch, now_ms],
            )?;
            let payload: String = row.get("payload")?;
            found.push(Claimed {
                lease: Lease { job, attempt: row.get::<i64>("attempt")? + 1 },
                run,
                step: JobId(row.get("step_id")?),
                task_type,
                name: row.get("name")?,
                depth: row.get("depth")?,
                payload: serde_json::from_str(&payload).unwrap_or(serde_json::Value::Null),
                lane: lane.to_owned(),
                lane_limit,
                lane_delay_ms,
            });
        }
        Ok(false)
    }

    /// When the next task of a run in a lane may start, as far as time decides: the next that is ready,
    /// unless it waits for a running task of its lane, and the next that waits for a time of its own.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn next_start(
        &mut self,
        run: JobId,
        lane: &str,
        state: LaneState,
        now_ms: i64,
    ) -> Result<(Option<i64>, Option<i64>)> {
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
        Ok((due, delayed))
    }

    /// The lanes in which a run has tasks to start, now or later.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn waiting_lanes(&mut self, run: JobId) -> Result<Vec<String>> {
        self.scalars("SELECT lane FROM jobs WHERE run_id = ?1 AND status = 'pending' AND kind = 'task' AND run_after_ms = 0
             UNION
             SELECT lane FROM jobs WHERE run_id = ?1 AND status = 'pending' AND kind = 'task' AND run_after_ms > 0", [run.0])
    }
}
