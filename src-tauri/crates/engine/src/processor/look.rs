//! What the processor asks the store about runs, and what it does when the clock is set back.

use quaero_contract::{JobId, LogLevel};
use quaero_store::{LogRow, StoreError};

use super::{Look, NEVER, Processor, SET_MS, is_final};
use crate::coordinator::advance;

/// Time that was skipped and is too short for anybody to wonder about, in milliseconds.
const WORTH_TELLING_MS: i64 = 60_000;

impl Processor {
    /// Asks the store about every run of which it knows more. On a storage fault that may pass,
    /// those that are left stay to be looked into.
    pub(super) async fn look_into_unseen(&mut self) -> Result<(), StoreError> {
        if self.lost {
            let runs = self.store.write(|tx| tx.own_runs()).await?;
            self.runs.retain(|run, _| runs.contains(run));
            for run in runs {
                self.adopt(run, 0, None);
                self.unseen.insert(run);
            }
            self.paused = self.store.write(|tx| tx.engine_paused()).await?;
            self.lost = false;
        }
        while let Some(run) = self.unseen.pop_first() {
            match self.look_into(run).await {
                Ok(()) => {}
                Err(error) if error.may_pass() || is_final(&error) => {
                    self.unseen.insert(run);
                    return Err(error);
                }
                Err(error) => tracing::error!(%run, %error, "a run could not be looked into"),
            }
        }
        Ok(())
    }

    /// Asks the store in which lanes a run has tasks, and whether it was cancelled or has ended.
    async fn look_into(&mut self, run: JobId) -> Result<(), StoreError> {
        let (registry, now_ms) = (self.registry.clone(), self.clock.now_ms());
        let looked = self.store.write(move |tx| {
            // Its time may have come while nobody looked.
            advance(tx, run, &registry, now_ms)?;
            let suspects = tx.has_suspects(&[run])?;
            let limits = tx.run_limits(run)?;
            Ok((tx.run_state(run)?, tx.waiting_lanes(run)?, limits, suspects))
        });
        let (state, lanes, limits, suspects) = looked.await?;
        let Some(state) = state.filter(|state| !state.status.is_terminal()) else {
            self.runs.remove(&run);
            return Ok(());
        };
        self.suspects |= suspects;
        let Some(entry) = self.runs.get_mut(&run) else { return Ok(()) };
        if state.cancel_requested {
            entry.cancelled.cancel();
        }
        let is_stopped = |step| state.steps.iter().any(|row| row.id == step && row.stop.is_some());
        entry.steps.retain(|step, (_, stopped)| match is_stopped(*step) {
            true => {
                stopped.cancel();
                true
            }
            // It was stopped once, and this is another attempt.
            false => !stopped.is_cancelled() || state.cancel_requested,
        });
        entry.paused = limits.paused;
        (entry.priority, entry.max_running) = (limits.priority, limits.max_running);
        for lane in lanes {
            entry.lanes.insert(lane, Look { at_ms: 0, delayed: true, crowded: false });
        }
        Ok(())
    }

    /// When the clock is set back, what waits for a time must not wait that much longer. When it is
    /// set forward, or the computer was suspended, that time was not used up.
    pub(super) fn follow_clock(&mut self, now_ms: i64) {
        let (back, passed) = ((self.seen_ms - now_ms).max(0), now_ms - self.seen_ms);
        self.seen_ms = now_ms;
        let running = self.clock.running_ms();
        let before = std::mem::replace(&mut self.seen_running_ms, running);
        if let (Some(running), Some(before)) = (running, before) {
            let skipped = passed - (running - before);
            if skipped >= SET_MS {
                self.skipped_ms += skipped;
                self.shift_overdue(skipped);
            }
        }
        if back == 0 {
            return;
        }
        self.resting_until_ms -= back;
        self.shift_overdue(-back);
        for lane in self.lanes.values_mut() {
            lane.last_start_ms -= back;
            lane.paused_until_ms -= back;
        }
        for run in self.runs.values_mut() {
            for look in run.lanes.values_mut().filter(|look| look.at_ms < NEVER) {
                look.at_ms -= back;
            }
            run.wake_ms = run.wake_ms.map(|at| at - back);
        }
        if back >= SET_MS {
            self.set_back_ms += back;
        }
    }

    /// Has what is stored follow the clock, and tells of it.
    pub(super) async fn store_follows_clock(&mut self, now_ms: i64) -> Result<(), StoreError> {
        let (back, skipped) = (self.set_back_ms, self.skipped_ms);
        if back == 0 && skipped == 0 {
            return Ok(());
        }
        let followed = self.store.write(move |tx| {
            tx.follow_clock(back)?;
            tx.skip_time(skipped)
        });
        followed.await?;
        (self.set_back_ms, self.skipped_ms) = (0, 0);
        self.unseen.extend(self.runs.keys());
        if back == 0 && skipped < WORTH_TELLING_MS {
            return Ok(());
        }
        let (level, message) = if back > 0 {
            let seconds = back / 1_000;
            let message = format!(
                "The computer's clock was set back by {seconds} s. What waits for a time was moved with it."
            );
            (LogLevel::Warn, message)
        } else {
            let seconds = skipped / 1_000;
            let message = format!(
                "The computer was suspended, or its clock set forward, by {seconds} s. Timeouts do not count that time."
            );
            (LogLevel::Info, message)
        };
        for run in self.runs.keys() {
            let (run, message) = (*run, message.clone());
            self.store.logs().write(LogRow { run, job: Some(run), at_ms: now_ms, level, message });
        }
        Ok(())
    }
}
