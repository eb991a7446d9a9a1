//! What can go wrong with the store.

use std::{path::PathBuf, sync::Arc};

use sqlx::migrate::MigrateError;

/// An error of the store. Cheap to clone, because one failed commit fails every command in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process runs the engine on this data folder.
    #[error("Process {pid} is already running the engine on {}.", folder.display())]
    Locked {
        /// The data folder.
        folder: PathBuf,
        /// The other process, 0 if it did not say.
        pid: u32,
    },
    /// The database was written by a newer version of Quaero.
    #[error("{} was written by a newer version of Quaero (format {found}, this one knows {known}).", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The database is damaged, or is not one, or not one that a version of Quaero has made.
    #[error("The database {} cannot be read: {detail}.", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The folder or a file cannot be used.
    #[error("{}: {source}.", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// Another program keeps the database to itself.
    #[error("Another program has locked the database `quaero.db` in the data folder.")]
    InUse,
    /// The disk is full.
    #[error("The disk that holds the data folder is full.")]
    Full,
    /// The disk or the file has become read-only under this process.
    #[error("The database cannot be written at present: {0}.")]
    Unwritable(String),
    /// This process opened the folder for reading only.
    #[error("The data folder is open for reading only.")]
    ReadOnly,
    /// Another process has begun to write, although this one has the folder's lock: the lock file was
    /// removed, or it does not work there.
    #[error(
        "Process {pid} has taken over the data folder, so this one does not write to it any more."
    )]
    Superseded {
        /// The other process.
        pid: u32,
    },
    /// The store has been closed.
    #[error("The store is closed.")]
    Closed,
    /// An earlier change has failed and cannot be undone at present.
    #[error("A change that failed cannot be undone at present.")]
    Unsettled,
    /// A writing closure panicked. Its changes were undone.
    #[error("A change to the store failed unexpectedly: {0}.")]
    Panicked(String),
    /// Anything else that SQLite reports.
    #[error("The database reports: {message}.")]
    Database {
        /// SQLite's extended result code, if it is one of SQLite's.
        code: Option<i32>,
        /// What it says.
        message: String,
    },
}

/// SQLite's result codes that need a decision; see <https://sqlite.org/rescode.html>.
pub(crate) mod code {
    pub(crate) const ERROR: i32 = 1;
    pub(crate) const BUSY: i32 = 5;
    pub(crate) const LOCKED: i32 = 6;
    pub(crate) const NOMEM: i32 = 7;
    pub(crate) const READONLY: i32 = 8;
    pub(crate) const INTERRUPT: i32 = 9;
    pub(crate) const IOERR: i32 = 10;
    pub(crate) const CORRUPT: i32 = 11;
    pub(crate) const FULL: i32 = 13;
    pub(crate) const CANTOPEN: i32 = 14;
    pub(crate) const CONSTRAINT: i32 = 19;
    pub(crate) const NOTADB: i32 = 26;
    /// Extended: only the search index is damaged, which can be made anew.
    pub(crate) const CORRUPT_VTAB: i32 = 267;
    /// Extended: the file ends where it must not.
    pub(crate) const IOERR_SHORT_READ: i32 = 522;
    /// Extended: a change was cut off, and only a writer may undo it.
    pub(crate) const READONLY_ROLLBACK: i32 = 776;
}

/// The extended code of an error that SQLite reports.
pub(crate) fn result_code(error: &sqlx::Error) -> Option<i32> {
    match error {
        sqlx::Error::Database(error) => error.code()?.parse().ok(),
        _ => None,
    }
}

/// As [`result_code`], without the detail: its low byte.
pub(crate) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    result_code(error).map(|code| code & 0xff)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Closed,
            // As if SQLite had been told to stop waiting, or could not read.
            sqlx::Error::PoolTimedOut => Self::sqlite(Some(code::INTERRUPT), error.to_string()),
            sqlx::Error::Io(_) => Self::sqlite(Some(code::IOERR), error.to_string()),
            sqlx::Error::Migrate(error) => match *error {
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                    error.into()
                }
                error => Self::sqlite(None, error.to_string()),
            },
            error => Self::sqlite(result_code(&error), error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map(|error| error.extended_code);
        Self::sqlite(code, error.to_string())
    }
}

impl StoreError {
    fn sqlite(code: Option<i32>, message: String) -> Self {
        match code.map(|code| code & 0xff) {
            Some(code::FULL) => Self::Full,
            Some(code::READONLY) => Self::Unwritable(message),
            Some(code::BUSY | code::LOCKED) => Self::InUse,
            Some(code::CORRUPT | code::NOTADB) if code != Some(code::CORRUPT_VTAB) => {
                Self::Corrupt { path: PathBuf::from("quaero.db"), detail: message }
            }
            Some(code::CORRUPT) => {
                let message = format!(
                    "the search index is damaged ({message}); rebuild it with a `reindex` step"
                );
                Self::Database { code, message }
            }
            _ => Self::Database { code, message },
        }
    }

    /// A value that is not what its column is read as.
    pub(crate) fn decode(column: &str, why: impl std::fmt::Display) -> Self {
        Self::Database { code: None, message: format!("column `{column}`: {why}") }
    }

    /// The code that SQLite gave, without the detail.
    pub(crate) fn primary_code(&self) -> Option<i32> {
        match self {
            Self::Database { code, .. } => code.map(|code| code & 0xff),
            _ => None,
        }
    }

    /// Whether the same write can succeed later without anybody changing the program.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Full | Self::Unwritable(_) | Self::Io { .. } | Self::Unsettled | Self::InUse => {
                true
            }
            Self::Database { .. } => matches!(
                self.primary_code(),
                Some(code::NOMEM | code::INTERRUPT | code::IOERR | code::CANTOPEN)
            ),
            Self::Locked { .. }
            | Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::ReadOnly
            | Self::Superseded { .. }
            | Self::Closed
            | Self::Panicked(_) => false,
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source: Arc::new(source) }
    }
}

/// The result of a store function.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
