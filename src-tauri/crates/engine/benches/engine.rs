//! The engine as one of the programs that `cargo xtask bench engine` compares; the arguments and the
//! output are those of tests/bench/README.md.
//!
//! A job is a task of a run. To queue one is [`JobContext::spawn`], by a feeding task of the same
//! run, which returns after the commit; `wake` submits whole runs instead.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark that cannot go on has failed, and prints its figures"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock and keeps time")]

#[allow(unreachable_pub, clippy::cast_possible_truncation, reason = "a file of several programs")]
#[path = "../../../../tests/bench/protocol.rs"]
mod protocol;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use protocol::{Arguments, Latency};
use quaero_contract::{JobId, JobKind, JobStatus, OnError};
use quaero_engine::{
    Engine, EngineOptions, Event, SystemClock,
    work::{JobContext, JobWorker, NewTask, Outcome, Registry, StepManager, StepStart, TaskError},
};
use quaero_store::{Change, Durability, NewRun, NewStep, Store};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// How many tasks run at the same time where the program does not say.
const WIDTH: usize = 16;

/// What the workers share with the program.
#[derive(Default)]
struct Shared {
    latency: Option<Latency>,
    /// When each job of the feeding task is due.
    ticks: Mutex<Option<mpsc::UnboundedReceiver<usize>>>,
    /// Where the feeding task of `burn` says that all is queued, and how long it took.
    fed: Mutex<Option<oneshot::Sender<Duration>>>,
    /// It ends at once when it is run again.
    is_fed: AtomicBool,
    /// When the worker of each task began and ended, in order, where that is asked for.
    spans: Mutex<Vec<(Instant, Instant)>>,
}

/// A step of one task, whose type and payload are the step's configuration.
struct Manager;

impl StepManager for Manager {
    fn step_type(&self) -> &'static str {
        "bench"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::Schema::default()
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let task_type = ["no_op", "feed", "tree", "fibonacci"]
            .into_iter()
            .find(|name| step.config["task"] == *name)
            .unwrap();
        Ok(vec![task(task_type, 0, step.config["payload"].clone())])
    }
}

fn task(task_type: &'static str, number: usize, payload: Value) -> NewTask {
    NewTask { task_type, name: number.to_string(), payload, ..NewTask::default() }
}

/// What is spawned needs a key.
fn no_op(number: usize) -> NewTask {
    let task = task("no_op", number, protocol::payload(number).into());
    NewTask { key: Some(task.name.clone()), ..task }
}

struct NoOp(Arc<Shared>);

#[async_trait]
impl JobWorker for NoOp {
    fn task_type(&self) -> &'static str {
        "no_op"
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        if let Some(latency) = &self.0.latency {
            latency.started(protocol::number_of(job.payload.as_str().unwrap()));
        }
        Ok(Outcome::default())
    }
}

/// Queues no-ops: all of them in batches, or each one when it is due.
struct Feed(Arc<Shared>);

#[async_trait]
impl JobWorker for Feed {
    fn task_type(&self) -> &'static str {
        "feed"
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let ticks = self.0.ticks.lock().unwrap().take();
        if let Some(mut ticks) = ticks {
            while let Some(number) = ticks.recv().await {
                job.spawn(vec![no_op(number)]).await?;
                self.0.latency.as_ref().unwrap().accepted(number);
            }
        } else if !self.0.is_fed.swap(true, SeqCst) {
            let number = |key: &str| usize::try_from(job.payload[key].as_u64().unwrap()).unwrap();
            let (jobs, batch) = (number("jobs"), number("batch"));
            let start = Instant::now();
            for first in (0..jobs).step_by(batch) {
                let last = jobs.min(first + batch);
                job.spawn((first..last).map(no_op).collect()).await?;
            }
            let fed = self.0.fed.lock().unwrap().take();
            fed.unwrap().send(start.elapsed()).unwrap();
            // Holds the only place until the engine stops, so that none of them starts.
            std::future::pending::<()>().await;
        }
        Ok(Outcome::default())
    }
}

/// The first task has `children` children, and the nth of them has n mod 4.
struct Tree(Arc<Shared>);

#[async_trait]
impl JobWorker for Tree {
    fn task_type(&self) -> &'static str {
        "tree"
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let start = Instant::now();
        let width = match job.depth {
            0 => job.payload.as_u64().unwrap(),
            1 => job.payload.as_u64().unwrap() % 4,
            _ => 0,
        };
        let children =
            (0..usize::try_from(width).unwrap()).map(|n| task("tree", n, n.into())).collect();
        self.0.spans.lock().unwrap().push((start, Instant::now()));
        Ok(Outcome { children, ..Outcome::default() })
    }
}

struct Fibonacci(Arc<Shared>);

fn fibonacci(n: u64) -> u64 {
    if n < 2 { n } else { fibonacci(std::hint::black_box(n - 1)) + fibonacci(n - 2) }
}

#[async_trait]
impl JobWorker for Fibonacci {
    fn task_type(&self) -> &'static str {
        "fibonacci"
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let start = Instant::now();
        std::hint::black_box(fibonacci(job.payload.as_u64().unwrap()));
        self.0.spans.lock().unwrap().push((start, Instant::now()));
        Ok(Outcome::default())
    }
}

/// The one place that chooses how durable a commit is.
async fn open(dir: &Path, is_full: bool) -> Store {
    let durability = if is_full { Durability::Disk } else { Durability::System };
    Store::open_writer(dir, durability, 0).await.unwrap()
}

async fn start(store: &Store, shared: &Arc<Shared>, width: usize) -> Engine {
    let registry = Registry::default()
        .with_manager(Manager)
        .with_worker(NoOp(shared.clone()))
        .with_worker(Feed(shared.clone()))
        .with_worker(Tree(shared.clone()))
        .with_worker(Fibonacci(shared.clone()));
    let options = EngineOptions { width, ..EngineOptions::default() };
    Engine::start(store.clone(), registry, Arc::new(SystemClock), options).await.unwrap()
}

fn step(name: &str, task: &str, payload: Value, depends: Vec<String>) -> NewStep {
    NewStep {
        name: name.to_owned(),
        step_type: "bench".to_owned(),
        config: json!({ "task": task, "payload": payload }),
        depends,
        on_error: OnError::Fail,
        // The feeding task works as long as the program.
        task_timeout_ms: 3_600_000,
        ..NewStep::default()
    }
}

fn run(request: &str, steps: Vec<NewStep>) -> NewRun {
    NewRun {
        request_id: request.to_owned(),
        definition_id: "bench".to_owned(),
        name: "Bench".to_owned(),
        steps,
        ..NewRun::default()
    }
}

/// Waits until a run has ended, and says how often it was told of.
async fn end_of(store: &Store, engine: &Engine, run: JobId) -> usize {
    let mut events = engine.events();
    let mut told = 0;
    if store.run_progress(run).await.unwrap().unwrap().status.is_terminal() {
        return told;
    }
    loop {
        // A receiver that lags still gets the newest, and the last word is always sent.
        if let Ok(Event::Progress(progress)) = events.recv().await
            && progress.run.id == run
        {
            told += 1;
            if progress.run.status.is_terminal() {
                return told;
            }
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Queues jobs while none can start, then starts the workers and waits for the last commit.
async fn burn(arguments: &Arguments) {
    let store = open(&arguments.dir(), arguments.is_full()).await;
    let (fed, all_queued) = oneshot::channel();
    let shared = Arc::new(Shared { fed: Mutex::new(Some(fed)), ..Shared::default() });
    let jobs = arguments.number("jobs", 0);
    let payload = json!({ "jobs": jobs, "batch": arguments.number("batch", 1) });
    let engine = start(&store, &shared, 1).await;
    let id = engine.submit(run("burn", vec![step("s", "feed", payload, vec![])])).await.unwrap();
    let enqueue = all_queued.await.unwrap();
    engine.stop(Duration::ZERO).await;

    let mut progress_us = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        let progress = store.run_progress(id).await.unwrap().unwrap();
        progress_us.push(micros(start.elapsed()));
        assert_eq!(progress.jobs.pending as usize, jobs + 1, "all jobs wait");
    }

    let started = Instant::now();
    let engine = start(&store, &shared, arguments.number("workers", 1)).await;
    end_of(&store, &engine, id).await;
    let drain = started.elapsed();
    let progress = store.run_progress(id).await.unwrap().unwrap();
    assert_eq!(progress.jobs.completed as usize, jobs + 1, "all jobs are done");
    let numbers = [
        ("enqueue_per_s", jobs as f64 / enqueue.as_secs_f64()),
        ("jobs_per_s", jobs as f64 / drain.as_secs_f64()),
    ];
    protocol::result(&numbers, &[("progress_us", progress_us)]);
    engine.stop(Duration::ZERO).await;
    store.close(0).await.unwrap();
}

/// Each job is queued when it is due: as a task of one run, or as a run of its own.
async fn latency(arguments: &Arguments, as_runs: bool) {
    let store = open(&arguments.dir(), arguments.is_full()).await;
    let arrivals = arguments.text("arrivals").expect("arrivals=FILE");
    let (tick, mut ticks) = mpsc::unbounded_channel();
    let shared =
        Arc::new(Shared { latency: Some(Latency::read(arrivals.as_ref())), ..Shared::default() });
    let engine = start(&store, &shared, WIDTH).await;
    let keeper = shared.clone();
    let keep = move || {
        let latency = keeper.latency.as_ref().unwrap();
        latency.keep(|number| tick.send(number).unwrap());
    };
    let latency = shared.latency.as_ref().unwrap();
    if as_runs {
        std::thread::spawn(keep);
        let mut last = None;
        while let Some(number) = ticks.recv().await {
            let payload = protocol::payload(number).into();
            let steps = vec![step("s", "no_op", payload, vec![])];
            last = Some(engine.submit(run(&number.to_string(), steps)).await.unwrap());
            latency.accepted(number);
        }
        end_of(&store, &engine, last.unwrap()).await;
    } else {
        *shared.ticks.lock().unwrap() = Some(ticks);
        let steps = vec![step("s", "feed", Value::Null, vec![])];
        let id = engine.submit(run("latency", steps)).await.unwrap();
        std::thread::spawn(keep);
        end_of(&store, &engine, id).await;
    }
    protocol::result(&[], &latency.samples());
    engine.stop(Duration::ZERO).await;
    store.close(0).await.unwrap();
}

async fn idle(arguments: &Arguments) {
    let store = open(&arguments.dir(), arguments.is_full()).await;
    let engine = start(&store, &Arc::default(), WIDTH).await;
    // In a thread of its own, so that the runtime's timer is not among what is counted.
    let words = Arguments::read();
    let (done, wait) = oneshot::channel();
    std::thread::spawn(move || {
        protocol::idle(&words);
        done.send(()).unwrap();
    });
    wait.await.unwrap();
    engine.stop(Duration::ZERO).await;
    store.close(0).await.unwrap();
}

async fn tree(arguments: &Arguments) {
    let store = open(&arguments.dir(), arguments.is_full()).await;
    let shared = Arc::<Shared>::default();
    let engine = start(&store, &shared, arguments.number("workers", WIDTH)).await;
    let children = arguments.number("children", 10_000);
    let start = Instant::now();
    let steps = vec![step("s", "tree", children.into(), vec![])];
    let id = engine.submit(run("tree", steps)).await.unwrap();
    let told = end_of(&store, &engine, id).await;
    let end = Instant::now();
    let jobs = store.run_progress(id).await.unwrap().unwrap().jobs.completed;
    let last = shared.spans.lock().unwrap().iter().map(|span| span.1).max().unwrap();
    let seconds = (end - start).as_secs_f64();
    let numbers = [
        ("total_ms", seconds * 1e3),
        ("jobs_per_s", f64::from(jobs) / seconds),
        ("last_child_to_event_us", micros(end - last)),
        ("events_per_s", told as f64 / seconds),
    ];
    protocol::result(&numbers, &[]);
    engine.stop(Duration::ZERO).await;
    store.close(0).await.unwrap();
}

/// Steps one after the other, each of one task.
async fn flow(arguments: &Arguments) {
    let store = open(&arguments.dir(), arguments.is_full()).await;
    let shared = Arc::<Shared>::default();
    let engine = start(&store, &shared, WIDTH).await;
    let steps: Vec<NewStep> = (0..arguments.number("steps", 40))
        .map(|n| {
            let depends = n.checked_sub(1).map(|before| before.to_string()).into_iter().collect();
            step(&n.to_string(), "fibonacci", arguments.number("fibonacci", 10).into(), depends)
        })
        .collect();
    // A thread of its own notes when the end of each step was committed, as the commit is told.
    let mut changes = store.changes().unwrap();
    let told = std::thread::spawn(move || {
        let mut told = Vec::new();
        loop {
            let Ok(commit) = changes.blocking_recv() else { return told };
            let at = Instant::now();
            for change in commit.iter() {
                match change {
                    Change::Status {
                        kind: JobKind::Step, status: JobStatus::Completed, ..
                    } => {
                        told.push(at);
                    }
                    Change::Status { kind: JobKind::Parent, status, .. }
                        if status.is_terminal() =>
                    {
                        return told;
                    }
                    _ => {}
                }
            }
        }
    });
    let start = Instant::now();
    let id = engine.submit(run("flow", steps)).await.unwrap();
    end_of(&store, &engine, id).await;
    let told = told.join().unwrap();
    let total = start.elapsed();
    let spans = shared.spans.lock().unwrap().clone();
    let computing: Duration = spans.iter().map(|(start, end)| *end - *start).sum();
    let between = spans.windows(2).map(|pair| micros(pair[1].0 - pair[0].1)).collect();
    let after_commit =
        told.iter().zip(&spans[1..]).map(|(told, (start, _))| micros(*start - *told)).collect();
    let numbers =
        [("total_ms", micros(total) / 1e3), ("beyond_work_ms", micros(total - computing) / 1e3)];
    protocol::result(&numbers, &[("transition_us", between), ("commit_to_start_us", after_commit)]);
    engine.stop(Duration::ZERO).await;
    store.close(0).await.unwrap();
}

fn main() {
    let arguments = Arguments::read();
    if arguments.program.is_empty() {
        println!("One of the programs of `cargo xtask bench engine`; see tests/bench/README.md.");
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // What the store sets.
    let synchronous = if arguments.is_full() { 2 } else { 1 };
    protocol::ready("quaero", "wal", synchronous, Store::sqlite_version());
    runtime.block_on(async {
        match arguments.program.as_str() {
            "burn" => burn(&arguments).await,
            "latency" => latency(&arguments, false).await,
            "wake" => latency(&arguments, true).await,
            "idle" => idle(&arguments).await,
            "tree" => tree(&arguments).await,
            "flow" => flow(&arguments).await,
            other => panic!("there is no program {other}"),
        }
    });
}
