//! The commits of the protocol: what one transaction changes, whole, or with a flaw not whole.

use quaero_contract::JobStatus::{self, Cancelled, Completed, Failed, Pending, Running, Waiting};

use crate::{
    flaw::Flaw,
    protocol::{
        CHILD, Cause, Fault, LAST, Lease, PARENT, ROWS, Report, Rest, Row, Rules, SPAWNER, State,
        index, parent,
    },
};

impl State {
    /// Commits what a worker reports, if its lease still holds.
    pub(crate) fn commit(&mut self, rules: &Rules<'_>, lease: Lease, report: Report) {
        let row = *self.get(lease.job);
        let (epoch, attempt) = (row.lease == Some(lease.epoch), row.attempt == lease.attempt);
        let running = row.status == Running;
        let holds = match rules.flaw {
            Some(Flaw::NoLease) => true,
            Some(Flaw::LeaseWithoutAttempt) => running && epoch,
            Some(Flaw::LeaseWithoutEpoch) => running && attempt,
            _ => running && epoch && attempt,
        };
        if !holds {
            return;
        }
        if !(running && epoch && attempt) {
            self.fault(Fault::StaleReportTaken);
        }
        let spawns = lease.job == SPAWNER
            && (!self.cancelled || rules.is(Flaw::SpawnIgnoresCancel))
            && (self.rows[CHILD].is_none() || rules.is(Flaw::SpawnWithoutKey));
        match report {
            Report::Spawn if spawns => self.spawn(),
            Report::Spawn => {}
            Report::Done => {
                self.row(lease.job).effects += 1;
                if spawns && rules.is(Flaw::SpawnInSecondCommit) {
                    self.rest = Some(Rest::Spawn);
                } else if spawns {
                    self.spawn();
                }
                self.end_task(rules, lease.job, None);
            }
            Report::Failure => {
                let used = row.attempt - row.recoveries;
                let may_retry = !self.cancelled || rules.is(Flaw::RetryIgnoresCancel);
                if used < rules.bounds.attempts && may_retry {
                    let never = rules.is(Flaw::RetryIsForgotten);
                    let after = if never { LAST + 1 } else { (self.now + 1).min(LAST) };
                    self.requeue(rules, lease.job, after);
                } else {
                    self.end_task(rules, lease.job, Some(Cause::Error));
                }
            }
            Report::Interrupted if self.cancelled => {
                self.end_task(rules, lease.job, Some(Cause::Cancel));
            }
            Report::Interrupted => {
                self.requeue(rules, lease.job, 0);
                // It is not the task's fault.
                self.row(lease.job).attempt -= 1;
            }
        }
    }

    fn requeue(&mut self, rules: &Rules<'_>, job: usize, after: u8) {
        self.set(rules, job, Pending);
        let row = self.row(job);
        row.after = after;
        row.lease = None;
    }

    pub(crate) fn spawn(&mut self) {
        if self.rows[CHILD].is_none() {
            self.rows[CHILD] = Some(Row::NEW);
            self.counts[index(Pending)] += 1;
            self.row(SPAWNER).open += 1;
            if self.get(SPAWNER).status.is_terminal() {
                self.fault(Fault::IllegalTransition);
            }
        }
        let spawner = self.row(SPAWNER);
        spawner.spawned = (spawner.spawned + 1).min(2);
    }

    /// Ends a task's own work, and everything above that waited for nothing else.
    fn end_task(&mut self, rules: &Rules<'_>, task: usize, cause: Option<Cause>) {
        self.row(task).cause = cause;
        let mut job = task;
        while job != PARENT {
            let row = *self.get(job);
            if job != task && row.status != Waiting {
                return;
            }
            if row.open > 0 {
                if row.status != Waiting {
                    self.set(rules, job, Waiting);
                }
                return;
            }
            self.set(rules, job, ended(row.cause));
            job = parent(job);
        }
        if rules.is(Flaw::ParentInSecondCommit) {
            if self.open_children(PARENT) == 0 {
                self.rest = Some(Rest::EndParent);
            }
        } else {
            self.end_parent(rules);
        }
    }

    pub(crate) fn end_parent(&mut self, rules: &Rules<'_>) {
        let row = *self.get(PARENT);
        let early = rules.is(Flaw::ParentWithItsFirstChild);
        if row.status.is_terminal() || (row.open > 0 && !early) {
            return;
        }
        let failed = self.tasks().all(|(_, row)| row.status == Failed);
        let status = match (self.cancelled, failed) {
            (true, _) => Cancelled,
            (false, true) => Failed,
            (false, false) => Completed,
        };
        self.set(rules, PARENT, status);
    }

    /// Ends every task that is not with a worker.
    pub(crate) fn cancel_tasks(&mut self, rules: &Rules<'_>) {
        for job in 1..ROWS {
            let Some(row) = self.rows[job].filter(|row| row.status == Pending) else { continue };
            if rules.is(Flaw::CancelMissesGrandchildren) && parent(job) != PARENT {
                continue;
            }
            self.row(job).cause = Some(Cause::Cancel);
            self.row(job).after = 0;
            self.set(rules, job, if row.open > 0 { Waiting } else { Cancelled });
        }
        // From the leaves up.
        for job in [CHILD, SPAWNER] {
            let drained = self.rows[job].filter(|row| row.status == Waiting && row.open == 0);
            if let Some(row) = drained.filter(|_| !rules.is(Flaw::CancelMissesThoseThatWait)) {
                self.set(rules, job, ended(row.cause));
            }
        }
        self.end_parent(rules);
    }

    /// Takes back what dead processes were working on.
    pub(crate) fn recover(&mut self, rules: &Rules<'_>) {
        for job in 1..ROWS {
            let dead = |row: &Row| row.status == Running && row.lease != Some(self.epoch);
            if self.rows[job].filter(dead).is_some() && !rules.is(Flaw::NothingIsTakenBack) {
                self.requeue(rules, job, 0);
                self.row(job).recoveries += 1;
            }
        }
        for job in 1..ROWS {
            let poison = |row: &Row| {
                row.status == Pending
                    && row.recoveries >= rules.bounds.poison
                    && !rules.is(Flaw::NothingIsPoison)
            };
            if self.rows[job].filter(poison).is_some() {
                self.end_task(rules, job, Some(Cause::Error));
            }
        }
        if self.cancelled && !rules.is(Flaw::RecoveryForgetsCancel) {
            self.cancel_tasks(rules);
        }
    }

    /// The one way from status to status.
    pub(crate) fn set(&mut self, rules: &Rules<'_>, job: usize, to: JobStatus) {
        let from = self.get(job).status;
        if !from.may_become(to) {
            self.fault(Fault::IllegalTransition);
        }
        (rules.seen)(from, to);
        let row = self.row(job);
        row.status = to;
        if to != Running && !rules.is(Flaw::LeaseIsKept) {
            row.lease = None;
        }
        if job == PARENT {
            return;
        }
        if to.is_terminal() && !from.is_terminal() {
            let above = self.row(parent(job));
            above.open = above.open.saturating_sub(1);
        }
        if rules.is(Flaw::CountersInSecondCommit) && to.is_terminal() {
            self.rest = Some(Rest::Count(from, to));
        } else {
            self.count(from, to);
        }
    }

    pub(crate) fn count(&mut self, from: JobStatus, to: JobStatus) {
        self.counts[index(from)] = self.counts[index(from)].saturating_sub(1);
        self.counts[index(to)] += 1;
    }
}

const fn ended(cause: Option<Cause>) -> JobStatus {
    match cause {
        None => Completed,
        Some(Cause::Cancel) => Cancelled,
        Some(Cause::Error) => Failed,
    }
}
