//! The states of jobs and runs.

use std::fmt;

use serde::{Deserialize, Serialize};
use specta::Type;

/// The place of a job in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// The root: one execution of a definition.
    Parent,
    /// One step of the definition.
    Step,
    /// One piece of work, done by a worker.
    Task,
}

impl JobKind {
    /// The word stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Step => "step",
            Self::Task => "task",
        }
    }
}

/// The state of a job. The allowed transitions are in `JobStatus::may_become` and, as the same
/// table, in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Not started, or to be tried again.
    Pending,
    /// A worker holds its lease.
    Running,
    /// Its own work is done; children are still open.
    Waiting,
    /// Ended well.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because the run was cancelled.
    Cancelled,
    /// Never started, because something it depends on did not succeed.
    Skipped,
}

impl JobStatus {
    /// Every status, in the order in which a job can pass through them.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
    ];

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Waiting => false,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Skipped => true,
        }
    }

    /// Whether a job in this state may move to `next`.
    ///
    /// `Pending → Waiting` is a step or a run whose children have been written: it does no work of
    /// its own. `Running → Pending` is a retry, or a lease whose process has died. `Waiting →
    /// Pending` is a step that is tried again; the schema refuses it for everything else.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use JobStatus::{Cancelled, Completed, Failed, Pending, Running, Skipped, Waiting};
        match self {
            Pending => matches!(next, Running | Waiting | Completed | Failed | Cancelled | Skipped),
            Running => matches!(next, Pending | Waiting | Completed | Failed | Cancelled),
            Waiting => matches!(next, Pending | Completed | Failed | Cancelled),
            Completed | Failed | Cancelled | Skipped => false,
        }
    }

    /// The word stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// The status of this name, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a run as the user sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Under way in a live process.
    Running,
    /// Under way, but nothing of it starts until it is resumed.
    Paused,
    /// Waits for an earlier run beside which it may not run.
    Queued,
    /// Cut off: not ended, and no live process works on it. It can be resumed.
    Interrupted,
    /// Ended; see the warnings for what did not go well.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended by the user.
    Cancelled,
}

impl RunStatus {
    /// Whether the run has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Queued | Self::Interrupted => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The word shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Queued => "queued",
            Self::Interrupted => "interrupted",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What happens when a step fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The run goes on; steps that depend on this one are skipped unless they always run.
    #[default]
    Continue,
    /// No new step starts, and the run fails.
    Fail,
    /// As `Fail`, and everything that runs or waits is cancelled.
    Fatal,
    /// The step is run again, with growing pauses; then as `Fail`.
    Retry,
}

impl OnError {
    /// Every strategy.
    pub const ALL: [Self; 4] = [Self::Continue, Self::Fail, Self::Fatal, Self::Retry];

    /// The word stored, shown and written in definitions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Fail => "fail",
            Self::Fatal => "fatal",
            Self::Retry => "retry",
        }
    }

    /// The strategy of this name, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == word)
    }
}

/// What happens when too many of a run's tasks have failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum FailureAction {
    /// The run is stopped.
    #[default]
    StopAll,
    /// Nothing; the failures are counted.
    Continue,
    /// The run goes on and carries a warning.
    MarkWarning,
}

impl FailureAction {
    /// The word that definitions use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StopAll => "stop_all",
            Self::Continue => "continue",
            Self::MarkWarning => "mark_warning",
        }
    }
}

/// What has started a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum StartedBy {
    /// The user.
    #[default]
    Manual,
    /// Its schedule.
    Schedule,
    /// The start of the program.
    Start,
    /// The user, to do an earlier run's work again.
    Rerun,
    /// A run that needs it first.
    PreJob,
    /// A run that it follows.
    PostJob,
    /// A step that runs a template.
    Template,
}

impl StartedBy {
    const ALL: [Self; 7] = [
        Self::Manual,
        Self::Schedule,
        Self::Start,
        Self::Rerun,
        Self::PreJob,
        Self::PostJob,
        Self::Template,
    ];

    /// The word stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::Start => "start",
            Self::Rerun => "rerun",
            Self::PreJob => "pre_job",
            Self::PostJob => "post_job",
            Self::Template => "template",
        }
    }

    /// The cause of this name, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_finished_is_ever_unfinished() {
        for from in JobStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            for to in JobStatus::ALL {
                assert!(!from.may_become(to), "{from} must not become {to}");
            }
        }
    }

    #[test]
    fn words_and_states_are_one_to_one() {
        for status in JobStatus::ALL {
            assert_eq!(JobStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(JobStatus::parse("done"), None);
    }
}
