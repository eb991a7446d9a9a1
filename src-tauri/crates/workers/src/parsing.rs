//! The one bound on parsing. A parser takes a processor for itself and many times the page's size in
//! memory, so no more run at the same time than there are processors, whatever step asks.

use std::sync::LazyLock;

use quaero_engine::{Panicked, compute};
use tokio::{sync::Semaphore, task::yield_now};

static PARSERS: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
});

/// Does `work` on so many bytes when its turn comes. Once begun it cannot be stopped, and keeps its
/// place until it ends even if nobody waits for it any more.
///
/// # Errors
/// If it panics.
pub(crate) async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    // The connection that has brought the bytes may wait for this very thread.
    yield_now().await;
    let permit = PARSERS.acquire().await.expect("the semaphore is never closed");
    let work = move || {
        let _permit = permit;
        work()
    };
    compute(bytes, work).await
}
