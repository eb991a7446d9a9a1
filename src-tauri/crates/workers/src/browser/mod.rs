//! Pages as a browser shows them, for those whose text is made by scripts.
//!
//! A browser that is installed on the computer runs the scripts, and nothing else: it can connect to
//! nothing (see [`launch`]), and every request of a page is made here, by the client that every other
//! request of the program goes through, with its address policy and limits.
//!
//! There is one browser per process. It starts with the first page, and ends when none has been shown
//! for a while. Each page has a profile of its own, which is forgotten with it.

mod find;
mod launch;
mod page;
mod requests;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quaero_net::{Client, Response, Session};
use tokio::sync::Semaphore;
use url::Url;

use launch::Running;

/// Pages that are shown at the same time.
const TABS: usize = 2;
/// How long a browser that nobody uses is kept.
const UNUSED: Duration = Duration::from_secs(30);
/// How long a browser may take to start, or to answer a simple order.
const ANSWER: Duration = Duration::from_secs(20);
/// Bytes of HTML that are taken from a page at most.
const MAX_HTML: usize = 16 << 20;

/// A page to be shown.
pub(crate) struct ToShow<'a> {
    /// The page as it was fetched.
    pub(crate) page: &'a Response,
    /// Asks for what its scripts want.
    pub(crate) client: &'a Client,
    /// A sign-in for them; only a page of its own site uses it.
    pub(crate) session: Option<&'a Session>,
    /// How long to wait for its scripts once it has loaded, unless they are done before.
    pub(crate) wait: Duration,
    /// How long it may take in all.
    pub(crate) total: Duration,
    /// Bytes of HTML that may come of it, and of anything its scripts fetch.
    pub(crate) max_bytes: usize,
}

/// What a page became.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// What the browser then had.
    pub(crate) html: String,
    /// Where the page's scripts wanted to go instead, which nobody did.
    pub(crate) led_to: Vec<Url>,
    /// How often they wanted to send something to the page's own site, which was not done.
    pub(crate) unsent: usize,
    /// Whether its scripts would not end.
    pub(crate) busy: bool,
    /// What the user should know about the browser, with the first page that it shows.
    pub(crate) notice: Option<&'static str>,
}

/// Why a page cannot be shown. The messages say what to do where something can be done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrowserError {
    #[error(
        "No browser was found to run the scripts of pages. Install Chrome, Chromium or Edge, name one in {variable}, or set `enable_javascript = false`.",
        variable = find::VARIABLE
    )]
    None,
    #[error(
        "There is no browser `{0}`, which {variable} names. Correct it, or remove it to have one looked for.",
        variable = find::VARIABLE
    )]
    NotThere(String),
    #[error("The browser {program} cannot be started: {reason}.")]
    Start { program: String, reason: String },
    #[error("the browser ended before it was done")]
    Ended,
    #[error("its scripts crashed the browser, or asked for more than it could do")]
    Crashed,
    #[error("its scripts did not let go of it in time")]
    TimedOut,
    #[error("it became larger than {0} bytes")]
    TooLarge(usize),
    #[error("the browser refused: {0}")]
    Refused(String),
}

impl BrowserError {
    /// A stable word for the kind of error.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::None | Self::NotThere(_) => "no_browser",
            Self::Start { .. } | Self::Ended | Self::Refused(_) => "browser_failed",
            Self::Crashed => "page_crashed",
            Self::TimedOut => "timeout",
            Self::TooLarge(_) => "too_large",
        }
    }

    /// Whether the same page may be shown later.
    pub(crate) const fn is_transient(&self) -> bool {
        match self {
            Self::None | Self::NotThere(_) | Self::TooLarge(_) => false,
            Self::Start { .. }
            | Self::Ended
            | Self::Refused(_)
            | Self::Crashed
            | Self::TimedOut => true,
        }
    }
}

/// The browser of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Browser {
    shared: Arc<Shared>,
}

struct Shared {
    /// Names the browser: its path, or its name on the search path. None: it is looked for.
    named: Option<OsString>,
    unused: Duration,
    tabs: Semaphore,
    state: Mutex<State>,
    /// Only one is started at a time.
    starting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    running: Option<Arc<Running>>,
    /// How many pages have been shown.
    shown: u64,
}

impl Default for Browser {
    /// The one that is installed. It is started when it is first needed.
    fn default() -> Self {
        Self::with(std::env::var_os(find::VARIABLE), UNUSED)
    }
}

impl Browser {
    /// The one that is named, or else the one that is installed.
    pub(crate) fn with(named: Option<OsString>, unused: Duration) -> Self {
        let (state, starting) = (Mutex::default(), tokio::sync::Mutex::default());
        let tabs = Semaphore::new(TABS);
        Self { shared: Arc::new(Shared { named, unused, tabs, state, starting }) }
    }

    /// Whether there is one.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn find(&self) -> Result<PathBuf, BrowserError> {
        find::program(self.shared.named.as_deref())
    }

    /// Shows a page when its turn comes, and hands back what it became.
    ///
    /// # Errors
    /// If there is no browser, or the page cannot be shown within its limits.
    pub(crate) async fn show(&self, what: ToShow<'_>) -> Result<Shown, BrowserError> {
        let _tab = self.shared.tabs.acquire().await.expect("the semaphore is never closed");
        let (running, notice) = self.running().await?;
        let _use = Use(self.clone());
        let shown = page::show(&running.wire, &what).await;
        match shown {
            Ok(shown) => Ok(Shown { notice, ..shown }),
            Err(error) => {
                if !matches!(error, BrowserError::TooLarge(_)) {
                    // What one page has done to it must not become the next one's trouble.
                    self.replace(&running);
                }
                Err(error)
            }
        }
    }

    /// The running browser, and a notice about it if this call has started it.
    async fn running(&self) -> Result<(Arc<Running>, Option<&'static str>), BrowserError> {
        let _turn = self.shared.starting.lock().await;
        if let Some(running) = self.known() {
            return Ok((running, None));
        }
        let program = self.find()?;
        let started = tokio::task::spawn_blocking(move || Running::start(&program)).await;
        let running = Arc::new(started.unwrap_or(Err(BrowserError::Ended))?);
        let hello = running.wire.call("", "Browser.getVersion", serde_json::json!({}));
        let hello = tokio::time::timeout(ANSWER, hello).await;
        if let Err(reason) = hello.unwrap_or(Err(BrowserError::TimedOut)) {
            let program = self.find()?.display().to_string();
            let reason = format!("{reason}; does it start by hand with --headless?");
            return Err(BrowserError::Start { program, reason });
        }
        let notice = running.notice;
        self.state().running = Some(Arc::clone(&running));
        Ok((running, notice))
    }

    fn known(&self) -> Option<Arc<Running>> {
        let mut state = self.state();
        state.shown += 1;
        if state.running.as_ref().is_some_and(|running| running.wire.is_closed()) {
            state.running = None;
        }
        state.running.clone()
    }

    /// Has the next page start another browser. Pages that are being shown keep this one.
    fn replace(&self, running: &Arc<Running>) {
        let mut state = self.state();
        if state.running.as_ref().is_some_and(|known| Arc::ptr_eq(known, running)) {
            state.running = None;
        }
    }

    /// Ends the browser if nobody has used it since `shown` pages were shown.
    fn end_unused(&self, shown: u64) {
        let mut state = self.state();
        // The one in the state is the only one that nobody is using.
        if state.shown == shown
            && state.running.as_ref().is_some_and(|running| Arc::strong_count(running) == 1)
        {
            let running = state.running.take();
            drop(state);
            // Waits for its end.
            tokio::task::spawn_blocking(move || drop(running));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No holder leaves it half-changed.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One page's use of the browser. Its end sets the timer that ends an unused browser.
struct Use(Browser);

impl Drop for Use {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (shown, unused) = (self.0.state().shown, self.0.shared.unused);
        let browser = Arc::downgrade(&self.0.shared);
        runtime.spawn(async move {
            tokio::time::sleep(unused).await;
            if let Some(shared) = browser.upgrade() {
                Browser { shared }.end_unused(shown);
            }
        });
    }
}
