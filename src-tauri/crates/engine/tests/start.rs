//! A start on a folder with very many tasks to do and very many done: the first ones run at once, and
//! the others stay on disk. Alone in its process, whose memory is measured.
//!
//! `QUAERO_LONG` has 100,000 tasks waiting and a million events.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use quaero_contract::JobId;
use quaero_engine::{
    Engine, EngineOptions, SystemClock,
    work::{JobContext, JobWorker, NewTask, Outcome, Registry, StepManager, StepStart, TaskError},
};
use quaero_store::{Durability, LaneState, NewRun, NewStep, Place, Store, TaskRow};
use serde_json::json;
use tokio::sync::mpsc;

/// How much more memory a start may take: most of it is SQLite's cache.
const MOST_BYTES: u64 = 32 << 20;

struct Hang(mpsc::UnboundedSender<JobId>);

impl StepManager for Hang {
    fn step_type(&self) -> &'static str {
        "hang"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::Schema::default()
    }

    fn first_tasks(&self, _: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl JobWorker for Hang {
    fn task_type(&self) -> &'static str {
        "hang"
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        // The test may have seen enough.
        let _ = self.0.send(job.id);
        std::future::pending().await
    }
}

/// A run with one open step of so many tasks of so many bytes.
async fn make_run(store: &Store, name: &'static str, tasks: usize, bytes: usize) -> Place {
    let run = NewRun {
        request_id: name.to_owned(),
        definition_id: name.to_owned(),
        name: name.to_owned(),
        steps: vec![NewStep {
            name: "step".to_owned(),
            step_type: "hang".to_owned(),
            config: json!({}),
            ..NewStep::default()
        }],
        ..NewRun::default()
    };
    let place = store.write(move |tx| {
        let (run, _) = tx.create_run(&run, 1)?;
        let step = tx.run_state(run)?.unwrap().steps[0].id;
        tx.open_step(step, 1)?;
        Ok(Place { run, step, parent: step, depth: 0 })
    });
    let place = place.await.unwrap();
    for start in (0..tasks).step_by(1_000) {
        let rows: Vec<TaskRow> = (start..tasks.min(start + 1_000))
            .map(|n| TaskRow {
                task_type: "hang".to_owned(),
                name: n.to_string(),
                key: Some(n.to_string()),
                payload: "x".repeat(bytes).into(),
                lane: "local".to_owned(),
                lane_limit: u32::MAX,
                lane_delay_ms: 0,
                priority: 0,
            })
            .collect();
        store.write(move |tx| tx.insert_tasks(place, &rows, None, 1)).await.unwrap();
    }
    place
}

/// Does some of the tasks: each leaves two events behind.
async fn do_tasks(store: &Store, place: Place, count: usize) {
    for _ in (0..count).step_by(1_000) {
        let done = store.write(move |tx| {
            let claimed =
                tx.claim(place.run, "local", LaneState::default(), &Vec::new(), 1_000, 2)?;
            let leases: Vec<_> = claimed.iter().map(|task| task.lease).collect();
            tx.complete_tasks(&leases, 3)
        });
        assert_eq!(done.await.unwrap().0, 1_000);
    }
}

/// A figure of this process, in bytes; see proc_pid_status(5).
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

async fn check(folder: &Path, waiting: usize) {
    // From here on the peak counts anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, begun) = (memory("VmRSS"), Instant::now());
    let (started, mut starts) = mpsc::unbounded_channel();
    let store = Store::open_writer(folder, Durability::System, 4).await.unwrap();
    let registry =
        Registry::default().with_manager(Hang(started.clone())).with_worker(Hang(started));
    let options = EngineOptions::default();
    let clock = Arc::new(SystemClock);
    let engine = Engine::start(store.clone(), registry, clock, options).await.unwrap();
    for _ in 0..options.width {
        starts.recv().await.unwrap();
    }
    let (took, more) = (begun.elapsed(), memory("VmHWM").saturating_sub(before));
    let pending = store.list_runs(None, 1).await.unwrap()[0].jobs.pending;
    assert_eq!(pending as usize, waiting - options.width);
    let what = format!("unclean: {}, {took:?}, {} MiB", store.was_unclean(), more >> 20);
    assert!(more < MOST_BYTES, "too much was read into memory: {what}");
    assert!(took < Duration::from_secs(15), "it takes too long: {what}");
    engine.stop(Duration::ZERO).await;
    store.close(5).await.unwrap();
}

#[tokio::test]
async fn a_start_does_not_read_all_that_is_there() {
    let is_long = std::env::var_os("QUAERO_LONG").is_some();
    // Those that wait are far more bytes than a start may take.
    let (waiting, bytes, done) =
        if is_long { (100_000, 2_000, 500_000) } else { (5_000, 12_000, 5_000) };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_writer(folder.path(), Durability::System, 0).await.unwrap();
    let past = make_run(&store, "past", done + 1, 10).await;
    do_tasks(&store, past, done).await;
    store.write(move |tx| tx.pause_run(past.run, true, 4)).await.unwrap();
    make_run(&store, "waiting", waiting, bytes).await;
    store.close(4).await.unwrap();
    check(folder.path(), waiting).await;
}
