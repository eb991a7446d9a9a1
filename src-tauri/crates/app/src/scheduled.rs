//! The library's schedules, and the application as what starts their runs.

use std::sync::{Arc, PoisonError, Weak};

use quaero_contract::{
    ApiError, ErrorCode, JobId, SchedulePreview, ScheduleView, Severity, StartedBy,
};
use quaero_engine::definition::{Checked, World, check_in};
use quaero_store::NewRun;
use tokio::sync::watch;

use crate::{
    App, Core, blocking, error,
    schedule::{self, Scheduled, Scheduler, Start, Starter},
};

impl App {
    /// Starts what is due from now on, and keeps up with changes of the library.
    pub(crate) async fn start_scheduler(&self) -> Result<(), ApiError> {
        let Some(epoch) = self.live().await? else { return Ok(()) };
        let (list, definitions) = watch::channel(Arc::from(self.scheduled().await?));
        let core = &self.core;
        let starter = ScheduledRuns(Arc::downgrade(core));
        let scheduler =
            Scheduler::start(core.store.clone(), core.clock.clone(), epoch, starter, definitions);
        *core.scheduler.lock().unwrap_or_else(PoisonError::into_inner) = Some(scheduler);
        let (mut changes, closing) = (self.definitions_changed(), core.closing.clone());
        let core = Arc::downgrade(core);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = closing.cancelled() => return,
                    changed = changes.changed() => if changed.is_err() { return },
                }
                let Some(core) = core.upgrade() else { return };
                match (App { core }).scheduled().await {
                    Ok(found) => drop(list.send(found.into())),
                    Err(error) => tracing::warn!(%error, "The schedules cannot be read again."),
                }
            }
        });
        Ok(())
    }

    /// The schedule of every definition that has one, with its next times.
    ///
    /// # Errors
    /// If the user's folder cannot be listed, or the store fails.
    pub async fn schedules(&self) -> Result<Vec<ScheduleView>, ApiError> {
        let definitions = self.scheduled().await?;
        schedule::views(&self.core.store, &definitions, self.core.clock.now_ms()).await
    }

    /// What a schedule means, in words and as its next times.
    ///
    /// # Errors
    /// `invalid` if the schedule or the time zone is wrong.
    pub fn preview_schedule(
        &self,
        cron: &str,
        timezone: Option<&str>,
    ) -> Result<SchedulePreview, ApiError> {
        schedule::preview(cron, timezone, self.core.clock.now_ms())
    }

    /// What the scheduler has to know of the definitions that run by themselves.
    async fn scheduled(&self) -> Result<Vec<Scheduled>, ApiError> {
        let views = self.definitions().await?;
        let core = Arc::clone(&self.core);
        blocking(move || {
            let settings = core.settings.load().values;
            let world = World { registry: &core.registry, settings: &settings, library: None };
            let mut found = Vec::new();
            for view in views {
                let broken = view.problems.iter().any(|p| p.severity == Severity::Error);
                let checked = check_in(&view.summary.file, view.text.as_bytes(), &world);
                let Checked { definition: Some(definition), .. } = checked else { continue };
                if broken || (definition.schedule.is_none() && !definition.auto_start) {
                    continue;
                }
                found.push(Scheduled {
                    definition_id: view.summary.id,
                    name: definition.name,
                    cron: definition.schedule,
                    timezone: definition.timezone,
                    missed_runs: definition.missed_runs,
                    overlap: definition.overlap,
                    enabled: definition.enabled,
                    auto_start: definition.auto_start,
                });
            }
            found
        })
        .await
    }
}

/// Starts runs for the scheduler, as long as the application is there.
struct ScheduledRuns(Weak<Core>);

impl ScheduledRuns {
    fn app(&self) -> Result<App, ApiError> {
        let core = self.0.upgrade();
        core.map(|core| App { core })
            .ok_or_else(|| ApiError::new(ErrorCode::Conflict, "Quaero is closing."))
    }
}

impl Starter for ScheduledRuns {
    async fn start(&self, start: Start) -> Result<JobId, ApiError> {
        let Start { definition_id, request_id, queue, slot } = start;
        let app = self.app()?;
        let view = app.get_definition(&definition_id).await?;
        if view.summary.errors > 0 {
            return Err(error::problems(&view.summary.file, &view.problems));
        }
        let run = app.compose(view.summary.file, view.text, Default::default()).await?;
        let started_by = if slot.is_some() { StartedBy::Schedule } else { StartedBy::Start };
        let hold = run.hold || queue;
        app.submit(NewRun { request_id, started_by, hold, slot, ..run }).await
    }

    async fn is_open(&self, definition_id: &str) -> Result<bool, ApiError> {
        let app = self.app()?;
        app.core.store.has_open_run(definition_id).await.map_err(error::store)
    }
}
