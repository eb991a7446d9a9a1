//! One round: in one transaction tasks that are done are recorded, runs whose time has come are moved
//! on, and the next tasks are claimed.

use std::collections::{HashMap, HashSet};

use quaero_contract::JobId;
use quaero_store::{Claimed, LaneState, Lease, Rooms, StepConfig, StoreError};

use crate::{complete::complete_all, coordinator::advance, work::Registry};

/// A run's lane in which something may be claimed.
pub(super) struct Candidate {
    pub(super) run: JobId,
    pub(super) lane: String,
    pub(super) state: LaneState,
    pub(super) rule: Option<(u32, u32)>,
}

/// What a claim found there.
pub(super) struct Served {
    pub(super) run: JobId,
    pub(super) lane: String,
    pub(super) claimed: Vec<Claimed>,
    /// When to look again; `None` waits for the lane.
    pub(super) next_ms: Option<i64>,
    pub(super) full: bool,
    pub(super) delayed: bool,
    pub(super) crowded: bool,
}

/// What one transaction is to do, and did.
pub(super) struct Round {
    pub(super) done: Vec<Lease>,
    pub(super) due: Vec<JobId>,
    pub(super) candidates: Vec<Candidate>,
    /// Tasks that may start in all, by run, and by type.
    pub(super) free: u32,
    pub(super) by_run: HashMap<JobId, u32>,
    pub(super) rooms: Rooms,
    /// Runs that may have tasks that run alone; empty if there are none.
    pub(super) suspected: Vec<JobId>,
    /// Steps whose settings are known.
    pub(super) known: HashSet<JobId>,
    pub(super) now_ms: i64,
}

pub(super) struct Outcome {
    pub(super) stale: usize,
    pub(super) served: Vec<Served>,
    pub(super) configs: Vec<(JobId, StepConfig)>,
    pub(super) suspects: bool,
}

impl Round {
    pub(super) fn carry_out(
        self,
        tx: &mut quaero_store::Tx,
        registry: &Registry,
    ) -> Result<Outcome, StoreError> {
        let Self { done, due, candidates, mut free, mut by_run, mut rooms, .. } = self;
        let (mut known, now_ms) = (self.known, self.now_ms);
        let held = match done.is_empty() {
            true => 0,
            false => complete_all(tx, &done, registry, now_ms)?,
        };
        for run in due {
            advance(tx, run, registry, now_ms)?;
        }
        let suspects = !self.suspected.is_empty() && tx.has_suspects(&self.suspected)?;
        let share = (free / u32::try_from(candidates.len()).unwrap_or(u32::MAX).max(1)).max(1);
        let mut used: HashMap<String, LaneState> = HashMap::new();
        let mut outcome =
            Outcome { stale: done.len() - held, served: Vec::new(), configs: Vec::new(), suspects };
        for Candidate { run, lane, state, rule } in candidates {
            if free == 0 {
                break;
            }
            let of_run = by_run.entry(run).or_insert(u32::MAX);
            if *of_run == 0 {
                continue;
            }
            let delayed = state.delayed;
            let state = used.entry(lane.clone()).or_insert(state);
            state.delayed = delayed;
            let room = match rule {
                // The first task tells the lane's rule.
                None => 1,
                Some((_, delay)) if delay > 0 => 1,
                Some((limit, _)) => limit.saturating_sub(state.running),
            };
            let ask = room.min(share).min(free).min(*of_run);
            let claimed = match ask {
                0 => Vec::new(),
                _ => tx.claim(run, &lane, *state, &rooms, ask, now_ms)?,
            };
            let count = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
            free -= count.min(free);
            *of_run -= count.min(*of_run);
            if count > 0 {
                state.running += count;
                state.last_start_ms = now_ms;
            }
            for task in &claimed {
                if let Some((_, room)) = rooms.iter_mut().find(|(name, _)| *name == task.task_type)
                {
                    *room = room.saturating_sub(1);
                }
                if known.insert(task.step) {
                    outcome.configs.push((task.step, tx.step_config(task.step)?));
                }
            }
            let full = count == ask && ask > 0;
            let crowded = !full && rooms.iter().any(|(_, room)| *room == 0);
            let (ready_ms, timed_ms) = match (full, ask) {
                (true, _) => (Some(now_ms), None),
                // The lane is full: a task of it that ends is the sign to look again.
                (false, 0) => (None, None),
                (false, _) => tx.next_start(run, &lane, *state, now_ms)?,
            };
            // What is ready but was not claimed waits for a task of its type.
            let ready_ms = ready_ms.filter(|at| full || !crowded || *at > now_ms);
            let next_ms = ready_ms.into_iter().chain(timed_ms).min();
            // The time of one may even have passed by now.
            let delayed = if full || ask == 0 { delayed } else { timed_ms.is_some() };
            outcome.served.push(Served { run, lane, claimed, next_ms, full, delayed, crowded });
        }
        Ok(outcome)
    }
}
