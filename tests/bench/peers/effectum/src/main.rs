//! effectum as one of the programs that `cargo xtask bench engine` compares. It sets NORMAL itself
//! on a connection that it keeps to itself, and means to set WAL but names another pragma; WAL is
//! set here beforehand, which the file remembers.

#[allow(dead_code)]
#[path = "../../../protocol.rs"]
mod protocol;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use effectum::{Error, Job, JobRunner, Queue, RunningJob, Worker};
use protocol::{Arguments, Latency};
use rusqlite::Connection;

/// What the handler shares with the program.
#[derive(Debug)]
struct Shared {
    latency: Option<Latency>,
    left: AtomicUsize,
    finished: tokio::sync::Notify,
}

impl Shared {
    fn new(jobs: usize, latency: Option<Latency>) -> Arc<Self> {
        Arc::new(Self { latency, left: AtomicUsize::new(jobs), finished: Default::default() })
    }
}

async fn no_op(job: RunningJob, shared: Arc<Shared>) -> Result<(), Error> {
    if let Some(latency) = &shared.latency {
        latency.started(protocol::number_of(std::str::from_utf8(&job.payload).expect("text")));
    }
    if shared.left.fetch_sub(1, SeqCst) == 1 {
        shared.finished.notify_one();
    }
    Ok(())
}

fn job(number: usize) -> Job {
    Job::builder("no_op").payload(protocol::payload(number).into_bytes()).build()
}

async fn work(queue: &Queue, shared: &Arc<Shared>, workers: usize) -> Worker {
    Worker::builder(queue, shared.clone())
        .max_concurrency(workers as u16)
        .jobs([JobRunner::builder("no_op", no_op).build()])
        .build()
        .await
        .expect("a worker")
}

async fn burn(arguments: &Arguments, queue: &Queue, database: &Connection) {
    let (jobs, batch) = (arguments.number("jobs", 0), arguments.number("batch", 1));
    let shared = Shared::new(jobs, None);
    let start = Instant::now();
    for first in (0..jobs).step_by(batch) {
        if batch == 1 {
            queue.add_job(job(first)).await.expect("queued");
        } else {
            let last = jobs.min(first + batch);
            queue.add_jobs((first..last).map(job).collect()).await.expect("queued");
        }
    }
    let enqueue = start.elapsed();
    let started = Instant::now();
    let _worker = work(queue, &shared, arguments.number("workers", 1)).await;
    shared.finished.notified().await;
    let sql = "SELECT EXISTS (SELECT 1 FROM active_jobs)";
    while database.query_row(sql, [], |row| row.get::<_, bool>(0)).expect("the table of jobs") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let drain = started.elapsed();
    let numbers = [
        ("enqueue_per_s", jobs as f64 / enqueue.as_secs_f64()),
        ("jobs_per_s", jobs as f64 / drain.as_secs_f64()),
    ];
    protocol::result(&numbers, &[]);
    std::process::exit(0);
}

async fn latency(arguments: &Arguments, queue: &Queue) {
    let latency = Latency::read(arguments.text("arrivals").expect("arrivals=FILE").as_ref());
    let shared = Shared::new(latency.len(), Some(latency));
    let _worker = work(queue, &shared, arguments.number("workers", 16)).await;
    let (tick, mut ticks) = tokio::sync::mpsc::unbounded_channel();
    let keeper = shared.clone();
    std::thread::spawn(move || {
        let latency = keeper.latency.as_ref().expect("given");
        latency.keep(|number| tick.send(number).expect("received"));
    });
    let latency = shared.latency.as_ref().expect("given");
    while let Some(number) = ticks.recv().await {
        queue.add_job(job(number)).await.expect("queued");
        latency.accepted(number);
    }
    shared.finished.notified().await;
    protocol::result(&[], &latency.samples());
    std::process::exit(0);
}

fn main() {
    let arguments = Arguments::read();
    if arguments.is_full() {
        println!(
            r#"{{"unsupported":"effectum sets NORMAL on a connection that cannot be reached"}}"#
        );
        return;
    }
    let path = arguments.dir().join("jobs.db");
    let database = Connection::open(&path).expect("a database");
    let mode: String = database
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .expect("a journal mode");
    // Its own connection says nothing; 1 is what its source sets.
    protocol::ready("effectum", &mode, 1, rusqlite::version());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    runtime.block_on(async {
        let queue = Queue::new(&path).await.expect("a queue");
        match arguments.program.as_str() {
            "burn" => burn(&arguments, &queue, &database).await,
            "latency" | "wake" => latency(&arguments, &queue).await,
            "idle" => {
                let _worker = work(&queue, &Shared::new(1, None), 16).await;
                tokio::task::block_in_place(|| protocol::idle(&arguments));
                std::process::exit(0);
            }
            other => panic!("there is no program {other}"),
        }
    });
}
