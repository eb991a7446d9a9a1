//! A story of runs that comes by every named point of the store and the engine, in two acts with an
//! orderly stop in between. However often an act is begun again, it ends in the same way.

use std::{collections::BTreeMap, path::Path};

use quaero_contract::{DocumentCounts, JobCounts, JobId, JobStatus, OnError};
use quaero_engine::{Engine, EngineError, Event};
use quaero_store::{Keep, NewRun, Slot, Store, StoreError, faults};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::workers::{SCRIPTED, Script};

/// Part of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Act {
    /// Everything is asked for, and the engine is stopped while tasks hang.
    First,
    /// What hangs is cancelled, everything ends, and old runs are forgotten.
    Second,
}

/// The run that is cancelled.
const DOOMED: &str = "doomed";
/// Its tasks that never end.
const HANGING: u32 = 4;

/// Makes the folder in which the story begins: one of the first version, whose process was killed.
///
/// # Panics
/// If it cannot be written.
pub async fn set_stage(folder: &Path) {
    let config = serde_json::to_string(&Script::tree(2, 1)).expect("a script is plain data");
    faults::make_old(folder, 1, SCRIPTED, &config).await.expect("made");
}

/// The runs that are asked for.
fn runs() -> Vec<NewRun> {
    let tree = Script::tree(2, 1);
    // Spawns early and late, fails for good and at first.
    let kept = Script { fail_every: 7, flaky_every: 5, early: true, ..Script::tree(3, 2) };
    let silent = Script { silent: true, ..Script::tree(3, 1) };
    let doomed = Script { hangs: true, ..Script::tree(HANGING, 1) };
    // A step that is tried again in vain, and one that is skipped because of that.
    let hopeless = Script { fail_every: 1, ..Script::tree(0, 0) };
    let mut again = hopeless.step("again");
    (again.on_error, again.max_attempts, again.retry_delay_ms) = (OnError::Retry, 2, 1);
    let mut after = tree.step("after");
    after.depends = vec!["again".to_owned()];
    let retried = NewRun { steps: vec![again, after], ..tree.run("retried") };
    // A step of runs.
    let mut below = tree.step("below");
    below.step_type = "job_template".to_owned();
    below.instances = vec![tree.run("instance 1"), tree.run("instance 2")];
    let above = NewRun { steps: vec![below], ..tree.run("above") };
    // Takes too long.
    let late = Script { hangs: true, ..Script::tree(0, 0) };
    let late = NewRun { timeout_ms: Some(50), ..late.run("late") };
    let alone = |name| NewRun { singleton: Some("alone".to_owned()), hold: true, ..tree.run(name) };
    let slot = Slot { definition_id: "scheduled".to_owned(), at_ms: 1_000, note: String::new() };
    let scheduled = NewRun { slot: Some(slot.clone()), ..tree.run(&slot.request_id()) };
    vec![
        kept.run("kept"),
        silent.run("silent"),
        doomed.run(DOOMED),
        retried,
        above,
        late,
        alone("alone 1"),
        alone("alone 2"),
        scheduled,
    ]
}

/// Plays an act. What fails because storage does is asked for again.
///
/// # Errors
/// If something else fails.
pub async fn play(act: Act, engine: &Engine, store: &Store) -> Result<(), EngineError> {
    let mut events = engine.events();
    let schedules = [("scheduled".to_owned(), "0 * * * *".to_owned())];
    insist(async || {
        let schedules = schedules.clone();
        store.write(move |tx| tx.set_schedules(&schedules, 1)).await?;
        Ok(())
    })
    .await?;
    // Whatever the speed, none of the runs has ended when it is to be paused for the first time.
    insist(async || engine.pause_all(true).await).await?;
    let mut ids = BTreeMap::new();
    for run in runs() {
        let name = run.request_id.clone();
        insist(async || {
            ids.insert(name.clone(), engine.submit(run.clone()).await?);
            Ok(())
        })
        .await?;
    }
    insist(async || engine.pause(ids["kept"]).await).await?;
    insist(async || engine.pause_all(false).await).await?;
    insist(async || engine.resume(ids["kept"]).await).await?;
    until_it_hangs(store, ids[DOOMED], &mut events).await?;
    for ends_by_itself in ["late", "retried"] {
        until_it_has_ended(store, ids[ends_by_itself], &mut events).await?;
    }
    if act == Act::First {
        return Ok(());
    }
    insist(async || engine.cancel(ids[DOOMED]).await).await?;
    until_all_have_ended(store, &mut events).await?;
    let keep = Keep { runs: None, ended_after_ms: Some(1_000) };
    insist(async || engine.prune(keep).await.map(drop)).await
}

/// Asks until there is an answer. That a run has ended meanwhile is one.
async fn insist(ask: impl AsyncFnMut() -> Result<(), EngineError>) -> Result<(), EngineError> {
    let mut ask = ask;
    loop {
        match ask().await {
            Err(EngineError::Store(error)) if error.may_pass() => {}
            Err(EngineError::AlreadyEnded(..)) => return Ok(()),
            answer => return answer,
        }
    }
}

async fn until_it_hangs(
    store: &Store,
    run: JobId,
    events: &mut Receiver<Event>,
) -> Result<(), StoreError> {
    loop {
        let run = store.run_progress(run).await?.expect("it was accepted");
        if run.status.is_terminal() || run.jobs.running == HANGING || run.jobs.cancelled > 0 {
            return Ok(());
        }
        any(events).await;
    }
}

async fn until_it_has_ended(
    store: &Store,
    run: JobId,
    events: &mut Receiver<Event>,
) -> Result<(), StoreError> {
    while !store.run_progress(run).await?.expect("it was accepted").status.is_terminal() {
        any(events).await;
    }
    Ok(())
}

async fn until_all_have_ended(
    store: &Store,
    events: &mut Receiver<Event>,
) -> Result<(), StoreError> {
    while store.list_runs(None, 1_000).await?.iter().any(|run| !run.status.is_terminal()) {
        any(events).await;
    }
    Ok(())
}

/// Any event is a reason to look again; so is having missed some.
async fn any(events: &mut Receiver<Event>) {
    if let Err(RecvError::Closed) = events.recv().await {
        std::future::pending().await
    }
}

/// Everything that must be the same in the end, whatever happened on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// By name; two of one name are a run that was doubled.
    pub runs: BTreeMap<String, Vec<Ending>>,
    /// Slots that started a run.
    pub slots: u32,
    /// Versions of the definition.
    pub versions: usize,
    /// Documents in all.
    pub documents: u32,
}

/// How a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The run's state.
    pub status: JobStatus,
    /// Its tasks by state.
    pub jobs: JobCounts,
    /// Its documents by outcome.
    pub documents: DocumentCounts,
    /// The code of its error.
    pub error: Option<String>,
    /// The state of each step.
    pub steps: Vec<JobStatus>,
}

impl Outcome {
    /// Reads it.
    ///
    /// # Panics
    /// If that fails.
    pub async fn read(store: &Store) -> Self {
        let mut runs = BTreeMap::<String, Vec<Ending>>::new();
        for run in store.list_runs(None, 1_000).await.expect("readable") {
            let steps = store.run_progress(run.id).await.expect("readable").expect("listed").steps;
            runs.entry(run.name).or_default().push(Ending {
                status: run.status,
                jobs: run.jobs,
                documents: run.documents,
                error: run.error.map(|error| error.code),
                steps: steps.iter().map(|step| step.status).collect(),
            });
        }
        let slots = store.schedules().await.expect("readable");
        Self {
            runs,
            slots: slots.iter().map(|slot| slot.started).sum(),
            versions: store.definition_versions(SCRIPTED).await.expect("readable").len(),
            documents: store.count_documents().await.expect("readable"),
        }
    }
}
