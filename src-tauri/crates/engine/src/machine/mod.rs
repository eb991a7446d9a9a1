//! The engine against a reference model: sequences of operations that shrink to the shortest one that
//! tells them apart.
//!
//! [`reference`] says what must be true after each operation. [`transactions`] performs the same
//! operations on a real database with the coordinator's own transactions.
//!
//! `QUAERO_LONG` tries many more sequences. A failure prints the shortest sequence and leaves its seed
//! in `proptest-regressions/machine`; commit that, and it is tried first from then on.

mod reference;
mod transactions;

use std::{path::Path, sync::OnceLock};

use proptest::test_runner::Config;
use quaero_contract::{JobCounts, JobId, JobNode, JobQuery};
use quaero_store::{Access, NewRun, NewStep, Reuse, RunState, Store, Tolerance};
use serde_json::json;
use tempfile::TempDir;

use crate::work::{Lane, NewTask, StepManager, StepStart, TaskError};
use reference::{Definition, Model, RETRY_MS, Run, TASK_ATTEMPTS, step_name};

/// The name of the step type and of its tasks.
const MACHINE: &str = "machine";
/// All tasks queue here.
const LANE: &str = "lane";

/// So many cases in a long run; otherwise as many as `PROPTEST_CASES` says, or 256.
fn config(long: u32) -> Config {
    let normal = Config::default();
    let cases = if std::env::var_os("QUAERO_LONG").is_some() { long } else { normal.cases };
    Config { cases, max_shrink_iters: 5_000, ..normal }
}

struct Manager;

impl StepManager for Manager {
    fn step_type(&self) -> &'static str {
        MACHINE
    }

    fn schema(&self) -> schemars::Schema {
        schemars::Schema::default()
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let first = step.config["first"].as_u64();
        let first = first.ok_or_else(|| TaskError::permanent("refused", "asked to refuse"))?;
        let limit = lane_limit(&step.config);
        Ok((0..first).map(|key| task(&step.name, key, limit)).collect())
    }
}

fn lane_limit(config: &serde_json::Value) -> u32 {
    config["lane_limit"].as_u64().and_then(|n| n.try_into().ok()).expect("as it was written")
}

fn task(step: &str, key: impl std::fmt::Display, lane_limit: u32) -> NewTask {
    NewTask {
        task_type: MACHINE,
        name: format!("{step}.{key}"),
        key: Some(key.to_string()),
        lane: Lane { name: LANE.into(), limit: lane_limit, delay_ms: 0 },
        ..NewTask::default()
    }
}

/// A run of a definition, as the engine gets it.
fn new_run(number: u32, definition: &Definition, reuse: Option<Reuse>) -> NewRun {
    let steps = definition.steps.iter().enumerate().map(|(n, plan)| NewStep {
        name: step_name(n),
        step_type: MACHINE.to_owned(),
        config: json!({"first": plan.first, "lane_limit": plan.lane_limit}),
        depends: plan.after.iter().map(|n| step_name(*n)).collect(),
        on_error: plan.on_error,
        always_run: plan.always,
        condition: plan
            .only_if
            .map(|status| format!("{}(\"{}\")", status.as_str(), step_name(plan.after[0]))),
        max_attempts: plan.attempts,
        retry_delay_ms: RETRY_MS.unsigned_abs(),
        timeout_ms: plan.timeout_ms.map(i64::unsigned_abs),
        task_attempts: TASK_ATTEMPTS,
        // Longer than any sequence.
        task_timeout_ms: 1 << 50,
        ..NewStep::default()
    });
    NewRun {
        request_id: number.to_string(),
        definition_id: MACHINE.to_owned(),
        name: format!("run {number}"),
        steps: steps.collect(),
        reuse,
        singleton: definition.alone.then(|| "alone".to_owned()),
        hold: definition.alone,
        timeout_ms: definition.timeout_ms.map(i64::unsigned_abs),
        tolerance: definition.tolerance.map(|(max_failures, action)| Tolerance {
            max_failures,
            max_percent: None,
            min_sample: 1,
            action,
        }),
        ..NewRun::default()
    }
}

/// What there is to see of a run, as text: the same of the model and of the store.
fn expected(model: &Model, run: &Run) -> Vec<String> {
    let count = |tasks: &mut dyn Iterator<Item = &reference::Task>| {
        let mut counts = [0_u32; 8];
        for task in tasks {
            counts[0] += 1;
            counts[1 + task.status as usize] += 1;
        }
        format!("{counts:?}")
    };
    let mut lines = vec![format!(
        "run {} {} held={} paused={} cancelled={} stop={:?} {}",
        run.number,
        run.status,
        run.held,
        model.is_paused(run),
        run.cancelled,
        run.stop,
        count(&mut run.tasks.iter())
    )];
    for (n, step) in run.steps.iter().enumerate() {
        let tasks = count(&mut run.tasks.iter().filter(|task| task.step == n));
        lines.push(format!("{} {} attempt {} {tasks}", step_name(n), step.status, step.attempt));
    }
    for task in &run.tasks {
        let (step, key) = (step_name(task.step), task.key);
        lines.push(format!(
            "{step}.{key} {} depth {} attempt {}",
            task.status, task.depth, task.attempt
        ));
    }
    lines
}

/// The same of runs in the store, by their numbers.
async fn found(store: &Store, runs: Vec<(u32, JobId)>) -> Vec<Vec<String>> {
    let ids = runs.clone();
    let states = store.write(move |tx| ids.iter().map(|(_, id)| tx.run_state(*id)).collect());
    let states: Vec<Option<RunState>> = states.await.expect("the store answers");
    let mut all = Vec::new();
    for ((number, id), state) in runs.into_iter().zip(states) {
        all.push(match state {
            Some(state) => found_run(number, &state, &tasks(store, id).await),
            None => vec![format!("run {number} is not there")],
        });
    }
    all
}

fn found_run(number: u32, run: &RunState, tasks: &[JobNode]) -> Vec<String> {
    let counts = |jobs: &JobCounts| {
        let JobCounts { total, pending, running, waiting, .. } = *jobs;
        let ended = [jobs.completed, jobs.failed, jobs.cancelled, jobs.skipped];
        let all = [&[total, pending, running, waiting][..], &ended].concat();
        format!("{all:?}")
    };
    let mut lines = vec![format!(
        "run {number} {} held={} paused={} cancelled={} stop={:?} {}",
        run.status,
        run.held,
        run.paused,
        run.cancel_requested,
        run.stop.as_ref().map(|stop| &stop.code),
        counts(&run.jobs)
    )];
    for step in &run.steps {
        let jobs = counts(&step.jobs);
        lines.push(format!("{} {} attempt {} {jobs}", step.name, step.status, step.attempt));
    }
    for task in tasks {
        lines.push(format!(
            "{} {} depth {} attempt {}",
            task.name, task.status, task.depth, task.attempt
        ));
    }
    lines
}

/// The tasks of a run in the order in which they were written.
async fn tasks(store: &Store, run: JobId) -> Vec<JobNode> {
    let query = JobQuery { limit: 1_000, ..JobQuery::default() };
    store.list_jobs(run, &query).await.expect("the store answers").jobs
}

/// A new data folder; in memory where the computer has a place for that, since much is written.
fn folder() -> TempDir {
    static EMPTY: OnceLock<TempDir> = OnceLock::new();
    let empty = EMPTY.get_or_init(|| {
        let folder = temporary();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let store = Store::open(folder.path(), Access::Write, 0).await.expect("it opens");
            store.close(0).await.expect("it closes");
        });
        folder
    });
    let copy = temporary();
    for entry in std::fs::read_dir(empty.path()).expect("a folder") {
        let from = entry.expect("a file").path();
        let to = copy.path().join(from.file_name().expect("a name"));
        std::fs::copy(&from, to).expect("copied");
    }
    copy
}

fn temporary() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    folder.expect("a temporary folder")
}
