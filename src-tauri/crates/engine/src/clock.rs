//! Time, as something that is handed in.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;

/// Where the engine gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// Milliseconds for which the computer has been running since some moment, if that is known:
    /// setting the clock does not change it, and it does not go on while the computer is suspended.
    fn running_ms(&self) -> Option<i64> {
        None
    }

    /// Resolves after this long.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Resolves at this time, at once if it has passed; never for `None`. It may resolve earlier,
    /// such as when the clock has been set: look at the time again, and wait again.
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

/// A wait up to this long is a plain sleep: suspend or a change of the clock can make it wrong by no
/// more than this.
const SHORT: Duration = Duration::from_secs(1);
/// The longest plain sleep. It does not count the time that the computer is suspended, and nothing
/// tells it that the clock was set, so it is cut into pieces: after each, the caller looks again.
const STRETCH: Duration = Duration::from_secs(30);

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn running_ms(&self) -> Option<i64> {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        i64::try_from(START.elapsed().as_millis()).ok()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    /// On Linux a timer on the wall clock: it is right after suspend, it ends early when the clock is
    /// set, and until then nothing wakes up. Elsewhere, and if there is no such timer to be had,
    /// it ends after at most 30 s.
    fn until(&self, at_ms: Option<i64>) -> BoxFuture<'static, ()> {
        let Some(at_ms) = at_ms else { return Box::pin(std::future::pending()) };
        let left = u64::try_from(at_ms.saturating_sub(self.now_ms())).unwrap_or(0);
        let left = Duration::from_millis(left);
        if left <= SHORT {
            return self.sleep(left);
        }
        #[cfg(target_os = "linux")]
        match wall_clock::timer(at_ms) {
            Ok(timer) => return timer,
            Err(error) => tracing::debug!(%error, "No timer on the wall clock; sleeping instead."),
        }
        self.sleep(left.min(STRETCH))
    }
}

/// Timers of the kernel that go by the wall clock; see timerfd_create(2).
#[cfg(target_os = "linux")]
mod wall_clock {
    use std::io;

    use futures::future::BoxFuture;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::{Interest, unix::AsyncFd};

    /// Resolves at this time after 1970, or when the clock is set.
    pub(super) fn timer(at_ms: i64) -> io::Result<BoxFuture<'static, ()>> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        let at = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: at_ms.div_euclid(1_000),
                tv_nsec: at_ms.rem_euclid(1_000) * 1_000_000,
            },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&timer, flags, &at)?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe because a type may change its descriptor; an `OwnedFd` cannot"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Box::pin(async move {
            // Readable means over, for whichever reason. An error ends the wait early, as it may.
            let _ = timer.readable().await;
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future, poll_fn},
        pin::pin,
        task::Poll,
    };

    use super::*;

    #[tokio::test]
    async fn a_timer_fires_at_its_time() {
        for wait_ms in [0, 20, 1_050] {
            let at = SystemClock.now_ms() + wait_ms;
            SystemClock.until(Some(at)).await;
            assert!(SystemClock.now_ms() >= at, "{wait_ms} ms");
        }
        SystemClock.until(Some(i64::MIN)).await;
    }

    #[tokio::test]
    async fn a_timer_far_in_the_future_sleeps_without_waking() {
        let now = SystemClock.now_ms();
        for far in [now + 365 * 24 * 60 * 60 * 1_000, i64::MAX] {
            let mut far = pin!(SystemClock.until(Some(far)));
            let mut near = pin!(SystemClock.until(Some(SystemClock.now_ms() + 50)));
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                assert!(far.as_mut().poll(context).is_pending(), "it is not over");
                match near.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(()),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
            assert_eq!(polls, 2, "only the near timer woke it");
        }
    }
}
