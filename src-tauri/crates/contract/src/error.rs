//! The one shape in which an error reaches the user.

use serde::{Deserialize, Serialize};
use specta::Type;

/// The kind of an error. A code exists only where someone acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// What was asked for does not exist (any more).
    NotFound,
    /// The request or the definition is wrong; the message says where.
    Invalid,
    /// The request does not fit the present state, such as cancelling a finished run.
    Conflict,
    /// Another process runs the engine on this data folder, or keeps its database to itself.
    Busy,
    /// Something that a step of the run needs is not set up. It can be run all the same.
    NotSetUp,
    /// The disk is full, read-only or not accessible.
    Storage,
    /// The database cannot be read; recovery is needed.
    Corrupt,
    /// A fault of Quaero's own.
    Internal,
}

/// A place in a definition's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ErrorPlace {
    /// The file or the definition's id.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// What went wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ApiError {
    /// The kind of error.
    pub code: ErrorCode,
    /// What happened, in a sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where in a definition.
    #[serde(rename = "where")]
    pub place: Option<ErrorPlace>,
}

impl ApiError {
    /// An error without hint or place.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, place: None }
    }

    /// The same error with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}
