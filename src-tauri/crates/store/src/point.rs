//! Named points in the code, in the order in which a process comes by them. A test has the process
//! die at one, or a call fail there as it does when storage fails; see [`Point::ALL`].
//!
//! Without the feature `failpoints` nothing of this is in the program.

use crate::error::Result;

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident $name:literal $kind:ident;)*) => {
        /// A place in the code that a process may not live to leave.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// Its name in the registry of the crate `fail`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }

            /// Whether a call can fail here; if not, a process can only die.
            #[must_use]
            pub const fn can_fail(self) -> bool {
                match self {
                    $(Self::$point => points!($kind),)*
                }
            }
        }
    };
    (fails) => { true };
    (dies) => { false };
}

points! {
    // Opening.
    /// The data folder is there.
    FolderMade "open.folder" fails;
    /// The folder's lock is held.
    Locked "open.locked" fails;
    /// The database was looked at, and nothing has been changed.
    Checked "open.checked" fails;
    /// The database is connected to.
    Connected "open.connected" fails;
    /// A copy is about to be made.
    BackupBegun "backup.begun" fails;
    /// The copy is whole, under its temporary name.
    BackupCopied "backup.copied" fails;
    /// The copy has its name.
    BackedUp "backup.done" fails;
    /// The schema is about to be brought up to date.
    MigrationBegun "migration.begun" fails;
    /// The schema is up to date.
    Migrated "migration.done" fails;
    /// The epoch of this process is written.
    EpochBegun "open.epoch" fails;
    /// Those of earlier processes are over.
    EpochsEnded "open.epochs" fails;
    /// The folder says that it holds a whole store.
    Initialised "open.initialised" fails;
    /// The connections that read are open.
    ReadersOpened "open.readers" fails;
    /// The log is open.
    LogsOpened "open.logs" fails;

    // A commit.
    /// Commands wait, and no transaction is open.
    CommandsWait "commit.waiting" dies;
    /// A transaction is open.
    Begun "commit.begun" fails;
    /// A command has made its changes.
    CommandDone "commit.command" fails;
    /// All commands of a commit have made their changes.
    CommitBegun "commit.before" fails;
    /// The changes are committed, and nobody knows.
    Committed "commit.after" dies;
    /// They were told of, and nobody has been answered.
    CommitTold "commit.told" dies;
    /// Everybody has been answered.
    CommitAnswered "commit.answered" dies;

    // A start of the engine.
    /// The leases of dead processes are void.
    LeasesVoided "start.voided" fails;
    /// Runs of dead processes have been moved on.
    Recovered "start.recovered" dies;
    /// A run is this process's.
    RunAdopted "start.adopted" fails;

    // Runs and steps.
    /// A run is about to be asked for.
    SubmitBegun "submit.before" dies;
    /// A text is kept.
    TextKept "definition.text" fails;
    /// A run, its steps and the version of its definition are written.
    RunCreated "submit.created" fails;
    /// The version of a definition is noted.
    VersionNoted "definition.version" fails;
    /// Schedules are in force.
    SchedulesSet "schedule.set" fails;
    /// A slot is settled.
    SlotSettled "schedule.slot" fails;
    /// A run is durable, and whoever asked for it does not know.
    Submitted "submit.after" dies;
    /// A step can have tasks.
    StepOpened "step.opened" fails;
    /// A step is to be tried again.
    StepRetried "step.retried" fails;
    /// A step will not start.
    StepSkipped "step.skipped" fails;
    /// A step has been told to stop.
    StepStopped "step.stopped" fails;
    /// A step has ended.
    StepEnded "step.ended" fails;
    /// Runs below a step are written.
    InstancesStarted "step.instances" fails;
    /// A run has failed before its steps have ended.
    RunStopped "run.stopped" fails;
    /// A run has ended, and what waits for it has not been moved on.
    RunEnded "run.ended" fails;
    /// A run and all below it have been told to stop.
    RunCancelled "run.cancelled" fails;
    /// A run is paused, or goes on.
    RunPaused "run.paused" fails;
    /// The engine is paused, or goes on.
    EnginePaused "engine.paused" fails;

    // Tasks.
    /// Tasks are claimed, and the claim is committed.
    Claimed "task.claimed" dies;
    /// The claimed tasks are in the hands of their workers.
    HandedOut "task.handed_out" dies;
    /// A worker is done, and nobody knows.
    WorkDone "task.done" dies;
    /// A document is written, but not what belongs to it.
    DocumentWritten "task.document" fails;
    /// Tasks are written.
    TasksWritten "task.children" fails;
    /// A running task has written its children.
    ChildrenSpawned "task.spawned" fails;
    /// A task waits for another attempt.
    Requeued "task.requeued" fails;
    /// A task's own work is over.
    TaskEnded "task.ended" fails;
    /// The work of tasks that leave nothing else behind is over.
    TasksEnded "task.all_ended" fails;
    /// What became of a task is recorded.
    Recorded "task.recorded" dies;

    // History.
    /// Runs are forgotten.
    RunsPruned "prune.runs" fails;
    /// That is durable, and their log is still there.
    PruneCommitted "prune.committed" dies;

    // The end.
    /// The engine was told to stop.
    StopBegun "stop.begun" dies;
    /// Tasks that did not end in time are back in the queue.
    StopEnded "stop.ended" dies;
    /// The log is closed.
    LogsClosed "close.logs" dies;
    /// The stop is marked as clean.
    CloseMarked "close.marked" dies;
    /// The write-ahead log is folded into the database.
    Folded "close.folded" dies;
    /// All files are closed, and the lock is held.
    Closed "close.done" dies;
}

impl Point {
    /// A process comes by, and what it is doing may fail.
    ///
    /// # Errors
    /// If a test wants it to.
    #[inline]
    pub fn reach(self) -> Result<()> {
        debug_assert!(self.can_fail(), "{self:?} is marked as one where nothing can fail");
        #[cfg(feature = "failpoints")]
        fail::fail_point!(self.name(), |_| Err(crate::faults::error(self)));
        Ok(())
    }

    /// A process comes by.
    #[inline]
    pub fn pass(self) {
        debug_assert!(!self.can_fail(), "{self:?} is marked as one where a call can fail");
        #[cfg(feature = "failpoints")]
        fail::fail_point!(self.name());
    }
}
