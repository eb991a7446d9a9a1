//! Time, as something that is handed in.

use std::time::Duration;

use futures::future::BoxFuture;

/// Where the engine gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// Resolves after this long.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Resolves at this time, at once if it has passed; never for `None`.
    fn until(&self, at_ms: Option<i64>) -> BoxFuture<'static, ()> {
        match at_ms {
            Some(at) => {
                let left = u64::try_from(at.saturating_sub(self.now_ms())).unwrap_or(0);
                self.sleep(Duration::from_millis(left))
            }
            None => Box::pin(std::future::pending()),
        }
    }
}

/// The computer's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
