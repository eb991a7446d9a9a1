//! Keeps the history of runs to what the settings allow: at the start, and whenever a run has ended.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;

use crate::{App, AppEvent};

impl App {
    /// Forgets from now on what the settings do not keep.
    pub(crate) fn keep_history(&self) {
        let (core, mut events) = (Arc::downgrade(&self.core), self.events());
        let closing = self.core.closing.clone();
        tokio::spawn(async move {
            loop {
                let Some(core) = core.upgrade() else { return };
                (App { core }).forget_old_runs().await;
                loop {
                    let event = tokio::select! {
                        () = closing.cancelled() => return,
                        event = events.recv() => event,
                    };
                    match event {
                        Ok(AppEvent::Progress(progress)) if progress.run.status.is_terminal() => {
                            break;
                        }
                        // Among what was missed may be the end of a run.
                        Err(RecvError::Lagged(_)) => break,
                        Ok(_) => {}
                        Err(RecvError::Closed) => return,
                    }
                }
            }
        });
    }

    pub(crate) async fn forget_old_runs(&self) {
        let Ok(settings) = self.settings().await else { return };
        if settings.keep_runs.is_none() && settings.keep_days.is_none() {
            return;
        }
        let Ok(engine) = self.engine().await else { return };
        let trusts_clock = engine.trusts_clock();
        drop(engine);
        if settings.keep_days.is_some() && !trusts_clock {
            tracing::warn!(
                "The clock was set, or Quaero was not used for long. No run is forgotten because of its age until the next start."
            );
        }
        let keep_days = settings.keep_days.filter(|_| trusts_clock);
        match self.prune_runs(settings.keep_runs, keep_days).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "Old runs were forgotten, as the settings ask."),
            Err(error) => tracing::warn!(%error, "Old runs could not be forgotten."),
        }
    }
}
