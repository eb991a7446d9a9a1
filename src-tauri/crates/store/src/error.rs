//! What can go wrong with the store.

use std::{path::PathBuf, sync::Arc};

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
    /// The database is damaged, or is not one.
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
    /// The disk is full.
    #[error("The disk that holds the data folder is full.")]
    Full,
    /// This process opened the folder for reading only.
    #[error("The data folder is open for reading only.")]
    ReadOnly,
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
    #[error("The database reports: {0}.")]
    Database(Arc<sqlx::Error>),
}

/// SQLite's result codes that need a decision; see <https://sqlite.org/rescode.html>.
pub(crate) mod code {
    /// Misuse of SQL, such as undoing a transaction when none is open.
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
        if matches!(error, sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed) {
            return Self::Closed;
        }
        match primary_code(&error) {
            Some(code::FULL) => Self::Full,
            Some(code::READONLY) => Self::ReadOnly,
            Some(code::CORRUPT | code::NOTADB) => {
                Self::Corrupt { path: PathBuf::from("quaero.db"), detail: error.to_string() }
            }
            _ => Self::Database(Arc::new(error)),
        }
    }
}

impl StoreError {
    /// Whether the same write can succeed later without anybody changing the program.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Full | Self::Io { .. } | Self::Unsettled => true,
            Self::Database(error) => match primary_code(error) {
                Some(code) => matches!(
                    code,
                    code::BUSY
                        | code::LOCKED
                        | code::NOMEM
                        | code::INTERRUPT
                        | code::IOERR
                        | code::CANTOPEN
                ),
                None => matches!(**error, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)),
            },
            Self::Locked { .. }
            | Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::ReadOnly
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
