//! Errors that an engine could have, as data. Each has to be found, or the model proves nothing.

/// One rule of the protocol that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    /// Whatever is reported is recorded.
    NoLease,
    /// Any attempt of the same process may finish the task.
    LeaseWithoutAttempt,
    /// Any process may finish an attempt with the same number.
    LeaseWithoutEpoch,
    /// A retry leaves the lease on the row.
    LeaseIsKept,
    /// Whoever has run long enough by the clock has lost its lease.
    LeaseEndsByTheClock,
    /// One statement looks for a task, another takes it.
    ClaimInTwoStatements,
    /// Claims do not ask for the pause.
    ClaimIgnoresPause,
    /// The last child ends, and then its parent.
    ParentInSecondCommit,
    /// A child that ends takes its parent along.
    ParentWithItsFirstChild,
    /// The work of a task is recorded, and then its children.
    SpawnInSecondCommit,
    /// Another attempt writes its children once more.
    SpawnWithoutKey,
    /// A task of a cancelled run may still spawn.
    SpawnIgnoresCancel,
    /// A task of a cancelled run may be tried again.
    RetryIgnoresCancel,
    /// A cancel ends the tasks right below the parent only.
    CancelMissesGrandchildren,
    /// A cancel leaves alone what waited for the tasks it has ended.
    CancelMissesThoseThatWait,
    /// What a cancelled run was doing when its process died is put back into the queue.
    RecoveryForgetsCancel,
    /// What a dead process was doing stays with it.
    NothingIsTakenBack,
    /// A retry has a time that never comes.
    RetryIsForgotten,
    /// The task changes, and then the counters.
    CountersInSecondCommit,
    /// A task may take down any number of processes.
    NothingIsPoison,
}
