//! Views of job definitions, and the request to run one.

use serde::{Deserialize, Serialize};
use specta::Type;

use crate::JobId;

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
    /// Whether its schedule and the start of the program may run it. By hand it can always be run.
    pub enabled: bool,
    /// When it is run by itself, as the file has it; none for one that is run by hand.
    pub schedule: Option<String>,
    /// The hash of its text: changes exactly when the text does.
    pub hash: String,
    /// When the file was last written; none for one that comes with Quaero.
    pub modified: Option<String>,
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

/// A new text for a definition of the user's.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct SaveDefinition {
    /// Its id as it stands in the list, or the name of its file.
    pub id: String,
    /// The whole new text. It may have problems; they are kept and shown.
    pub text: String,
    /// [`DefinitionSummary::hash`] of the text that was edited. If the file has another one by now,
    /// nothing is written.
    pub expected_hash: String,
}

/// A definition from elsewhere. It is disabled until the user enables it.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct ImportDefinition {
    /// The name of the file it comes from; its ending (`.toml`, `.json`) tells the format.
    pub file: String,
    /// The text.
    pub text: String,
    /// An id in place of its own.
    pub new_id: Option<String>,
}

/// What was imported, and what it would use of the user's when it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ImportedDefinition {
    /// The definition, as it is now.
    pub definition: DefinitionView,
    /// The sign-in profiles that it names.
    pub profiles: Vec<String>,
    /// The private hosts that it wants to reach.
    pub allow_hosts: Vec<String>,
}

/// Why a text was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum VersionReason {
    /// It was saved in Quaero.
    Saved,
    /// A run was started with it.
    Executed,
    /// The file was changed from outside.
    FoundOnDisk,
    /// An earlier version was put back.
    Restored,
}

impl VersionReason {
    /// The word for it, as it is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Saved => "saved",
            Self::Executed => "executed",
            Self::FoundOnDisk => "found_on_disk",
            Self::Restored => "restored",
        }
    }

    /// The reverse of [`VersionReason::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Saved, Self::Executed, Self::FoundOnDisk, Self::Restored]
            .into_iter()
            .find(|reason| reason.as_str() == word)
    }
}

/// A text that a definition has had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DefinitionVersion {
    /// Counts from 1 for each definition; never given twice.
    pub version: u32,
    /// The hash of the text.
    pub hash: String,
    /// When it was first seen.
    pub at: String,
    /// Why it was kept.
    pub why: VersionReason,
    /// The newest run that was started with it while it was the newest version.
    pub run_id: Option<JobId>,
    /// The text's length in bytes.
    pub bytes: u32,
}

/// A version with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DefinitionVersionView {
    /// The version as it stands in the history.
    pub version: DefinitionVersion,
    /// The text.
    pub text: String,
}

/// A definition that was deleted and can come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DeletedDefinition {
    /// Its name in the trash.
    pub entry: String,
    /// The name its file had.
    pub file: String,
    /// When it was deleted.
    pub deleted: String,
}

/// How two texts differ, by lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct TextDiff {
    /// The places that differ, each with a few lines around it. None if the texts are the same.
    pub hunks: Vec<DiffHunk>,
    /// Lines that only the new text has.
    pub added: u32,
    /// Lines that only the old text has.
    pub removed: u32,
    /// Whether there are more hunks than these.
    pub truncated: bool,
}

/// A part of two texts that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DiffHunk {
    /// Its first line in the old text, from 1; 0 if the old text has no line of it.
    pub old_start: u32,
    /// How many lines of the old text it has.
    pub old_lines: u32,
    /// Its first line in the new text, from 1; 0 if the new text has no line of it.
    pub new_start: u32,
    /// How many lines of the new text it has.
    pub new_lines: u32,
    /// Its lines, those removed before those added in their place.
    pub lines: Vec<DiffLine>,
}

/// One line of two texts that are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DiffLine {
    /// Which of the texts has it.
    pub kind: DiffKind,
    /// Its number in the old text, from 1.
    pub old: Option<u32>,
    /// Its number in the new text, from 1.
    pub new: Option<u32>,
    /// The line in pieces, without its line break.
    pub parts: Vec<DiffPart>,
    /// Whether the text ends here without a line break.
    pub unterminated: bool,
}

/// Which of two texts has a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    /// Both.
    Same,
    /// Only the new one.
    Added,
    /// Only the old one.
    Removed,
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DiffPart {
    /// The text.
    pub text: String,
    /// Whether it is this piece that differs from the line in the other text.
    pub changed: bool,
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
    /// Run it although something that a step needs is not set up.
    pub anyway: bool,
}
