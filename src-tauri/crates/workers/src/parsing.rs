//! The one bound on parsing. A parser takes a processor for itself and many times the page's size in
//! memory, so no more run at the same time than there are processors, whatever step asks.

use std::sync::LazyLock;

use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

static PARSERS: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
});

/// Runs `work` away from the async threads when its turn comes. Once begun it cannot be stopped, and
/// keeps its place until it ends even if nobody waits for it any more.
///
/// # Errors
/// If it panics.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let permit = PARSERS.acquire().await.expect("the semaphore is never closed");
    spawn_blocking(move || {
        let _permit = permit;
        work()
    })
    .await
}
