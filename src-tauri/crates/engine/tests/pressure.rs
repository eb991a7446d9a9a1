//! A worker that spawns more than fits into memory. Alone in its process, whose memory is measured.
//!
//! `QUAERO_LONG` spawns a million.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use quaero_contract::JobId;
use quaero_engine::{
    Engine, EngineOptions, SystemClock,
    work::{
        JobContext, JobWorker, Lane, NewTask, Outcome, Registry, StepManager, StepStart, TaskError,
    },
};
use quaero_store::{Durability, NewRun, NewStep, RunProgress, Store};
use serde_json::json;

/// What a worker should hand over at once.
const CHUNK: u64 = 1_000;

struct Pressure;

impl StepManager for Pressure {
    fn step_type(&self) -> &'static str {
        "pressure"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::Schema::default()
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        Ok(vec![task("source".to_owned(), step.config["spawns"].as_u64().unwrap())])
    }
}

fn task(key: String, spawns: u64) -> NewTask {
    NewTask {
        task_type: "pressure",
        name: format!("https://example.org/a/page/that/has/a/name/of/usual/length/{key}"),
        key: Some(key),
        payload: json!({"spawns": spawns}),
        lane: Lane::local(),
        ..NewTask::default()
    }
}

#[async_trait]
impl JobWorker for Pressure {
    fn task_type(&self) -> &'static str {
        "pressure"
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let count = job.payload["spawns"].as_u64().unwrap();
        for start in (0..count).step_by(usize::try_from(CHUNK).unwrap()) {
            let chunk = start..count.min(start + CHUNK);
            job.spawn(chunk.map(|n| task(n.to_string(), 0)).collect()).await?;
        }
        Ok(Outcome::default())
    }
}

fn new_run(name: &str, spawns: u64) -> NewRun {
    NewRun {
        request_id: name.to_owned(),
        definition_id: name.to_owned(),
        name: name.to_owned(),
        steps: vec![NewStep {
            name: "step".to_owned(),
            step_type: "pressure".to_owned(),
            config: json!({"spawns": spawns}),
            task_timeout_ms: 3_600_000,
            ..NewStep::default()
        }],
        ..NewRun::default()
    }
}

async fn until(store: &Store, run: JobId, is_so: impl Fn(&RunProgress) -> bool) -> RunProgress {
    let mut changes = store.changes().unwrap();
    let looking = async {
        loop {
            let progress = store.run_progress(run).await.unwrap().unwrap();
            if is_so(&progress) {
                return progress;
            }
            // Having missed some is a reason to look, too.
            let _ = changes.recv().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3_000), looking).await.expect("in time")
}

/// The most memory that this process has had, in KiB; see proc_pid_status(5).
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_spawns_without_end_takes_neither_the_memory_nor_the_turn_of_others() {
    // Tasks, and how many KiB more these may take than a few: as tasks they would take more.
    let is_long = std::env::var_os("QUAERO_LONG").is_some();
    let (count, most) = if is_long { (1_000_000, 64 << 10) } else { (20_000, 16 << 10) };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_writer(folder.path(), Durability::System, 0).await.unwrap();
    let registry = Registry::default().with_manager(Pressure).with_worker(Pressure);
    let options = EngineOptions::default();
    let engine =
        Engine::start(store.clone(), registry, Arc::new(SystemClock), options).await.unwrap();
    let over = |run: &RunProgress| run.status.is_terminal();

    // What any run takes.
    let first = engine.submit(new_run("first", 2 * CHUNK)).await.unwrap();
    until(&store, first, over).await;
    let before = peak_kib();

    let many = engine.submit(new_run("many", count)).await.unwrap();
    until(&store, many, |run| u64::from(run.jobs.total) > count / 4).await;
    let one = engine.submit(new_run("one", 0)).await.unwrap();
    until(&store, one, over).await;
    let jobs = store.run_progress(many).await.unwrap().unwrap().jobs;
    assert!(u64::from(jobs.completed) < count * 9 / 10, "one waited for many: {jobs:?}");

    let end = until(&store, many, over).await;
    assert_eq!((u64::from(end.jobs.completed), end.jobs.failed), (count + 1, 0));
    let more = peak_kib() - before;
    assert!(more < most, "{count} tasks took {more} KiB more");
    engine.stop(Duration::ZERO).await;
    store.close(0).await.unwrap();
}
