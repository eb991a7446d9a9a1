//! Views of job definitions, and the request to run one.

use serde::{Deserialize, Serialize};
use specta::Type;

/// Who owns a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Comes with Quaero.
    Shipped,
    /// A file in the user's definitions folder.
    User,
}

/// How a value is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// Free text.
    Text,
    /// A folder on this computer.
    Folder,
    /// A web address.
    Url,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
}

/// A value that can be set for one run: a scalar of the definition's `[config]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct InputField {
    /// The key under `[config]`.
    pub key: String,
    /// A label made from the key.
    pub label: String,
    /// How to ask for it.
    pub kind: InputKind,
    /// The definition's own value, as text.
    pub default: String,
    /// Whether the run needs a value that the definition does not give.
    pub required: bool,
    /// What it is for.
    pub help: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The definition cannot run.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

/// Something wrong in a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Problem {
    /// A stable word, such as `unknown_field`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a plain sentence.
    pub message: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Where it starts, in bytes from the start of the text.
    pub start: u32,
    /// Where it ends, in bytes.
    pub end: u32,
    /// The step it is in.
    pub step: Option<String>,
    /// What to do about it.
    pub fix: Option<String>,
}

/// A definition in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DefinitionSummary {
    /// Its id; for a file that does not parse, the file's name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Who owns it.
    pub origin: Origin,
    /// The file.
    pub file: String,
    /// The types of its steps, in order.
    pub step_types: Vec<String>,
    /// What can be set for a run.
    pub inputs: Vec<InputField>,
    /// Problems that keep it from running.
    pub errors: u32,
    /// Problems that do not.
    pub warnings: u32,
}

/// A definition with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DefinitionView {
    /// The definition as it stands in a list.
    pub summary: DefinitionSummary,
    /// The file's text.
    pub text: String,
    /// Everything wrong with it.
    pub problems: Vec<Problem>,
}

/// The wish to run a definition.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Made by the caller, 1 to 64 characters. The same one twice starts one run, not two.
    pub request_id: String,
    /// Which definition.
    pub definition_id: String,
    /// Values for keys of `[config]`.
    pub set: Vec<(String, String)>,
}
