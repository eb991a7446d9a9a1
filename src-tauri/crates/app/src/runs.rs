//! Starting, watching and ending runs.

use std::collections::BTreeMap;

use quaero_contract::{
    ApiError, DefinitionView, ErrorCode, EventPage, JobId, JobPage, JobQuery, LogPage, LogQuery,
    RerunPart, RerunRequest, RunRequest, RunStatistics, RunStatus, RunSummary, RunView, StartedBy,
};
use quaero_engine::{
    Engine,
    work::{Need, Registry},
};
use quaero_store::{Keep, NewRun, NewStep, Reuse};
use tokio::sync::RwLockReadGuard;

use crate::{App, AppEvent, RunText, blocking, compose::compose, error, follow};

impl App {
    /// Accepts a run of a definition of the library. The same request again is the same run.
    ///
    /// # Errors
    /// `not_found`; `invalid` with the first problem of the definition or of the values; `not_set_up`
    /// if a step needs something that is not there.
    pub async fn run_definition(&self, request: RunRequest) -> Result<JobId, ApiError> {
        let RunRequest { request_id, definition_id, set, anyway } = request;
        let DefinitionView { summary, text, problems } =
            self.get_definition(&definition_id).await?;
        if summary.errors > 0 {
            return Err(error::problems(&summary.file, &problems));
        }
        let set = set.into_iter().collect();
        self.run_text(RunText { file: summary.file, text, set, request_id, anyway }).await
    }

    /// Accepts a run of a definition given as text. The same request again is the same run.
    ///
    /// # Errors
    /// `invalid` with the first problem of the definition or of the values; [`App::validate`] gives
    /// all of the definition's; `not_set_up` if a step needs something that is not there.
    pub async fn run_text(&self, request: RunText) -> Result<JobId, ApiError> {
        let RunText { file, text, set, request_id, anyway } = request;
        if !(1..=64).contains(&request_id.chars().count()) {
            return Err(ApiError::new(ErrorCode::Invalid, "A request id has 1 to 64 characters."));
        }
        let run = NewRun { request_id, ..self.compose(file, text, set).await? };
        if !anyway {
            self.check_needs(&run).await?;
        }
        self.submit(run).await
    }

    /// A definition with its values, with everything it leads to, as the engine takes it.
    pub(crate) async fn compose(
        &self,
        file: String,
        text: String,
        set: BTreeMap<String, String>,
    ) -> Result<NewRun, ApiError> {
        let core = std::sync::Arc::clone(&self.core);
        blocking(move || {
            let settings = core.settings.load().values;
            compose(&file, &text, &set, &core.registry, &settings, &core.library)
        })
        .await?
    }

    /// Whether everything is there that the steps of a run need which have something to do, so that
    /// what is missing is told now and not after an hour of work. Not asked of a run that has been
    /// accepted before.
    async fn check_needs(&self, run: &NewRun) -> Result<(), ApiError> {
        if self.core.store.knows_request(&run.request_id).await.map_err(error::store)? {
            return Ok(());
        }
        let working = self.engine().await?.working_steps(run.clone()).await;
        let working = working.map_err(error::engine)?;
        let mut needs = Vec::new();
        for step in run.steps.iter().filter(|step| working.contains(&step.name)) {
            collect_needs(&step.name, step, &self.core.registry, &mut needs);
        }
        let now = self.core.clock.now_ms() / 1_000;
        let asked = needs.iter().map(async |(step, need)| {
            let checked = quaero_workers::check_need(&*self.core.providers, need, now).await;
            checked.map_err(|why| format!("Step `{step}`: {why}")).err()
        });
        let missing: Vec<String> =
            futures::future::join_all(asked).await.into_iter().flatten().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::NotSetUp, missing.join(" "))
            .with_hint("Set it up first, or run it anyway: what does not need it works."))
    }

    pub(crate) async fn submit(&self, run: NewRun) -> Result<JobId, ApiError> {
        self.engine().await?.submit(run).await.map_err(error::engine)
    }

    pub(crate) async fn engine(&self) -> Result<RwLockReadGuard<'_, Engine>, ApiError> {
        let engine = self.core.engine.read().await;
        RwLockReadGuard::try_map(engine, Option::as_ref).map_err(|_| error::no_engine())
    }

    /// Does an earlier run's work again, all of it or a part. The same request again is the same run.
    ///
    /// # Errors
    /// `not_found`; `conflict` if the earlier run has not ended; `invalid` if there is no such step,
    /// or as [`App::run_definition`].
    pub async fn rerun(&self, request: RerunRequest) -> Result<JobId, ApiError> {
        let RerunRequest { request_id, run, part, set, current_definition, anyway } = request;
        let earlier = self.get_run(run).await?;
        let summary = &earlier.summary;
        if !summary.status.is_terminal() {
            return Err(ApiError::new(
                ErrorCode::Conflict,
                format!("Run {run} has not ended; it is {}.", summary.status.as_str()),
            )
            .with_hint(format!("Cancel it first: quaero runs cancel {run}")));
        }
        let (file, text) = if current_definition {
            let view = self.get_definition(&summary.definition_id).await?;
            (view.summary.file, view.text)
        } else {
            let json = earlier.definition_text.trim_start().starts_with('{');
            let ending = if json { "json" } else { "toml" };
            (format!("{}.{ending}", summary.definition_id), earlier.definition_text.clone())
        };
        let mut values: BTreeMap<String, String> = earlier.given.into_iter().collect();
        values.extend(set);
        let new = self.compose(file, text, values).await?;
        if let RerunPart::From(step) = &part
            && !new.steps.iter().any(|known| known.name == *step)
        {
            let names: Vec<&str> = new.steps.iter().map(|step| step.name.as_str()).collect();
            return Err(ApiError::new(ErrorCode::Invalid, format!("There is no step `{step}`."))
                .with_hint(format!("The steps are: {}.", names.join(", "))));
        }
        let (started_by, reuse) = (StartedBy::Rerun, Some(Reuse { run, part }));
        let new = NewRun { request_id, started_by, reuse, ..new };
        if !anyway {
            self.check_needs(&new).await?;
        }
        self.submit(new).await
    }

    /// Pauses a run: tasks that are running end, and nothing of it starts until it is resumed.
    ///
    /// # Errors
    /// `not_found`; `conflict` if it has ended, or if this process does not run the engine.
    pub async fn pause_run(&self, id: JobId) -> Result<(), ApiError> {
        self.engine().await?.pause(id).await.map_err(error::engine)
    }

    /// Pauses everything, or goes on. Stays over restarts.
    ///
    /// # Errors
    /// `conflict` if this process does not run the engine; if the store fails.
    pub async fn pause_all(&self, pause: bool) -> Result<(), ApiError> {
        self.engine().await?.pause_all(pause).await.map_err(error::engine)
    }

    /// Whether everything is paused.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn is_paused(&self) -> Result<bool, ApiError> {
        self.core.store.engine_paused().await.map_err(error::store)
    }

    /// Why work waits for the storage at present, and what to do; none if nothing waits.
    ///
    /// # Errors
    /// `conflict` if this process does not run the engine.
    pub async fn storage_wait(&self) -> Result<Option<ApiError>, ApiError> {
        Ok(self.engine().await?.monitor().why_waits().map(error::store))
    }

    /// Forgets runs that have ended and are not to be kept, with their jobs, events and logs.
    /// Documents stay. Returns how many were forgotten.
    ///
    /// # Errors
    /// `conflict` if this process does not run the engine; if the store fails.
    pub async fn prune_runs(
        &self,
        keep_runs: Option<u32>,
        keep_days: Option<u32>,
    ) -> Result<u32, ApiError> {
        const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
        let now_ms = self.core.clock.now_ms();
        let keep = Keep {
            runs: keep_runs,
            ended_after_ms: keep_days.map(|days| now_ms - i64::from(days) * DAY_MS),
        };
        let forgotten = self.engine().await?.prune(keep).await.map_err(error::engine)?;
        Ok(u32::try_from(forgotten.len()).unwrap_or(u32::MAX))
    }

    /// What stands out in a run: its tasks by type, the slowest and the failures.
    ///
    /// # Errors
    /// `not_found`, or if the store fails.
    pub async fn run_statistics(&self, id: JobId) -> Result<RunStatistics, ApiError> {
        if self.core.store.run_progress(id).await.map_err(error::store)?.is_none() {
            return Err(error::no_run(id));
        }
        self.core.store.run_statistics(id).await.map_err(error::store)
    }

    /// The changes of state after the one with this number, oldest first, at most `limit` (1 to
    /// 10,000). Reading on from the last one misses none and gets none twice.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn events_after(
        &self,
        run: Option<JobId>,
        after: u64,
        limit: u32,
    ) -> Result<EventPage, ApiError> {
        self.core.store.events_after(run, after, limit).await.map_err(error::store)
    }

    /// Runs, newest first: those older than `before`, at most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_runs(
        &self,
        before: Option<JobId>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, ApiError> {
        let live = self.live().await?;
        let runs = self.core.store.list_runs(before, limit).await.map_err(error::store)?;
        let now_ms = self.core.clock.now_ms();
        Ok(runs.iter().map(|run| run.summary(live, now_ms)).collect())
    }

    /// A run with its steps.
    ///
    /// # Errors
    /// `not_found`, or if the store fails.
    pub async fn get_run(&self, id: JobId) -> Result<RunView, ApiError> {
        let live = self.live().await?;
        let run = self.core.store.get_run(id, live, self.core.clock.now_ms()).await;
        run.map_err(error::store)?.ok_or_else(|| error::no_run(id))
    }

    /// A page of a run's jobs. For a run that does not exist it is empty.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_jobs(&self, run: JobId, query: JobQuery) -> Result<JobPage, ApiError> {
        self.core.store.list_jobs(run, &query).await.map_err(error::store)
    }

    /// Lines of a run's log. For a run that does not exist there are none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read_log(&self, query: LogQuery) -> Result<LogPage, ApiError> {
        self.core.store.logs().read(&query).await.map_err(error::store)
    }

    /// Cancels a run. Returns when that is recorded; running work stops within 2 s.
    ///
    /// # Errors
    /// `not_found`; `conflict` if it has ended, or if this process does not run the engine.
    pub async fn cancel_run(&self, id: JobId) -> Result<(), ApiError> {
        self.engine().await?.cancel(id).await.map_err(error::engine)
    }

    /// Goes on with an interrupted or paused run. One that is under way here is left alone.
    ///
    /// # Errors
    /// `not_found`; `conflict` if it has ended, or if this process does not run the engine.
    pub async fn resume_run(&self, id: JobId) -> Result<(), ApiError> {
        self.engine().await?.resume(id).await.map_err(error::engine)
    }

    /// Resolves when the run has ended.
    ///
    /// # Errors
    /// `not_found`; `conflict` if this process does not work on the run, or stops doing so; why its
    /// engine has given up.
    pub async fn wait_run(&self, id: JobId) -> Result<RunSummary, ApiError> {
        let mut events = self.events();
        loop {
            let run = self.get_run(id).await?.summary;
            match run.status {
                RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => return Ok(run),
                RunStatus::Interrupted => return Err(follow::stopped(id)),
                RunStatus::Running | RunStatus::Paused | RunStatus::Queued => {
                    if let Some(why) = self.engine().await?.monitor().why_halted() {
                        return Err(error::store(why));
                    }
                }
            }
            // After missed events, look again.
            while let Ok(event) = tokio::select! {
                event = events.recv() => event,
                () = self.core.closing.cancelled() => return Err(follow::stopped(id)),
            } {
                match event {
                    AppEvent::Progress(p) if p.run.id == id && p.run.status.is_terminal() => break,
                    AppEvent::Halted(_) => break,
                    _ => {}
                }
            }
        }
    }
}

/// What a step needs, and the steps of the runs within it, each once; they go by the name of the step
/// that the user knows.
fn collect_needs(name: &str, step: &NewStep, registry: &Registry, into: &mut Vec<(String, Need)>) {
    let manager = registry.manager(&step.step_type);
    for need in manager.map(|manager| manager.needs(&step.config)).unwrap_or_default() {
        if into.iter().all(|(_, known)| *known != need) {
            into.push((name.to_owned(), need));
        }
    }
    for step in step.instances.iter().flat_map(|run| &run.steps) {
        collect_needs(name, step, registry, into);
    }
}
