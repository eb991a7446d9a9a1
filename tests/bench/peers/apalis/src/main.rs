//! apalis with its SQLite storage as one of the programs that `cargo xtask bench engine` compares.
//! Its own set-up chooses OFF, so its migrations are run here without that; jobs are looked for
//! when its hook tells of an insert, and every 500 ms, as in its documentation.

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

use apalis::prelude::*;
use apalis_sqlite::{
    Config, SqliteConnectOptions, SqlitePool, SqliteStorage, callback::HookCallbackListener,
};
use futures::StreamExt;
use protocol::{Arguments, Latency};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

/// What the handler shares with the program.
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

async fn no_op(payload: String, shared: Data<Arc<Shared>>) -> Result<(), BoxDynError> {
    if let Some(latency) = &shared.latency {
        latency.started(protocol::number_of(&payload));
    }
    if shared.left.fetch_sub(1, SeqCst) == 1 {
        shared.finished.notify_one();
    }
    Ok(())
}

async fn open(arguments: &Arguments) -> (SqlitePool, HookCallbackListener) {
    let path = arguments.dir().join("jobs.db");
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let (pool, listener) = SqliteStorage::connect_with_callback(&url).expect("a pool");
    let synchronous =
        if arguments.is_full() { SqliteSynchronous::Full } else { SqliteSynchronous::Normal };
    pool.set_connect_options(
        SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .pragma("temp_store", "MEMORY")
            .pragma("cache_size", "64000")
            .pragma("journal_size_limit", "67108864"),
    );
    SqliteStorage::migrations().run(&pool).await.expect("its tables");
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await.expect("a pragma");
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&pool).await.expect("a pragma");
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&pool).await.expect("a version");
    protocol::ready("apalis", &mode, synchronous, &version);
    (pool, listener)
}

fn storage(pool: &SqlitePool) -> SqliteStorage<String> {
    SqliteStorage::new(pool).with_config(Config::default().queue("no_op"))
}

/// Starts a worker of so many places.
fn work(pool: &SqlitePool, listener: HookCallbackListener, shared: &Arc<Shared>, places: usize) {
    let strategy = Strategy::new()
        .stream(listener.ready_chunks(Config::default().batch_size))
        .interval(Duration::from_millis(500));
    let worker = WorkerBuilder::new("bench")
        .backend(storage(pool).poll_with_strategy(strategy))
        .data(shared.clone())
        .concurrency(places)
        .build(no_op);
    tokio::spawn(async move { worker.run().await.expect("a worker that runs") });
}

async fn burn(arguments: &Arguments) {
    let (pool, listener) = open(arguments).await;
    let (jobs, batch) = (arguments.number("jobs", 0), arguments.number("batch", 1));
    let shared = Shared::new(jobs, None);
    let mut queue = storage(&pool);
    let start = Instant::now();
    for first in (0..jobs).step_by(batch) {
        if batch == 1 {
            queue.push(protocol::payload(first)).await.expect("queued");
        } else {
            let last = jobs.min(first + batch);
            let payloads = (first..last).map(protocol::payload).collect();
            queue.push_bulk(payloads).await.expect("queued");
        }
    }
    let enqueue = start.elapsed();
    let started = Instant::now();
    work(&pool, listener, &shared, arguments.number("workers", 1));
    shared.finished.notified().await;
    let sql = "SELECT EXISTS (SELECT 1 FROM Jobs WHERE status IN ('Pending', 'Queued', 'Running'))";
    while sqlx::query_scalar::<_, bool>(sql).fetch_one(&pool).await.expect("the table of jobs") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let drain = started.elapsed();
    let numbers = [
        ("enqueue_per_s", jobs as f64 / enqueue.as_secs_f64()),
        ("jobs_per_s", jobs as f64 / drain.as_secs_f64()),
    ];
    protocol::result(&numbers, &[]);
}

async fn latency(arguments: &Arguments) {
    let (pool, listener) = open(arguments).await;
    let latency = Latency::read(arguments.text("arrivals").expect("arrivals=FILE").as_ref());
    let shared = Shared::new(latency.len(), Some(latency));
    work(&pool, listener, &shared, arguments.number("workers", 16));
    let mut queue = storage(&pool);
    let (tick, mut ticks) = tokio::sync::mpsc::unbounded_channel();
    let keeper = shared.clone();
    std::thread::spawn(move || {
        let latency = keeper.latency.as_ref().expect("given");
        latency.keep(|number| tick.send(number).expect("received"));
    });
    let latency = shared.latency.as_ref().expect("given");
    while let Some(number) = ticks.recv().await {
        queue.push(protocol::payload(number)).await.expect("queued");
        latency.accepted(number);
    }
    shared.finished.notified().await;
    protocol::result(&[], &latency.samples());
}

fn main() {
    let arguments = Arguments::read();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    runtime.block_on(async {
        match arguments.program.as_str() {
            "burn" => burn(&arguments).await,
            "latency" | "wake" => latency(&arguments).await,
            "idle" => {
                let (pool, listener) = open(&arguments).await;
                work(&pool, listener, &Shared::new(1, None), 16);
                tokio::task::block_in_place(|| protocol::idle(&arguments));
            }
            other => panic!("there is no program {other}"),
        }
    });
    // Its worker has no end of its own.
    std::process::exit(0);
}
