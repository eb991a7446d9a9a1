//! What the processor does when something cannot be written: it tries again what may pass, leaves
//! alone what cannot be, and gives up on a store from which nothing is to be had any more.

use quaero_contract::JobId;
use quaero_store::{Lease, StoreError};

use super::{NEVER, Next, Processor};
use crate::{complete::complete_all, coordinator::advance};

/// How soon a storage fault that may pass is met with another try, in milliseconds.
const STORAGE_PAUSE_MS: i64 = 1_000;

/// Whether nothing can be had from the store any more.
pub(super) fn is_final(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupt { .. } | StoreError::Superseded { .. } | StoreError::Closed)
}

impl Processor {
    /// A claim may be what cannot be written: if nothing else was asked for, the lane that was looked
    /// into first is left alone until something happens in it.
    pub(super) fn set_aside(&mut self, run: JobId, lane: &str) {
        if let Some(look) = self.runs.get_mut(&run).and_then(|run| run.lanes.get_mut(lane)) {
            tracing::error!(%run, lane, "nothing of it can be started at present");
            look.at_ms = NEVER;
        }
    }

    /// Tries again later; never, if the store is damaged, taken over or closed: what runs is stopped, and its leases stay.
    pub(super) fn rest_after(&mut self, error: &StoreError, now_ms: i64) -> Next {
        if is_final(error) {
            self.give_all_up(error);
            return Next::Wait(None);
        }
        self.waits.get_or_insert_with(|| self.waiting.begin(error));
        self.rest(now_ms)
    }

    pub(super) fn give_all_up(&mut self, error: &StoreError) {
        tracing::error!(%error, "no task is started any more");
        self.gave_up = true;
        self.waits = None;
        self.stopping.cancel();
    }

    pub(super) fn rest(&mut self, now_ms: i64) -> Next {
        self.resting_until_ms = now_ms.saturating_add(STORAGE_PAUSE_MS);
        Next::Wait(Some(self.resting_until_ms))
    }

    pub(super) fn wake(&mut self, runs: &[JobId], at_ms: i64) {
        for run in runs {
            if let Some(entry) = self.runs.get_mut(run) {
                entry.wake_ms = Some(at_ms);
            }
        }
    }

    /// Something that was asked for cannot be written at all: everything else must go on.
    pub(super) async fn one_by_one(
        &mut self,
        done: Vec<Lease>,
        due: Vec<JobId>,
        now_ms: i64,
    ) -> Next {
        let mut held_by = None;
        for lease in done {
            let registry = self.registry.clone();
            let written =
                self.store.write(move |tx| complete_all(tx, &[lease], &registry, now_ms)).await;
            match written {
                Ok(_) => {}
                Err(error) if error.may_pass() => {
                    self.done.push(lease);
                    held_by = Some(error);
                }
                // The lease stays; the next start takes the task back.
                Err(error) => {
                    tracing::error!(%error, job = %lease.job, "a result could not be written");
                }
            }
        }
        for run in due {
            let registry = self.registry.clone();
            let written = self.store.write(move |tx| advance(tx, run, &registry, now_ms)).await;
            match written {
                Ok(()) => {}
                Err(error) if error.may_pass() => {
                    self.wake(&[run], now_ms);
                    held_by = Some(error);
                }
                Err(error) => tracing::error!(%error, %run, "a run could not be moved on"),
            }
        }
        if let Some(error) = held_by {
            self.waits.get_or_insert_with(|| self.waiting.begin(&error));
        }
        self.rest(now_ms)
    }
}
