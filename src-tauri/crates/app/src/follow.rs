//! Following one run from outside: its events as they come, then how it ended.

use quaero_contract::{ApiError, ErrorCode, JobId, RunView, StorageWait};
use tokio::sync::{broadcast, mpsc};

use crate::{App, AppEvent};

/// Messages that may wait for a slow follower. Beyond that it misses events, never the end.
const WAITING: usize = 256;

/// What a follower is told.
#[derive(Clone, Debug)]
pub enum Followed {
    /// Something happened in the run.
    Event(AppEvent),
    /// The run has ended; nothing follows.
    Ended(Box<RunView>),
}

/// A run being followed. Dropping it stops the following, not the run.
#[derive(Debug)]
pub struct Follow {
    run: JobId,
    messages: mpsc::Receiver<Result<Followed, ApiError>>,
}

impl Follow {
    /// The run.
    #[must_use]
    pub const fn run(&self) -> JobId {
        self.run
    }

    /// The next message; `None` after [`Followed::Ended`].
    ///
    /// # Errors
    /// If the process that works on the run has stopped. The run can be resumed then.
    pub async fn next(&mut self) -> Option<Result<Followed, ApiError>> {
        self.messages.recv().await
    }

    /// A follower whose messages come from `sender`.
    pub(crate) fn channel(run: JobId) -> (mpsc::Sender<Result<Followed, ApiError>>, Self) {
        let (sender, messages) = mpsc::channel(WAITING);
        (sender, Self { run, messages })
    }
}

impl App {
    /// Follows a run that this process works on. `events` should have been taken before the run was
    /// started, so that nothing is missed.
    #[must_use]
    pub fn follow(&self, run: JobId, events: broadcast::Receiver<AppEvent>) -> Follow {
        let (sender, follow) = Follow::channel(run);
        let app = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = app.core.closing.cancelled() => {
                    // Nobody may be listening any more.
                    let _ = sender.send(Err(stopped(run))).await;
                }
                last = app.forward(run, events, &sender) => {
                    let _ = sender.send(last).await;
                }
            }
        });
        follow
    }

    /// Forwards events until the run has ended, and returns the last message.
    async fn forward(
        &self,
        run: JobId,
        mut events: broadcast::Receiver<AppEvent>,
        sender: &mpsc::Sender<Result<Followed, ApiError>>,
    ) -> Result<Followed, ApiError> {
        let mut waits = false;
        let mut tell = async |event: AppEvent| {
            if let AppEvent::Waits(wait) = &event {
                waits = wait.error.is_some();
            }
            let _ = sender.send(Ok(Followed::Event(event))).await;
        };
        if let Ok(Some(error)) = self.storage_wait().await {
            tell(AppEvent::Waits(StorageWait { error: Some(error) })).await;
        }
        let mut ended = std::pin::pin!(self.wait_run(run));
        let outcome = loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(event) if concerns(run, &event) => tell(event).await,
                    // Missed events are no loss: each one after them is whole.
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => break Err(stopped(run)),
                },
                outcome = &mut ended => break outcome,
            }
        };
        while let Ok(event) = events.try_recv() {
            if concerns(run, &event) {
                tell(event).await;
            }
        }
        if waits && outcome.is_ok() {
            // What was waited for last may have been the end itself, of which others are told first.
            let _ = sender
                .send(Ok(Followed::Event(AppEvent::Waits(StorageWait { error: None }))))
                .await;
        }
        outcome?;
        Ok(Followed::Ended(Box::new(self.get_run(run).await?)))
    }
}

/// Whether a follower of a run is told of it.
fn concerns(run: JobId, event: &AppEvent) -> bool {
    event.run_id() == Some(run) || matches!(event, AppEvent::Waits(_))
}

/// The process that worked on the run has stopped.
pub(crate) fn stopped(run: JobId) -> ApiError {
    ApiError::new(
        ErrorCode::Conflict,
        format!("Run {run} was interrupted: the process that worked on it has stopped."),
    )
    .with_hint(format!("Go on with it: quaero runs resume {run}"))
}
