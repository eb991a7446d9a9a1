//! Starting, watching and ending runs.

use std::collections::BTreeMap;

use quaero_contract::{
    ApiError, DefinitionView, ErrorCode, JobId, JobPage, JobQuery, LogPage, LogQuery, RunRequest,
    RunStatus, RunSummary, RunView,
};
use quaero_engine::{
    definition::{BoundStep, Checked, OnError, check},
    work::Registry,
};
use quaero_store::{NewRun, NewStep};

use crate::{App, AppEvent, RunText, blocking, error, follow};

impl App {
    /// Accepts a run of a definition of the library. The same request again is the same run.
    ///
    /// # Errors
    /// `not_found`; `invalid` with the first problem of the definition or of the values.
    pub async fn run_definition(&self, request: RunRequest) -> Result<JobId, ApiError> {
        let RunRequest { request_id, definition_id, set } = request;
        let DefinitionView { summary, text, problems } =
            self.get_definition(&definition_id).await?;
        if summary.errors > 0 {
            return Err(error::problems(&summary.file, &problems));
        }
        let set = set.into_iter().collect();
        self.run_text(RunText { file: summary.file, text, set, request_id }).await
    }

    /// Accepts a run of a definition given as text. The same request again is the same run.
    ///
    /// # Errors
    /// `invalid` with the first problem of the definition or of the values; [`App::validate`] gives
    /// all of the definition's.
    pub async fn run_text(&self, request: RunText) -> Result<JobId, ApiError> {
        let RunText { file, text, set, request_id } = request;
        if !(1..=64).contains(&request_id.chars().count()) {
            return Err(ApiError::new(ErrorCode::Invalid, "A request id has 1 to 64 characters."));
        }
        let registry = self.core.registry.clone();
        let run = blocking(move || new_run(&file, &text, &set, request_id, &registry)).await??;
        let engine = self.core.engine.read().await;
        engine.as_ref().ok_or_else(error::no_engine)?.submit(run).await.map_err(error::engine)
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
        let engine = self.core.engine.read().await;
        engine.as_ref().ok_or_else(error::no_engine)?.cancel(id).await.map_err(error::engine)
    }

    /// Goes on with an interrupted run. One that is under way here is left alone.
    ///
    /// # Errors
    /// `not_found`; `conflict` if it has ended, or if this process does not run the engine.
    pub async fn resume_run(&self, id: JobId) -> Result<(), ApiError> {
        let engine = self.core.engine.read().await;
        engine.as_ref().ok_or_else(error::no_engine)?.resume(id).await.map_err(error::engine)
    }

    /// Resolves when the run has ended.
    ///
    /// # Errors
    /// `not_found`; `conflict` if this process does not work on the run, or stops doing so.
    pub async fn wait_run(&self, id: JobId) -> Result<RunSummary, ApiError> {
        let mut events = self.events();
        loop {
            let run = self.get_run(id).await?.summary;
            match run.status {
                RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => return Ok(run),
                RunStatus::Interrupted => return Err(follow::stopped(id)),
                RunStatus::Running if self.core.engine.read().await.is_none() => {
                    return Err(error::no_engine());
                }
                RunStatus::Running => {}
            }
            // After missed events, look again.
            while let Ok(event) = tokio::select! {
                event = events.recv() => event,
                () = self.core.closing.cancelled() => return Err(follow::stopped(id)),
            } {
                if matches!(&event, AppEvent::Progress(p) if p.run.id == id && p.run.status.is_terminal())
                {
                    break;
                }
            }
        }
    }
}

/// A definition with its values as the engine takes it.
fn new_run(
    file: &str,
    text: &str,
    set: &BTreeMap<String, String>,
    request_id: String,
    registry: &Registry,
) -> Result<NewRun, ApiError> {
    let Checked { definition, problems, .. } = check(file, text.as_bytes(), registry);
    let definition = definition.ok_or_else(|| error::problems(file, &problems))?;
    let bound =
        definition.bind(set, registry).map_err(|problems| error::problems(file, &problems))?;
    let step = |step: BoundStep| NewStep {
        name: step.name,
        step_type: step.step_type,
        description: step.description,
        config: step.config,
        output_tags: step.output_tags,
        depends: step.depends,
        on_error: match step.on_error {
            OnError::Continue => "continue",
            OnError::Fail => "fail",
            OnError::Fatal => "fatal",
            OnError::Retry => "retry",
        }
        .to_owned(),
        always_run: step.always_run,
    };
    let subject = bound
        .steps
        .iter()
        .find_map(|step| registry.manager(&step.step_type)?.subject(&step.config))
        .unwrap_or_default();
    Ok(NewRun {
        request_id,
        definition_id: bound.id,
        name: bound.name,
        subject,
        definition_text: definition.text().to_owned(),
        variables: bound.variables,
        tags: bound.tags,
        auth_id: bound.authentication,
        steps: bound.steps.into_iter().map(step).collect(),
    })
}
