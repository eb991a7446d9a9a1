//! SQLite: connections, migrations, one module per table. All SQL of Quaero is in this crate, and
//! only its writer writes.
//!
//! Architecture invariants, held by the schema and by [`Store::inconsistencies`]:
//! - a status moves only along the table of transitions, and its event is written with it;
//! - counters equal what they count;
//! - a running job has a lease, and a lease of another process is void;
//! - a job ends after its children, and gets none once it has ended.

mod change;
mod claim;
mod consistent;
mod control;
mod create;
mod definitions;
mod documents;
mod error;
#[cfg(feature = "failpoints")]
mod faults;
mod folder;
mod history;
mod jobs;
mod logs;
mod query;
mod recover;
mod runs;
mod schedules;
mod search;
mod state;
mod tally;
mod time;
mod views;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::future::BoxFuture;
pub use quaero_contract::DocumentId;
use sqlx::{Connection, SqlitePool};
use tokio::{
    sync::{Mutex, broadcast},
    task::JoinHandle,
};

pub use change::Change;
pub use claim::{Claimed, LaneState, Rooms};
pub use definitions::{VERSIONS_KEPT, text_hash};
pub use documents::{DocumentFilter, DocumentState, NewDocument, PreparedDocument, SaveOutcome};
pub use error::{Result, StoreError};
pub use folder::Lock;
pub use history::Keep;
pub use jobs::{Inserted, Lease, Leased, Place, TaskRow};
pub use logs::{LogRow, Logs};
pub use query::Query;
pub use recover::{POISON_AFTER, SUSPECT_AFTER};
pub use runs::{
    NewRun, NewStep, Reuse, RunLimits, RunProgress, RunState, StepConfig, StepRow, Tolerance,
};
pub use schedules::{ScheduleState, Settled, Slot};
pub use time::rfc3339;
pub use writer::Tx;

use writer::Writer;

/// What a process may do with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Take the folder's lock, bring the schema up to date and write.
    Write,
    /// Only read, beside a process that may be writing.
    Read,
}

/// The store. Cheap to clone; closed when [`Store::close`] is called on one of the clones.
#[derive(Clone, Debug)]
pub struct Store {
    folder: Arc<Path>,
    readers: SqlitePool,
    logs: Logs,
    writing: Option<Writing>,
}

#[derive(Clone, Debug)]
struct Writing {
    writer: Writer,
    epoch: i64,
    was_unclean: bool,
    held: Arc<Mutex<Option<Held>>>,
}

/// What is held until close: the lock file, and the writer's task with its connection.
#[derive(Debug)]
struct Held {
    lock: Lock,
    task: JoinHandle<sqlx::SqliteConnection>,
}

impl Store {
    /// Opens the store in a data folder, creating both if need be (for writing).
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process writes; [`StoreError::Newer`] and
    /// [`StoreError::Corrupt`] without having changed a byte; [`StoreError::Io`] if the folder
    /// cannot be used.
    pub async fn open(folder: &Path, access: Access, now_ms: i64) -> Result<Self> {
        match access {
            Access::Read => {
                folder::check_database(folder).await?;
                let readers = folder::readers(folder).await?;
                let logs = Logs::open(folder, access).await?;
                Ok(Self { folder: folder.into(), readers, logs, writing: None })
            }
            Access::Write => {
                folder::create(folder)?;
                let lock = Lock::acquire(folder)?;
                let opened = folder::open_writer(folder, now_ms).await?;
                let readers = folder::readers(folder).await?;
                let logs = Logs::open(folder, access).await?;
                let (writer, task) = Writer::start(opened.conn, opened.epoch);
                let writing = Writing {
                    writer,
                    epoch: opened.epoch,
                    was_unclean: opened.was_unclean,
                    held: Arc::new(Mutex::new(Some(Held { lock, task }))),
                };
                Ok(Self { folder: folder.into(), readers, logs, writing: Some(writing) })
            }
        }
    }

    /// Whether a folder holds a store that can be opened for reading.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        folder::holds_store(folder)
    }

    /// Runs `change` in a transaction of its own savepoint and answers after it is durable.
    /// The closure must not wait for anything but the database.
    ///
    /// # Errors
    /// What the closure returns, or that the commit failed; nothing has been changed then.
    pub async fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        self.writer()?.write(false, change).await
    }

    /// As [`Store::write`], before everything that is queued: for cancel.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_urgent<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        self.writer()?.write(true, change).await
    }

    /// What has been committed, from now on, in order.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] if this process only reads.
    pub fn changes(&self) -> Result<broadcast::Receiver<Arc<[Change]>>> {
        Ok(self.writer()?.subscribe())
    }

    fn writer(&self) -> Result<&Writer> {
        self.writing.as_ref().map(|w| &w.writer).ok_or(StoreError::ReadOnly)
    }

    /// The epoch of the process that runs the engine on this folder now, if one does.
    ///
    /// # Errors
    /// If the folder or the database cannot be read.
    pub async fn live_epoch(&self) -> Result<Option<i64>> {
        if let Some(writing) = &self.writing {
            return Ok(Some(writing.epoch));
        }
        if Lock::holder(&self.folder)?.is_none() {
            return Ok(None);
        }
        Ok(sqlx::query_scalar("SELECT max(id) FROM epochs").fetch_one(&self.readers).await?)
    }

    /// Whether this process may write.
    #[must_use]
    pub const fn writes(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether the process before this one ended without closing the store.
    #[must_use]
    pub fn was_unclean(&self) -> bool {
        self.writing.as_ref().is_some_and(|w| w.was_unclean)
    }

    /// The log of runs.
    #[must_use]
    pub const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join(folder::DATABASE)
    }

    /// The linked SQLite's version.
    #[must_use]
    pub fn sqlite_version() -> &'static str {
        folder::SQLITE_VERSION
    }

    /// Everything that contradicts what must always be true, in plain words; empty if all is well.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn inconsistencies(&self) -> Result<Vec<String>> {
        let mut found = consistent::violations(&mut *self.readers.acquire().await?).await?;
        if let Ok(writer) = self.writer() {
            let index = writer.write(false, |tx| Box::pin(consistent::check_index(tx))).await;
            found.extend(
                index.err().map(|e| format!("the search index differs from the documents: {e}")),
            );
        }
        Ok(found)
    }

    /// Writes what is queued, marks the stop as clean and closes all files. Other clones of the
    /// store get [`StoreError::Closed`] from then on.
    ///
    /// # Errors
    /// If SQLite fails. The lock is released in any case.
    pub async fn close(&self, now_ms: i64) -> Result<()> {
        let Some(writing) = &self.writing else {
            self.readers.close().await;
            self.logs.close().await;
            return Ok(());
        };
        let Some(Held { lock, task }) = writing.held.lock().await.take() else { return Ok(()) };
        self.logs.close().await;
        let epoch = writing.epoch;
        let marked = writing
            .writer
            .write(false, move |tx| {
                Box::pin(async move {
                    sqlx::query("UPDATE epochs SET stopped_ms = ? WHERE id = ?")
                        .bind(now_ms)
                        .bind(epoch)
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(())
                })
            })
            .await;
        self.readers.close().await;
        writing.writer.stop();
        if let Ok(mut conn) = task.await {
            // Folds the write-ahead log into the database, so that a copy of the file is whole.
            let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await;
            conn.close().await?;
        }
        drop(lock);
        marked
    }
}
