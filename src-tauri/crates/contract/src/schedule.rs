//! Schedules: when a definition is run by itself, and what became of it.

use serde::{Deserialize, Serialize};
use specta::Type;

use crate::JobId;

/// What happens to times that passed while nothing could be started: the computer was off or asleep,
/// or Quaero was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum MissedRuns {
    /// Nothing. A run starts on time, or at most a minute late.
    Skip,
    /// One run makes up for all of them.
    #[default]
    Once,
    /// Each is made up for by a run of its own, the newest 100 at most, one after the other.
    All,
}

/// What happens when the time comes while a run of the definition is still open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// This time is left out.
    #[default]
    Skip,
    /// The new run waits for the earlier one.
    Queue,
    /// Both run side by side.
    Allow,
}

/// What became of a scheduled time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum SlotResult {
    /// A run was accepted.
    Started,
    /// The run before it was still open.
    Skipped,
    /// It passed while nothing could be started, and is not made up for.
    Missed,
    /// The run was refused.
    Failed,
}

impl SlotResult {
    /// Every result.
    pub const ALL: [Self; 4] = [Self::Started, Self::Skipped, Self::Missed, Self::Failed];

    /// Its word in the database and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Failed => "failed",
        }
    }

    /// The result with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.as_str() == word)
    }
}

/// The schedule of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ScheduleView {
    /// The definition.
    pub definition_id: String,
    /// Its name.
    pub name: String,
    /// Five cron fields or a word such as `@daily`, as the definition has it.
    pub cron: String,
    /// The IANA time zone; none is the computer's.
    pub timezone: Option<String>,
    /// The same in plain words: "At 07:00 on weekdays, Sydney time".
    pub description: String,
    /// What happens to times that pass unnoticed.
    pub missed_runs: MissedRuns,
    /// What happens while a run is open.
    pub overlap: Overlap,
    /// Whether it starts runs.
    pub enabled: bool,
    /// The next times, soonest first, at most 5; none if it is not enabled.
    pub next: Vec<String>,
    /// The newest time that has been dealt with.
    pub last_slot: Option<String>,
    /// What became of it.
    pub last_result: Option<SlotResult>,
    /// The run it started.
    pub last_run: Option<JobId>,
    /// What the user should know about it, in a sentence; empty if nothing.
    pub note: String,
    /// Runs started so far.
    pub started: u32,
    /// Times left out so far because a run was still open.
    pub skipped: u32,
}

/// What a schedule means, for somebody who is writing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct SchedulePreview {
    /// In plain words.
    pub description: String,
    /// The next times, soonest first, at most 5.
    pub next: Vec<String>,
}
