//! The log of runs, in a database of its own that may be thrown away: pruned by count, written in
//! batches, and never in the way of the work it tells of.

use std::{path::Path, sync::Arc};

use quaero_contract::{JobId, LogLevel, LogLine, LogPage, LogQuery};
use sqlx::{
    QueryBuilder, Row, Sqlite, SqlitePool,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use tokio::{
    sync::{Mutex, broadcast, mpsc},
    task::JoinHandle,
};

use crate::{Access, error::Result, folder, time::rfc3339};

const FILE: &str = "logs.db";
const LINES_KEPT: i64 = 500_000;
/// So many lines may be written before the oldest are removed again.
const PRUNE_EVERY: usize = 10_000;
const MAX_MESSAGE: usize = 4_000;
const BATCH: usize = 500;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations-logs");

/// A line to write.
#[derive(Clone, Debug)]
pub struct LogRow {
    /// The run.
    pub run: JobId,
    /// The job that says it.
    pub job: Option<JobId>,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says. Line breaks and control characters become spaces.
    pub message: String,
}

/// The log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Logs {
    pool: Option<SqlitePool>,
    queue: Option<mpsc::Sender<LogRow>>,
    written: broadcast::Sender<Arc<[(JobId, LogLine)]>>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Logs {
    /// Opens the log. One that is damaged is set aside: it must never keep the program from starting.
    pub(crate) async fn open(data: &Path, access: Access) -> Result<Self> {
        let path = data.join(FILE);
        let (written, _) = broadcast::channel(256);
        let logs = |pool, queue, task| Self {
            pool,
            queue,
            written: written.clone(),
            task: Arc::new(Mutex::new(task)),
        };
        if access == Access::Read {
            return Ok(logs(connect(&path, true).await.ok(), None, None));
        }
        let pool = match prepare(&path).await {
            Ok(pool) => pool,
            // Nothing is wrong with it.
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the log is damaged; starting a new one");
                for suffix in ["", "-wal", "-shm"] {
                    let old = data.join(format!("{FILE}{suffix}"));
                    // What cannot be moved aside shows up as the error of the second attempt.
                    let _ = std::fs::rename(&old, data.join(format!("{FILE}.damaged{suffix}")));
                }
                prepare(&path).await?
            }
        };
        folder::restrict(&path)?;
        let (queue, rows) = mpsc::channel(10_000);
        let task = tokio::spawn(write_all(pool.clone(), rows, written.clone()));
        Ok(logs(Some(pool), Some(queue), Some(task)))
    }

    /// Queues a line. When lines come faster than they can be written, the newest are dropped:
    /// the log must not hold up the work.
    pub fn write(&self, row: LogRow) {
        if let Some(queue) = &self.queue
            && queue.try_send(row).is_err()
        {
            tracing::debug!("a log line was dropped");
        }
    }

    /// The lines that are written from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<[(JobId, LogLine)]>> {
        self.written.subscribe()
    }

    /// Removes the lines of these runs.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn forget(&self, runs: &[JobId]) -> Result<()> {
        let Some(pool) = &self.pool else { return Ok(()) };
        let ids: Vec<i64> = runs.iter().map(|run| run.0).collect();
        sqlx::query("DELETE FROM log WHERE run_id IN (SELECT value FROM json_each(?))")
            .bind(serde_json::to_string(&ids).expect("numbers are plain data"))
            .execute(pool)
            .await?;
        Ok(())
    }

    /// Lines of a run, oldest first.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn read(&self, query: &LogQuery) -> Result<LogPage> {
        let Some(pool) = &self.pool else { return Ok(LogPage { lines: Vec::new(), more: false }) };
        let limit = query.limit.clamp(1, 5_000);
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT seq, job_id, at_ms, level, message FROM log WHERE run_id = ",
        );
        sql.push_bind(query.run.0).push(" AND level >= ").push_bind(level_number(query.min_level));
        if let Some(job) = query.job {
            sql.push(" AND job_id = ").push_bind(job.0);
        }
        match query.after {
            Some(after) => {
                sql.push(" AND seq > ").push_bind(i64::from(after)).push(" ORDER BY seq")
            }
            None => sql.push(" ORDER BY seq DESC"),
        };
        sql.push(" LIMIT ").push_bind(limit + 1);
        let rows = sql.build().fetch_all(pool).await?;
        let mut lines =
            rows.iter().map(line).collect::<std::result::Result<Vec<_>, sqlx::Error>>()?;
        let more = lines.len() > limit as usize;
        lines.truncate(limit as usize);
        if query.after.is_none() {
            lines.reverse();
        }
        Ok(LogPage { lines, more })
    }

    /// Writes what is queued and closes the file.
    pub(crate) async fn close(&self) {
        let task = self.task.lock().await.take();
        if let (Some(queue), Some(task)) = (&self.queue, task) {
            // An empty line from no run tells the writer to stop.
            let stop = LogRow {
                run: JobId(0),
                job: None,
                at_ms: 0,
                level: LogLevel::Debug,
                message: String::new(),
            };
            if queue.send(stop).await.is_ok() {
                let _ = task.await;
            }
        }
        if let Some(pool) = &self.pool {
            pool.close().await;
        }
    }
}

async fn connect(path: &Path, read_only: bool) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(!read_only)
        .read_only(read_only)
        .busy_timeout(std::time::Duration::from_secs(5));
    let options = if read_only {
        options
    } else {
        options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal)
    };
    SqlitePoolOptions::new()
        .max_connections(2)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
}

async fn prepare(path: &Path) -> Result<SqlitePool> {
    let pool = connect(path, false).await?;
    let migrated = MIGRATIONS.run(&pool).await.map_err(|e| sqlx::Error::Migrate(Box::new(e)));
    let ready = match migrated {
        Ok(()) => prune(&pool).await,
        Err(error) => Err(error),
    };
    if ready.is_err() {
        // A file that is still open must not be moved aside.
        pool.close().await;
    }
    ready?;
    Ok(pool)
}

async fn prune(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM log WHERE seq <= (SELECT max(seq) FROM log) - ?")
        .bind(LINES_KEPT)
        .execute(pool)
        .await?;
    Ok(())
}

async fn write_all(
    pool: SqlitePool,
    mut rows: mpsc::Receiver<LogRow>,
    written: broadcast::Sender<Arc<[(JobId, LogLine)]>>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut since_pruned = 0;
    while rows.recv_many(&mut batch, BATCH).await > 0 {
        let stop = batch.iter().any(|row| row.run.0 == 0);
        batch.retain(|row| row.run.0 != 0);
        if !batch.is_empty() {
            match insert(&pool, &batch).await {
                Ok(lines) => {
                    since_pruned += lines.len();
                    // Without a listener there is nobody to tell.
                    let _ = written.send(lines.into());
                }
                Err(error) => tracing::warn!(%error, "log lines could not be written"),
            }
        }
        if stop {
            return;
        }
        if since_pruned >= PRUNE_EVERY {
            since_pruned = 0;
            if let Err(error) = prune(&pool).await {
                tracing::warn!(%error, "old log lines could not be removed");
            }
        }
        batch.clear();
    }
}

async fn insert(pool: &SqlitePool, batch: &[LogRow]) -> Result<Vec<(JobId, LogLine)>, sqlx::Error> {
    let mut sql =
        QueryBuilder::<Sqlite>::new("INSERT INTO log (run_id, job_id, at_ms, level, message) ");
    sql.push_values(batch, |mut values, row| {
        values
            .push_bind(row.run.0)
            .push_bind(row.job.map(|job| job.0))
            .push_bind(row.at_ms)
            .push_bind(level_number(row.level))
            .push_bind(clean(&row.message));
    });
    sql.push(" RETURNING seq, run_id, job_id, at_ms, level, message");
    let rows = sql.build().fetch_all(pool).await?;
    rows.iter().map(|row| Ok((JobId(row.try_get("run_id")?), line(row)?))).collect()
}

/// One line, without control characters that could disguise it.
fn clean(message: &str) -> String {
    message.chars().take(MAX_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

const fn level_number(level: LogLevel) -> i64 {
    match level {
        LogLevel::Debug => 0,
        LogLevel::Info => 1,
        LogLevel::Warn => 2,
        LogLevel::Error => 3,
    }
}

fn line(row: &SqliteRow) -> std::result::Result<LogLine, sqlx::Error> {
    Ok(LogLine {
        seq: row.try_get("seq")?,
        at: rfc3339(row.try_get("at_ms")?),
        level: match row.try_get::<i64, _>("level")? {
            0 => LogLevel::Debug,
            1 => LogLevel::Info,
            2 => LogLevel::Warn,
            _ => LogLevel::Error,
        },
        job_id: row.try_get::<Option<i64>, _>("job_id")?.map(JobId),
        message: row.try_get("message")?,
    })
}
