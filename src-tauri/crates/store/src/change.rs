//! What a commit tells the rest of the program.

use quaero_contract::{DocumentId, JobError, JobId, JobKind, JobStatus};

use crate::runs::RunProgress;

/// Something that has been committed. The database holds the truth; a listener that has missed
/// changes reads it again.
#[derive(Clone, Debug)]
pub enum Change {
    /// Tasks of this lane may be runnable from this time on.
    Ready {
        /// The run.
        run: JobId,
        /// The lane.
        lane: String,
        /// Milliseconds since 1970; in the past for "now".
        at_ms: i64,
    },
    /// A run or a step has moved to another state.
    Status {
        /// The run.
        run: JobId,
        /// The run or the step.
        job: JobId,
        /// Which of the two.
        kind: JobKind,
        /// Its name.
        name: String,
        /// The new state.
        status: JobStatus,
        /// Why, if it failed or was skipped.
        error: Option<JobError>,
    },
    /// A run's cancel has been recorded: its running tasks must stop.
    CancelRequested {
        /// The run.
        run: JobId,
    },
    /// A document was created or updated.
    Saved {
        /// The run.
        run: JobId,
        /// The document.
        document: DocumentId,
    },
    /// Where a run stands, as of this commit.
    Progress(RunProgress),
}
