//! What the jobs of a command change in the numbers above them, collected and written once.
//!
//! A task that starts or ends changes the counters of its step and of its run, and perhaps the number
//! of open children of its parent. For many tasks these are the same few rows, so a command notes its
//! changes here; [`Tx::flush`] writes them before anything reads those rows and at the latest at the
//! end of the command, so that they commit with what they count.

use std::collections::BTreeMap;

use quaero_contract::{JobId, JobStatus};
use rusqlite::params;

use crate::{error::Result, writer::Tx};

/// Changes that have not been written.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Of `counters`, by run or step: the total, then one for each status.
    counters: BTreeMap<i64, [i64; 8]>,
    /// Of `jobs`, by parent: the number of children and that of open ones.
    children: BTreeMap<i64, [i64; 2]>,
    /// Jobs that had open children and have none any more.
    emptied: Vec<JobId>,
}

impl Tally {
    pub(crate) fn clear(&mut self) {
        self.counters.clear();
        self.children.clear();
        self.emptied.clear();
    }

    /// Notes that `count` tasks of a step have gone from one state to another, or are new.
    pub(crate) fn moved(
        &mut self,
        run: JobId,
        step: JobId,
        from: Option<JobStatus>,
        to: JobStatus,
        count: i64,
    ) {
        for owner in [run, step] {
            let row = self.counters.entry(owner.0).or_default();
            match from {
                Some(from) => row[place(from)] -= count,
                None => row[0] += count,
            }
            row[place(to)] += count;
        }
    }

    /// Notes new children of a job.
    pub(crate) fn children_written(&mut self, parent: JobId, count: i64) {
        let row = self.children.entry(parent.0).or_default();
        row[0] += count;
        row[1] += count;
    }

    /// Notes children of a job that have ended.
    pub(crate) fn children_ended(&mut self, parent: JobId, count: i64) {
        self.children.entry(parent.0).or_default()[1] -= count;
    }

    /// Jobs that have no open children any more, as of the last flush.
    pub(crate) fn take_emptied(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.emptied)
    }
}

const fn place(status: JobStatus) -> usize {
    match status {
        JobStatus::Pending => 1,
        JobStatus::Running => 2,
        JobStatus::Waiting => 3,
        JobStatus::Completed => 4,
        JobStatus::Failed => 5,
        JobStatus::Cancelled => 6,
        JobStatus::Skipped => 7,
    }
}

impl Tx {
    /// Writes what has been noted. A statement for each row: there are few, and a statement that
    /// joins them with their changes costs more.
    pub(crate) fn flush(&mut self) -> Result<()> {
        for (owner, [total, pending, running, waiting, completed, failed, cancelled, skipped]) in
            std::mem::take(&mut self.tally.counters)
        {
            self.execute(
                "UPDATE counters SET total = total + ?2, pending = pending + ?3, running = running + ?4,
                     waiting = waiting + ?5, completed = completed + ?6, failed = failed + ?7,
                     cancelled = cancelled + ?8, skipped = skipped + ?9 WHERE job_id = ?1",
                params![owner, total, pending, running, waiting, completed, failed, cancelled, skipped],
            )?;
        }
        self.flush_children()
    }

    /// Writes what has been noted of children, from which follows who has ended.
    pub(crate) fn flush_children(&mut self) -> Result<()> {
        for (parent, [new, open]) in std::mem::take(&mut self.tally.children) {
            self.execute(
                "UPDATE jobs SET n_children = n_children + ?2, n_open = n_open + ?3 WHERE id = ?1",
                params![parent, new, open],
            )?;
            if open < 0
                && self.scalar::<i64>("SELECT n_open FROM jobs WHERE id = ?", [parent])? == 0
            {
                self.tally.emptied.push(JobId(parent));
            }
        }
        Ok(())
    }
}
