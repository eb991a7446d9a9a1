//! Attempts that do not react. An attempt ends itself when its time is over or it is cancelled, as
//! soon as its worker lets go of its thread; if the worker does not, its end is recorded here.
//!
//! What runs cannot be made to stop, so it keeps its place, in its lane, too, until it ends by itself.
//! Whatever it then brings is void: its lease is gone.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use quaero_contract::{JobId, LogLevel};
use quaero_store::{Lease, LogRow, StoreError};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::{NEVER, Processor, is_final};
use crate::{
    complete::{Ending, complete},
    work::TaskError,
};

/// How long an attempt may take to react to its timeout or to a cancel, in milliseconds.
pub(super) const REACTION_MS: i64 = 2_000;

/// An attempt that is under way, and what it occupies.
pub(super) struct Working {
    pub(super) since_ms: i64,
    pub(super) run: JobId,
    pub(super) lane: String,
    pub(super) task_type: String,
    pub(super) name: String,
    pub(super) lease: Lease,
    /// Set when the worker is done: what is left is to record it.
    pub(super) over: Arc<AtomicBool>,
    pub(super) cancelled: CancellationToken,
    pub(super) abort: AbortHandle,
    /// When its end is recorded without it; [`NEVER`] if it is.
    pub(super) overdue_ms: i64,
}

impl Working {
    /// Whether the worker still works, as far as anybody knows.
    pub(super) fn works(&self) -> bool {
        self.overdue_ms < NEVER && !self.over.load(Relaxed)
    }
}

impl Processor {
    /// Records the end of attempts that do not react.
    pub(super) async fn give_up_overdue(&mut self, now_ms: i64) -> Result<(), StoreError> {
        for working in self.working.values_mut().filter(|working| working.works()) {
            if working.cancelled.is_cancelled() {
                working.overdue_ms = working.overdue_ms.min(now_ms.saturating_add(REACTION_MS));
            }
        }
        self.give_up(|working| working.overdue_ms <= now_ms, now_ms).await
    }

    /// Records the end of those attempts of which the worker still works.
    pub(super) async fn give_up(
        &mut self,
        which: impl Fn(&Working) -> bool,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        for working in self.working.values_mut().filter(|w| w.works() && which(w)) {
            let ending = match working.cancelled.is_cancelled() {
                true => Ending::Interrupted,
                false => Ending::Failed(TaskError::transient(
                    "timeout",
                    "It took longer than it may, and does not react.",
                )),
            };
            let (lease, registry) = (working.lease, self.registry.clone());
            let written = self
                .store
                .write(move |tx| complete(tx, lease, &ending, &[], &registry, now_ms))
                .await;
            match written {
                Err(error) if error.may_pass() || is_final(&error) => return Err(error),
                // The lease stays; the next start takes the task back.
                Err(error) => {
                    tracing::error!(%error, job = %lease.job, "an end could not be written")
                }
                Ok(_) => {}
            }
            working.overdue_ms = NEVER;
            // As soon as its worker lets go of its thread.
            working.abort.abort();
            tracing::error!(job = %lease.job, task_type = working.task_type, "a worker blocks its thread");
            let message = format!(
                "{} does not react. It was given up, but it may go on in the background and keeps its place until it ends.",
                working.name
            );
            self.store.logs().write(LogRow {
                run: working.run,
                job: Some(lease.job),
                at_ms: now_ms,
                level: LogLevel::Error,
                message,
            });
        }
        Ok(())
    }

    /// So much time has passed that nobody had, or, if it is negative, the clock was set back.
    pub(super) fn shift_overdue(&mut self, by_ms: i64) {
        for working in self.working.values_mut().filter(|working| working.overdue_ms < NEVER) {
            working.overdue_ms = working.overdue_ms.saturating_add(by_ms);
        }
    }

    /// When the next attempt is overdue.
    pub(super) fn next_overdue(&self) -> Option<i64> {
        self.working.values().filter(|w| w.works()).map(|working| working.overdue_ms).min()
    }
}
