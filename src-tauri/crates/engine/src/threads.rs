//! Where workers run: on threads of their own. A worker that blocks its thread, which no async code
//! should, then holds up neither the engine nor its host, and as there are as many threads as tasks,
//! it holds up no other task either.
//!
//! A thread that is blocked cannot be ended. The task is told as timed out or cancelled all the same
//! ([`crate::processor`]), but it keeps its place until it comes to an end by itself. A worker that
//! overflows its stack, aborts or takes all memory ends the process: nothing within a process contains
//! that. The next start counts it against the tasks that were under way
//! ([`quaero_store::POISON_AFTER`]).

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::spawn_blocking,
};

/// So much is worked on within a few milliseconds.
const LITTLE: usize = 128 * 1024;

/// Work has panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program made a mistake there")]
pub struct Panicked;

/// Does work that takes the processor for a time in proportion to `bytes`: a little at once, more on a
/// thread for that, where it goes on to its end even if nobody waits for it any more. The thread of a
/// task may be the one that looks after everybody's connections, and handing little work to another
/// takes as long as the work.
///
/// # Errors
/// If it panics.
pub async fn compute<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    if bytes <= LITTLE {
        return catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked);
    }
    spawn_blocking(work).await.map_err(|_| Panicked)
}

/// Which threads do the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// Those of the workers only.
    Own,
    /// Those of whoever starts the engine: where things have to happen in order.
    Shared,
}

/// Ends with the engine, whatever becomes of threads that are blocked.
pub(crate) struct WorkerThreads {
    handle: Handle,
    own: Option<Runtime>,
}

impl WorkerThreads {
    /// For at most `width` tasks at the same time. Must be called within a runtime.
    pub(crate) fn new(threads: Threads, width: usize) -> Self {
        let own = match threads {
            Threads::Shared => None,
            Threads::Own => Builder::new_multi_thread()
                .worker_threads(width)
                .thread_name("worker")
                // Who has yielded is passed on to another thread before the next task may block this one.
                .event_interval(1)
                .enable_all()
                .build()
                .inspect_err(|error| {
                    tracing::warn!(%error, "workers have no threads of their own");
                })
                .ok(),
        };
        let handle = own.as_ref().map_or_else(Handle::current, |own| own.handle().clone());
        Self { handle, own }
    }

    /// Whether work is done where the engine itself runs.
    pub(crate) const fn are_shared(&self) -> bool {
        self.own.is_none()
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for WorkerThreads {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            own.shutdown_background();
        }
    }
}
