//! What the jobs of a command change in the numbers above them, collected and written once.
//!
//! A task that starts or ends changes the counters of its step and of its run, and perhaps the number
//! of open children of its parent. For many tasks these are the same few rows, so a command notes its
//! changes here; [`Tx::flush`] writes them before anything reads those rows and at the latest at the
//! end of the command, so that they commit with what they count.

use std::collections::BTreeMap;

use quaero_contract::{JobId, JobStatus};

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
    /// Writes what has been noted.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.tally.counters.is_empty() {
            let rows: Vec<(i64, [i64; 8])> =
                std::mem::take(&mut self.tally.counters).into_iter().collect();
            self.execute(
                "UPDATE counters SET total = total + (d.n ->> 0), pending = pending + (d.n ->> 1),
                     running = running + (d.n ->> 2), waiting = waiting + (d.n ->> 3),
                     completed = completed + (d.n ->> 4), failed = failed + (d.n ->> 5),
                     cancelled = cancelled + (d.n ->> 6), skipped = skipped + (d.n ->> 7)
                 FROM (SELECT value ->> 0 AS id, value -> 1 AS n FROM json_each(?)) AS d
                 WHERE job_id = d.id",
                [serde_json::to_string(&rows).expect("numbers are plain data")],
            )?;
        }
        if !self.tally.children.is_empty() {
            let children = std::mem::take(&mut self.tally.children);
            let rows: Vec<(&i64, &[i64; 2])> = children.iter().collect();
            let left = self.all("UPDATE jobs SET n_children = n_children + (d.n ->> 0), n_open = n_open + (d.n ->> 1)
                 FROM (SELECT value ->> 0 AS job, value -> 1 AS n FROM json_each(?)) AS d
                 WHERE jobs.id = d.job RETURNING id, n_open", [serde_json::to_string(&rows).expect("numbers are plain data")])?;
            for row in &left {
                let (id, open): (i64, i64) = (row.get("id")?, row.get("n_open")?);
                if open == 0 && children.get(&id).is_some_and(|change| change[1] < 0) {
                    self.tally.emptied.push(JobId(id));
                }
            }
        }
        Ok(())
    }
}
