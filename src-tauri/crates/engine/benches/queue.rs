//! How fast the queue is, as ratios against what the disk allows in the same run.
//!
//! `cargo bench -p quaero-engine` prints, for no-op tasks:
//! - durable commits: `fdatasync` of one page after another, the physical limit of a lone commit;
//! - tasks in a burst: how many tasks share the cost of one such commit;
//! - one task alone, from submit to the end of its run, in units of one such commit.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark that cannot go on has failed"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::{io::Write, path::Path, sync::Arc, time::Instant};

use async_trait::async_trait;
use quaero_contract::JobId;
use quaero_engine::{
    Engine, EngineOptions, Event, SystemClock,
    work::{
        JobContext, JobWorker, Lane, NewTask, Outcome, Registry, StepManager, StepStart, TaskError,
    },
};
use quaero_store::{Access, NewRun, NewStep, Store};
use serde_json::{Value, json};

const BURST: u64 = 5_000;
const ALONE: u32 = 50;

struct Manager;

impl StepManager for Manager {
    fn step_type(&self) -> &'static str {
        "noop"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::Schema::default()
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        Ok((0..step.config["tasks"].as_u64().unwrap()).map(task).collect())
    }
}

fn task(n: u64) -> NewTask {
    NewTask {
        task_type: "noop",
        name: n.to_string(),
        key: None,
        payload: Value::Null,
        lane: Lane::local(),
    }
}

struct Worker;

#[async_trait]
impl JobWorker for Worker {
    fn task_type(&self) -> &'static str {
        "noop"
    }

    async fn run(&self, _job: &JobContext) -> Result<Outcome, TaskError> {
        Ok(Outcome::default())
    }
}

/// Seconds for one durable write of a page at the end of a file.
fn commit_seconds(folder: &Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("commits")).unwrap();
    let start = Instant::now();
    for _ in 0..200 {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    start.elapsed().as_secs_f64() / 200.0
}

async fn run(engine: &Engine, tasks: u64, request: &str) -> f64 {
    let mut events = engine.events();
    let step = NewStep {
        name: "noop".to_owned(),
        step_type: "noop".to_owned(),
        description: String::new(),
        config: json!({ "tasks": tasks }),
        output_tags: Vec::new(),
        depends: Vec::new(),
        on_error: "fail".to_owned(),
        always_run: false,
    };
    let new = NewRun {
        request_id: request.to_owned(),
        definition_id: "bench".to_owned(),
        name: "Bench".to_owned(),
        subject: String::new(),
        definition_text: String::new(),
        variables: Vec::new(),
        tags: Vec::new(),
        auth_id: None,
        steps: vec![step],
    };
    let start = Instant::now();
    let id: JobId = engine.submit(new).await.unwrap();
    loop {
        // The last word on a run is always sent; a lagging receiver still gets the newest.
        if let Ok(Event::Progress(progress)) = events.recv().await
            && progress.run.id == id
            && progress.run.status.is_terminal()
        {
            return start.elapsed().as_secs_f64();
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let store = Store::open(folder.path(), Access::Write, 0).await.unwrap();
        let registry = Registry::default().with_manager(Manager).with_worker(Worker);
        let engine =
            Engine::start(store.clone(), registry, Arc::new(SystemClock), EngineOptions::default())
                .await
                .unwrap();
        let mut rows = Vec::new();
        for round in 0..5 {
            let commit = commit_seconds(folder.path());
            let burst = run(&engine, BURST, &format!("burst {round}")).await;
            let mut alone = 0.0;
            for n in 0..ALONE {
                alone += run(&engine, 1, &format!("alone {round} {n}")).await;
            }
            rows.push((commit, burst, alone / f64::from(ALONE)));
        }
        rows.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (commit, burst, alone) = rows[rows.len() / 2];
        #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
        let rate = BURST as f64 / burst;
        println!("durable commits      {:>8.0} /s", 1.0 / commit);
        println!(
            "tasks in a burst     {rate:>8.0} /s   {:>6.2} tasks for each durable commit",
            rate * commit
        );
        println!(
            "one task alone       {:>8.2} ms  {:>6.2} durable commits",
            alone * 1e3,
            alone / commit
        );
        engine.stop(std::time::Duration::ZERO).await;
        store.close(0).await.unwrap();
    });
}
