//! What a commit tells the rest of the program.

use quaero_contract::{DocumentId, JobError, JobId, JobKind, JobStatus};

use crate::{error::StoreError, runs::RunProgress};

/// Something that has been committed. The database holds the truth; a listener that has missed
/// changes reads it again.
#[derive(Clone, Debug)]
pub enum Change {
    /// This process works on a run from now on.
    Adopted {
        /// The run.
        run: JobId,
        /// Whether it was just accepted: everything there is to know of it is told.
        new: bool,
        /// Higher first.
        priority: i32,
        /// How many of its tasks may run at the same time.
        max_running: Option<u32>,
    },
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
    /// Running tasks of a run, or of one step of it, must stop.
    StopRequested {
        /// The run.
        run: JobId,
        /// The step; all of them without it.
        step: Option<JobId>,
    },
    /// A run, or the whole engine without one, was paused or goes on.
    Paused {
        /// The run.
        run: Option<JobId>,
        /// Whether it is paused now.
        paused: bool,
    },
    /// The coordinator has to look at this run again at this time.
    Wake {
        /// The run.
        run: JobId,
        /// Milliseconds since 1970; none if nothing waits for a time any more.
        at_ms: Option<i64>,
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
    /// Nothing is written any more, because the database is damaged or belongs to another process.
    Refused(StoreError),
}
