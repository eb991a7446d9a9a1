//! The one bound on parsing. A parser takes a processor for itself and many times the page's size in
//! memory, so no more run at the same time than there are processors, whatever step asks.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
};

use tokio::sync::Semaphore;

static PARSERS: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
});

/// A parser has panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parser failed unexpectedly")]
pub(crate) struct Panicked;

/// Does `work` when its turn comes, on the thread that asks: it is a worker's, which may be blocked
/// (`quaero_engine::Threads`). Once begun it cannot be stopped.
///
/// # Errors
/// If it panics.
pub(crate) async fn run<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let _permit = PARSERS.acquire().await.expect("the semaphore is never closed");
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}
