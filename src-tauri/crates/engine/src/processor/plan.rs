//! What a round is to do: which lanes to look into, in which order, and how much may start.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering::Relaxed,
};

use quaero_contract::JobId;
use quaero_store::{LaneState, Rooms};

use super::{
    NEVER, Processor, Run, SPARE,
    round::{Candidate, Round},
};

/// How many tasks wait in memory for a place at most, while those before them are quick.
const MOST_AHEAD: usize = 64;

impl Processor {
    pub(super) fn plan(&mut self, now_ms: i64) -> Round {
        let width = if self.suspects { 1 } else { self.width };
        let ahead = if self.suspects { 0 } else { (self.quick_in_a_row / 4).min(MOST_AHEAD) };
        let taken = self.taken();
        // Those ahead of their place are not more because others are over: they may be the ones.
        let free_ahead = (width + ahead).saturating_sub(self.working.len());
        let free = width.saturating_sub(taken).max(free_ahead);
        // Slow tasks of one run must not hold up all others: where every place is taken, a run of which
        // nothing runs may still start one.
        let spare = free == 0 && !self.suspects;
        let free = match spare {
            true => (self.width + self.width / SPARE).saturating_sub(taken),
            false => free,
        };
        let due: Vec<JobId> = self
            .runs
            .iter_mut()
            .filter(|(_, run)| run.wake_ms.is_some_and(|at| at <= now_ms))
            .map(|(id, run)| {
                run.wake_ms = None;
                *id
            })
            .collect();
        let mut running: HashMap<JobId, u32> = HashMap::new();
        let mut by_type: HashMap<&str, u32> = HashMap::new();
        for task in self.working.values() {
            *running.entry(task.run).or_default() += 1;
            *by_type.entry(&task.task_type).or_default() += 1;
        }
        let by_run: HashMap<JobId, u32> = self
            .runs
            .iter()
            .filter_map(|(id, run)| {
                let used = running.get(id).copied().unwrap_or(0);
                let own = run.max_running.map(|most| most.saturating_sub(used));
                let first = u32::from(used == 0);
                Some((*id, if spare { first.min(own.unwrap_or(first)) } else { own? }))
            })
            .collect();
        let rooms: Rooms = self
            .registry
            .limits()
            .map(|(name, limit)| {
                (name, limit.saturating_sub(by_type.get(name).copied().unwrap_or(0)))
            })
            .collect();
        let candidates =
            if free == 0 || self.paused { Vec::new() } else { self.candidates(&by_run, now_ms) };
        let known = candidates
            .iter()
            .filter_map(|candidate| self.runs.get(&candidate.run))
            .flat_map(|run| run.steps.keys().copied())
            .collect();
        Round {
            done: std::mem::take(&mut self.done),
            due,
            candidates,
            free: u32::try_from(free).unwrap_or(u32::MAX),
            by_run,
            rooms,
            suspected: if self.suspects { self.runs.keys().copied().collect() } else { Vec::new() },
            known,
            now_ms,
        }
    }

    /// How many tasks count as running. Those that only wait for their commit take no place, as long as
    /// no more of them hold their results in memory than tasks may run.
    fn taken(&self) -> usize {
        // What is suspected runs alone, to the very end.
        let most_over = if self.suspects { 0 } else { self.width };
        let over = self.working.values().filter(|working| working.over.load(Relaxed)).count();
        self.working.len() - over.min(most_over)
    }

    /// The lanes to look into now: runs of a higher priority first, then the run after the one that
    /// was served last, one lane of each run in turn.
    pub(super) fn candidates(&self, by_run: &HashMap<JobId, u32>, now_ms: i64) -> Vec<Candidate> {
        let later = self
            .runs
            .range((std::ops::Bound::Excluded(self.last_served), std::ops::Bound::Unbounded));
        let mut order: Vec<(&JobId, &Run)> = later
            .chain(self.runs.range(..=self.last_served))
            .filter(|(id, run)| {
                !run.paused && !run.cancelled.is_cancelled() && by_run.get(id) != Some(&0)
            })
            .collect();
        order.sort_by_key(|(_, run)| -run.priority);
        let mut queues: Vec<_> = order
            .into_iter()
            .map(|(id, run)| {
                let priority = run.priority;
                let lanes = run.lanes.iter().filter(|(_, look)| look.at_ms <= now_ms);
                let lanes = lanes.filter_map(|(lane, look)| {
                    let usage = self.lanes.get(lane);
                    if usage.is_some_and(|u| u.paused_until_ms > now_ms) {
                        return None;
                    }
                    let state = LaneState {
                        running: usage.map_or(0, |u| u.running),
                        last_start_ms: usage.map_or(0, |u| u.last_start_ms),
                        delayed: look.delayed,
                    };
                    let rule = usage.and_then(|u| u.rule);
                    Some(Candidate { run: *id, lane: lane.clone(), state, rule })
                });
                (priority, lanes)
            })
            .collect();
        let mut found = Vec::new();
        // More lanes than places cannot be served at once.
        while !queues.is_empty() && found.len() < 4 * self.width {
            let before = found.len();
            queues.retain_mut(|(priority, lanes)| match lanes.next() {
                Some(candidate) => {
                    found.push((*priority, candidate));
                    true
                }
                None => false,
            });
            if found.len() == before {
                break;
            }
        }
        found.sort_by_key(|(priority, _)| -priority);
        found.into_iter().map(|(_, candidate)| candidate).collect()
    }

    pub(super) fn next_look(&self) -> Option<i64> {
        let width = if self.suspects { 1 } else { self.width };
        let taken = self.taken();
        let full = taken >= width;
        let spare = !self.suspects && taken < width + self.width / SPARE;
        let busy: HashSet<JobId> = self.working.values().map(|task| task.run).collect();
        let looks = self
            .runs
            .iter()
            .filter(|(_, run)| !self.paused && !run.paused && !run.cancelled.is_cancelled())
            .filter(|(id, _)| !full || (spare && !busy.contains(id)))
            .flat_map(|(_, run)| &run.lanes)
            .filter(|(_, look)| look.at_ms < NEVER)
            .map(|(lane, look)| {
                look.at_ms.max(self.lanes.get(lane).map_or(0, |u| u.paused_until_ms))
            })
            // What could start now would have been a candidate: it waits for a place in its run.
            .filter(|at| *at > self.seen_ms);
        let wakes = self.runs.values().filter_map(|run| run.wake_ms);
        looks.chain(wakes).chain(self.next_overdue()).min()
    }
}
