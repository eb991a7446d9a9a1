//! Errors of the layers below become the one shape that reaches the user. Each kind is decided on
//! here, once; a new kind does not compile until it is.

use quaero_contract::{ApiError, DocumentId, ErrorCode, ErrorPlace, JobId, Problem, Severity};
use quaero_engine::EngineError;
use quaero_store::StoreError;

/// An error of the store.
pub(crate) fn store(error: StoreError) -> ApiError {
    let (message, may_pass) = (error.to_string(), error.may_pass());
    match error {
        StoreError::Locked { .. } => ApiError::new(ErrorCode::Busy, message)
            .with_hint("Use that one, or close it first."),
        StoreError::Superseded { .. } => ApiError::new(ErrorCode::Busy, message)
            .with_hint("Close this one. Runs that were under way go on in the other."),
        StoreError::Newer { .. } => ApiError::new(ErrorCode::Storage, message)
            .with_hint("Install the newest version of Quaero, or name another data folder. Nothing was changed."),
        StoreError::Corrupt { .. } => ApiError::new(ErrorCode::Corrupt, message)
            .with_hint("Nothing was changed. Copies of earlier states are in the folder `backups` beside it."),
        StoreError::Io { .. } => ApiError::new(ErrorCode::Storage, message)
            .with_hint("Check that the folder exists and can be written, or name another one."),
        StoreError::InUse => ApiError::new(ErrorCode::Busy, message)
            .with_hint("Close the database tool, backup or virus scanner that uses it. Runs that are under way go on by themselves."),
        StoreError::Full => ApiError::new(ErrorCode::Storage, message)
            .with_hint("Make room on it. What is under way then goes on by itself."),
        StoreError::Unwritable(_) => ApiError::new(ErrorCode::Storage, message)
            .with_hint("Let the disk that holds the data folder be written again. What is under way then goes on by itself."),
        StoreError::Unsettled => ApiError::new(ErrorCode::Storage, message)
            .with_hint("Check the disk that holds the data folder. It is tried again."),
        StoreError::Database { .. } if may_pass => ApiError::new(ErrorCode::Storage, message)
            .with_hint("Check the disk that holds the data folder, and that there is memory left. What is under way is tried again."),
        StoreError::ReadOnly => ApiError::new(ErrorCode::Conflict, message),
        StoreError::Closed => ApiError::new(ErrorCode::Conflict, "Quaero is closing."),
        StoreError::Panicked(_) | StoreError::Database { .. } => ApiError::new(ErrorCode::Internal, message),
    }
}

/// An error of the engine.
pub(crate) fn engine(error: EngineError) -> ApiError {
    let message = error.to_string();
    match error {
        EngineError::NoSuchRun(id) => no_run(id),
        EngineError::AlreadyEnded(..) | EngineError::Stopped => {
            ApiError::new(ErrorCode::Conflict, message)
        }
        EngineError::Store(error) => store(error),
    }
}

/// This process only reads, or has been closed.
pub(crate) fn no_engine() -> ApiError {
    ApiError::new(ErrorCode::Conflict, "This process does not run the engine.")
}

/// A document that was asked for and is not there.
pub(crate) fn no_document(id: DocumentId) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("There is no document {id}."))
}

/// A definition that was asked for and is not there.
pub(crate) fn no_definition(id: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("There is no definition `{id}`."))
        .with_hint("List them: quaero definitions list")
}

/// A file of the data folder that cannot be used.
pub(crate) fn file(what: &str, error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Storage, format!("{what}: {error}."))
        .with_hint("Check that the data folder exists and can be written.")
}

/// A file outside of the data folder that cannot be used.
pub(crate) fn other_file(what: &str, error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Storage, format!("{what}: {error}."))
        .with_hint("Check that it and its folder exist and that you may use them.")
}

/// The user's definitions cannot be listed.
pub(crate) fn no_list(folder: &std::path::Path, error: &std::io::Error) -> ApiError {
    file(&format!("The folder {} cannot be listed", folder.display()), error)
}

/// A version of a definition that was asked for and is not there.
pub(crate) fn no_version(id: &str, version: u32) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("`{id}` has no version {version}."))
        .with_hint(format!("List them: quaero definitions history {id}"))
}

/// A run that was asked for and is not there.
pub(crate) fn no_run(id: JobId) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("There is no run {id}."))
        .with_hint("List them: quaero runs list")
}

/// A definition that cannot run, by the first of its errors.
pub(crate) fn problems(file: &str, problems: &[Problem]) -> ApiError {
    let errors = || problems.iter().filter(|problem| problem.severity == Severity::Error);
    let Some(first) = errors().next() else {
        return ApiError::new(ErrorCode::Internal, format!("{file} was refused without a reason."));
    };
    let more = match errors().count() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    ApiError {
        code: ErrorCode::Invalid,
        message: format!("{}{more}", first.message),
        hint: first.fix.clone(),
        place: Some(ErrorPlace { file: file.to_owned(), line: first.line, column: first.column }),
    }
}
