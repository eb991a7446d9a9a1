//! The floor: what SQLite itself takes for the rows that Quaero's engine writes for each job, by
//! prepared statements in the store's own schema, with no engine around it. `drain` is how many
//! jobs share a transaction, which ends these jobs and starts as many others.

#[allow(dead_code)]
#[path = "../../../protocol.rs"]
mod protocol;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use protocol::Arguments;
use rusqlite::{Connection, Result, params};

/// A run of one step, as the engine writes it; job 1 and job 2.
const RUN: &str = "
    INSERT INTO epochs (id, pid, started_ms) VALUES (1, 1, 1);
    INSERT INTO definition_texts (hash, text) VALUES ('h', '');
    INSERT INTO jobs (id, run_id, kind, type, name, created_ms, changed_ms)
        VALUES (1, 1, 'parent', 'bench', 'Bench', 1, 1);
    INSERT INTO runs (id, request_id, definition_id, definition_hash, epoch) VALUES (1, 'r', 'bench', 'h', 1);
    INSERT INTO jobs (id, run_id, parent_id, step_id, kind, type, name, created_ms, changed_ms)
        VALUES (2, 1, 1, 2, 'step', 'bench', 's', 1, 1);
    INSERT INTO steps (id, run_id, ordinal, config, depends, on_error, always_run)
        VALUES (2, 1, 0, '{}', '[]', 'fail', 0);
    INSERT INTO counters (job_id) VALUES (1), (2);
    UPDATE jobs SET n_children = 1, n_open = 1 WHERE id = 1;
    UPDATE jobs SET status = 'waiting', changed_ms = 1 WHERE id IN (1, 2);";

const QUEUE: &str = "
    INSERT INTO jobs (run_id, parent_id, step_id, kind, type, name, task_key, payload, created_ms, changed_ms)
    VALUES (1, 2, 2, 'task', 'no_op', ?1, ?2, ?3, 1, 1)";

const START: &str = "
    UPDATE jobs SET status = 'running', attempt = attempt + 1, lease_epoch = 1, started_ms = 2, changed_ms = 2
    WHERE id = ?1";

const END: &str = "
    UPDATE jobs SET status = 'completed', lease_epoch = NULL, finished_ms = 3, changed_ms = 3
    WHERE id = ?1";

/// Counters move once for all jobs of a transaction. Events are written by the schema's trigger.
const COUNT: &str = "
    UPDATE counters SET total = total + ?1, pending = pending + ?2, running = running + ?3,
        completed = completed + ?4 WHERE job_id IN (1, 2)";
const OPEN: &str =
    "UPDATE jobs SET n_children = n_children + ?1, n_open = n_open + ?2 WHERE id = 2";

fn migrations() -> Vec<PathBuf> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../src-tauri/crates/store/migrations");
    let files = fs::read_dir(folder).expect("the store's migrations");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "sql"));
    files.sort();
    files
}

/// Set as the store sets its writing connection, as far as it matters for statements without a `LIMIT ?`.
fn open(arguments: &Arguments) -> Result<Connection> {
    let connection = Connection::open(arguments.dir().join("jobs.db"))?;
    connection.execute_batch(&format!(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = {};
         PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; PRAGMA cache_size = -16000;
         PRAGMA wal_autocheckpoint = 8000; PRAGMA journal_size_limit = 67108864;",
        if arguments.is_full() { "FULL" } else { "NORMAL" }
    ))?;
    for path in migrations() {
        connection.execute_batch(&fs::read_to_string(path).expect("a migration"))?;
    }
    connection.execute_batch(RUN)?;
    protocol::ready(
        "floor",
        &connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))?,
        connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?,
        rusqlite::version(),
    );
    Ok(connection)
}

/// How many jobs are new, start and end in one transaction.
#[derive(Default)]
struct Moves {
    new: i64,
    starting: i64,
    ended: i64,
}

impl Moves {
    fn write(&self, connection: &Connection) -> Result<()> {
        let (new, starting, ended) = (self.new, self.starting, self.ended);
        let mut count = connection.prepare_cached(COUNT)?;
        count.execute(params![new, new - starting, starting - ended, ended])?;
        connection.prepare_cached(OPEN)?.execute(params![new, new - ended])?;
        Ok(())
    }
}

fn burn(arguments: &Arguments) -> Result<()> {
    let connection = open(arguments)?;
    let jobs = arguments.number("jobs", 0);
    let (batch, drain) = (arguments.number("batch", 1), arguments.number("drain", 16));

    let start = Instant::now();
    for first in (0..jobs).step_by(batch) {
        let last = jobs.min(first + batch);
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut queue = connection.prepare_cached(QUEUE)?;
        for n in first..last {
            let payload = format!("\"{}\"", protocol::payload(n));
            queue.execute(params![n.to_string(), format!("job {n}"), payload])?;
        }
        Moves { new: (last - first) as i64, ..Moves::default() }.write(&connection)?;
        connection.execute_batch("COMMIT")?;
    }
    let enqueue = start.elapsed();

    let ids: Vec<i64> = connection
        .prepare("SELECT id FROM jobs WHERE kind = 'task' ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let started = Instant::now();
    let mut running: &[i64] = &[];
    let mut waiting = ids.as_slice();
    while !running.is_empty() || !waiting.is_empty() {
        let (next, rest) = waiting.split_at(drain.min(waiting.len()));
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for (jobs, sql) in [(running, END), (next, START)] {
            let mut update = connection.prepare_cached(sql)?;
            for id in jobs {
                update.execute([id])?;
            }
        }
        let (starting, ended) = (next.len() as i64, running.len() as i64);
        Moves { new: 0, starting, ended }.write(&connection)?;
        connection.execute_batch("COMMIT")?;
        (running, waiting) = (next, rest);
    }
    let drained = started.elapsed();
    let completed: i64 = connection.query_row(
        "SELECT count(*) FROM jobs WHERE kind = 'task' AND status = 'completed'",
        [],
        |row| row.get(0),
    )?;
    assert_eq!(completed as usize, jobs, "all jobs are done");
    let (counted, events): (i64, i64) = connection.query_row(
        "SELECT (SELECT completed FROM counters WHERE job_id = 1), (SELECT count(*) FROM events)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    // Two for the run and the step.
    assert_eq!((counted, events), (completed, 2 * completed + 2), "as the engine leaves it");
    let numbers = [
        ("enqueue_per_s", jobs as f64 / enqueue.as_secs_f64()),
        ("jobs_per_s", jobs as f64 / drained.as_secs_f64()),
    ];
    protocol::result(&numbers, &[]);
    Ok(())
}

fn main() -> Result<()> {
    let arguments = Arguments::read();
    assert_eq!(arguments.program, "burn", "the floor has no other program");
    burn(&arguments)
}
