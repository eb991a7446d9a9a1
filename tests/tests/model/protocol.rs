//! The protocol of the engine as a finite machine: one process at a time, which claims tasks under
//! leases, commits what its workers report, and may be killed, stopped, paused, told to cancel, and
//! given a wrong clock. One action is one commit (see `commit`), or one step of a worker between two.
//!
//! What a worker reports travels for a while: it may be committed, or be lost with its process, or
//! turn up when its lease has long gone to another. Statuses change through [`State::set`] only,
//! which asks the table of [`JobStatus::may_become`].

use quaero_contract::JobStatus::{self, Pending, Running, Waiting};

use crate::flaw::Flaw;

/// The parent: it stands for a run and its step, which do no work of their own.
pub(crate) const PARENT: usize = 0;
/// The task that spawns [`CHILD`].
pub(crate) const SPAWNER: usize = 1;
/// A task that the spawner writes while it runs, or when it is done.
pub(crate) const CHILD: usize = 2;
/// Room for the parent and up to four tasks.
pub(crate) const ROWS: usize = 5;
/// The latest time.
pub(crate) const LAST: u8 = 2;

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Tasks beside the spawner and its child, at most 2.
    pub plain: usize,
    /// Workers of one process, 1 or 2.
    pub workers: usize,
    /// Tries that each task has.
    pub attempts: u8,
    /// Kills that a task may have been part of before it is given up.
    pub poison: u8,
    /// Kills.
    pub crashes: u8,
    /// Orderly stops.
    pub stops: u8,
    /// Times that the clock is set.
    pub jumps: u8,
    /// Pauses.
    pub pauses: u8,
}

/// The right to finish one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lease {
    pub job: usize,
    pub epoch: u8,
    pub attempt: u8,
}

/// What a worker reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Report {
    /// A child to be written now.
    Spawn,
    /// The work, and the child if it is not there yet.
    Done,
    Failure,
    /// It was told to end.
    Interrupted,
}

/// One place for a worker of the live process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Slot {
    Idle,
    /// Only with a flaw: a task has been looked up, but not yet been taken.
    Chosen(usize),
    Working(Lease),
    Reporting(Lease, Report),
}

/// Why a job did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    Error,
    Cancel,
}

/// A row of the table of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub status: JobStatus,
    pub attempt: u8,
    pub recoveries: u8,
    /// The epoch of the process that holds it.
    pub lease: Option<u8>,
    /// When it may start.
    pub after: u8,
    /// Its open children, as they are counted.
    pub open: u8,
    pub cause: Option<Cause>,
    /// How often its result was recorded.
    pub effects: u8,
    /// How often its child was written.
    pub spawned: u8,
}

impl Row {
    pub(crate) const NEW: Self = Self {
        status: Pending,
        attempt: 0,
        recoveries: 0,
        lease: None,
        after: 0,
        open: 0,
        cause: None,
        effects: 0,
        spawned: 0,
    };
}

/// What the process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// Starts nothing more.
    Stopping,
    Up,
    /// It has an epoch, and has not taken back anything yet.
    Opened,
    Down,
}

/// Something that no state by itself can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    IllegalTransition = 1,
    StartedAfterCancel = 2,
    StartedInPause = 4,
    StaleReportTaken = 8,
}

/// What a flawed commit leaves for a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rest {
    EndParent,
    Spawn,
    Count(JobStatus, JobStatus),
}

/// Tasks by status, in the order of [`JobStatus::ALL`].
pub(crate) type Counts = [u8; JobStatus::ALL.len()];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub rows: [Option<Row>; ROWS],
    pub counts: Counts,
    pub cancelled: bool,
    pub paused: bool,
    pub epoch: u8,
    pub phase: Phase,
    pub now: u8,
    /// In order, because it does not matter which is which.
    pub slots: Vec<Slot>,
    /// Reports on their way whose worker is gone.
    pub stray: Vec<(Lease, Report)>,
    pub crashes: u8,
    pub stops: u8,
    pub jumps: u8,
    pub pauses: u8,
    /// What has gone wrong, as bits of [`Fault`].
    pub faults: u8,
    /// Empty without a flaw.
    pub rest: Option<Rest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Claim(usize),
    Report(Lease, Report),
    /// The attempt ends before its work does: something of it goes on, and still spawns.
    LeaveBehind(Lease, Report),
    Commit(Lease, Report),
    Lose(Lease, Report),
    Cancel,
    Pause,
    Resume,
    Crash,
    Stop,
    Close,
    Open,
    Recover,
    Tick,
    SetClock(u8),
    /// Only with a flaw.
    Choose(usize),
    /// Only with a flaw.
    CommitRest,
    /// Only with a flaw.
    Rescue(usize),
}

impl Action {
    /// Whether it needs neither the user nor a fault.
    pub(crate) const fn comes_by_itself(self) -> bool {
        match self {
            Self::Claim(_)
            | Self::Report(..)
            | Self::Commit(..)
            | Self::Close
            | Self::Open
            | Self::Recover
            | Self::Tick => true,
            Self::LeaveBehind(..)
            | Self::Lose(..)
            | Self::Cancel
            | Self::Pause
            | Self::Resume
            | Self::Crash
            | Self::Stop
            | Self::SetClock(_)
            | Self::Choose(_)
            | Self::CommitRest
            | Self::Rescue(_) => false,
        }
    }
}

/// Who is above a job.
pub(crate) const fn parent(job: usize) -> usize {
    if job == CHILD { SPAWNER } else { PARENT }
}

pub(crate) const fn index(status: JobStatus) -> usize {
    status as usize
}

/// What the rules say, and which of them is broken.
pub(crate) struct Rules<'a> {
    pub bounds: Bounds,
    pub flaw: Option<Flaw>,
    /// Told of every transition that was made.
    pub seen: &'a dyn Fn(JobStatus, JobStatus),
}

impl Rules<'_> {
    pub(crate) fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}

impl State {
    /// A run was accepted, and nothing of it has started.
    pub(crate) fn accepted(bounds: Bounds) -> Self {
        let mut rows = [None; ROWS];
        let tasks = [SPAWNER].into_iter().chain((CHILD + 1..).take(bounds.plain));
        let mut open = 0;
        for task in tasks {
            rows[task] = Some(Row::NEW);
            open += 1;
        }
        rows[PARENT] = Some(Row { status: Waiting, open, ..Row::NEW });
        let mut counts = [0; JobStatus::ALL.len()];
        counts[index(Pending)] = open;
        Self {
            rows,
            counts,
            cancelled: false,
            paused: false,
            epoch: 1,
            phase: Phase::Up,
            now: 0,
            slots: vec![Slot::Idle; bounds.workers],
            stray: Vec::new(),
            crashes: bounds.crashes,
            stops: bounds.stops,
            jumps: bounds.jumps,
            pauses: bounds.pauses,
            faults: 0,
            rest: None,
        }
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.jobs().filter(|(job, _)| *job != PARENT)
    }

    pub(crate) fn jobs(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.rows.iter().enumerate().filter_map(|(job, row)| Some((job, row.as_ref()?)))
    }

    pub(crate) fn open_children(&self, of: usize) -> usize {
        self.tasks().filter(|(job, row)| parent(*job) == of && !row.status.is_terminal()).count()
    }

    pub(crate) fn row(&mut self, job: usize) -> &mut Row {
        self.rows[job].as_mut().expect("only rows that exist are named")
    }

    pub(crate) fn get(&self, job: usize) -> &Row {
        self.rows[job].as_ref().expect("only rows that exist are named")
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.faults |= fault as u8;
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults & fault as u8 != 0
    }

    /// Everything that may happen next.
    pub(crate) fn actions(&self, rules: &Rules<'_>, actions: &mut Vec<Action>) {
        let up = self.phase == Phase::Up;
        let idle = self.slots.contains(&Slot::Idle);
        for (job, row) in self.tasks() {
            let due = row.status == Pending && row.after <= self.now;
            let paused = self.paused && !rules.is(Flaw::ClaimIgnoresPause);
            if up && idle && due && !paused {
                let two = rules.is(Flaw::ClaimInTwoStatements);
                actions.push(if two { Action::Choose(job) } else { Action::Claim(job) });
            }
            let by_age = rules.is(Flaw::LeaseEndsByTheClock);
            if up && by_age && row.status == Running && self.now > row.after {
                actions.push(Action::Rescue(job));
            }
        }
        for slot in &self.slots {
            match *slot {
                Slot::Idle => {}
                Slot::Chosen(job) => actions.push(Action::Claim(job)),
                Slot::Working(lease) => {
                    let may_spawn = lease.job == SPAWNER && self.rows[CHILD].is_none();
                    let told_to_end = self.cancelled || self.phase == Phase::Stopping;
                    let interrupted = told_to_end.then_some(Report::Interrupted);
                    for report in [Report::Failure].into_iter().chain(interrupted) {
                        actions.push(Action::Report(lease, report));
                        if may_spawn {
                            actions.push(Action::LeaveBehind(lease, report));
                        }
                    }
                    actions.push(Action::Report(lease, Report::Done));
                    if may_spawn {
                        actions.push(Action::Report(lease, Report::Spawn));
                    }
                }
                Slot::Reporting(lease, report) => actions.push(Action::Commit(lease, report)),
            }
        }
        for (lease, report) in &self.stray {
            actions.push(Action::Commit(*lease, *report));
            actions.push(Action::Lose(*lease, *report));
        }
        let parent_open = !self.get(PARENT).status.is_terminal();
        if up && parent_open && !self.cancelled {
            actions.push(Action::Cancel);
            if self.paused {
                actions.push(Action::Resume);
            } else if self.pauses > 0 {
                actions.push(Action::Pause);
            }
        }
        if self.phase != Phase::Down && self.crashes > 0 && parent_open {
            actions.push(Action::Crash);
        }
        if up && self.stops > 0 && parent_open {
            actions.push(Action::Stop);
        }
        if self.phase == Phase::Stopping && self.slots.iter().all(|slot| *slot == Slot::Idle) {
            actions.push(Action::Close);
        }
        match self.phase {
            Phase::Down => actions.push(Action::Open),
            Phase::Opened => actions.push(Action::Recover),
            Phase::Up | Phase::Stopping => {}
        }
        // Time matters only to those who wait for it.
        if self.tasks().any(|(_, row)| row.after > self.now) && self.now < LAST {
            actions.push(Action::Tick);
        }
        if self.jumps > 0 && parent_open {
            actions
                .extend([0, LAST].into_iter().filter(|to| *to != self.now).map(Action::SetClock));
        }
        if self.rest.is_some() {
            actions.push(Action::CommitRest);
        }
    }

    /// Does it.
    pub(crate) fn act(&mut self, rules: &Rules<'_>, action: Action) {
        match action {
            Action::Choose(job) => self.occupy(Slot::Idle, Slot::Chosen(job)),
            Action::Claim(job) => {
                if self.cancelled {
                    self.fault(Fault::StartedAfterCancel);
                }
                if self.paused {
                    self.fault(Fault::StartedInPause);
                }
                let (epoch, now) = (self.epoch, self.now);
                self.set(rules, job, Running);
                let row = self.row(job);
                row.attempt += 1;
                row.lease = Some(epoch);
                row.after = if rules.is(Flaw::LeaseEndsByTheClock) { now } else { 0 };
                let lease = Lease { job, epoch, attempt: row.attempt };
                let two = rules.is(Flaw::ClaimInTwoStatements);
                let before = if two { Slot::Chosen(job) } else { Slot::Idle };
                self.occupy(before, Slot::Working(lease));
            }
            Action::Report(lease, report) => {
                self.occupy(Slot::Working(lease), Slot::Reporting(lease, report));
            }
            Action::LeaveBehind(lease, report) => {
                self.occupy(Slot::Working(lease), Slot::Reporting(lease, report));
                self.stray.push((lease, Report::Spawn));
            }
            Action::Commit(lease, report) => {
                let slot = Slot::Reporting(lease, report);
                let here = self.slots.contains(&slot);
                self.commit(rules, lease, report);
                if here {
                    self.occupy(slot, self.answered(lease, report));
                } else {
                    self.forget(lease, report);
                }
            }
            Action::Lose(lease, report) => self.forget(lease, report),
            Action::Cancel => {
                self.cancelled = true;
                self.cancel_tasks(rules);
            }
            Action::Pause => {
                self.paused = true;
                self.pauses -= 1;
            }
            Action::Resume => self.paused = false,
            Action::Crash => {
                self.crashes -= 1;
                self.die();
            }
            Action::Stop => {
                self.stops -= 1;
                self.phase = Phase::Stopping;
            }
            Action::Close => self.die(),
            Action::Open => {
                self.epoch += 1;
                self.phase = Phase::Opened;
            }
            Action::Recover => {
                self.phase = Phase::Up;
                self.recover(rules);
            }
            Action::Tick => self.now += 1,
            Action::SetClock(to) => {
                self.jumps -= 1;
                self.now = to;
            }
            Action::CommitRest => match self.rest.take() {
                Some(Rest::EndParent) => self.end_parent(rules),
                Some(Rest::Spawn) => self.spawn(),
                Some(Rest::Count(from, to)) => self.count(from, to),
                None => {}
            },
            Action::Rescue(job) => {
                self.set(rules, job, Pending);
                self.row(job).lease = None;
            }
        }
        self.slots.sort_unstable();
        self.stray.sort_unstable();
    }

    /// What a worker does when its report was committed or refused.
    fn answered(&self, lease: Lease, report: Report) -> Slot {
        match report {
            Report::Spawn if self.rows[CHILD].is_some() => Slot::Working(lease),
            // A worker that may not spawn gives up.
            Report::Spawn => Slot::Reporting(lease, Report::Failure),
            Report::Done | Report::Failure | Report::Interrupted => Slot::Idle,
        }
    }

    fn occupy(&mut self, from: Slot, to: Slot) {
        let slot = self.slots.iter_mut().find(|slot| **slot == from);
        *slot.expect("the action was possible") = to;
    }

    fn forget(&mut self, lease: Lease, report: Report) {
        let at = self.stray.iter().position(|stray| *stray == (lease, report));
        self.stray.swap_remove(at.expect("the action was possible"));
    }

    /// Reports that were on their way may still arrive; everything else in memory is gone.
    fn die(&mut self) {
        for slot in &mut self.slots {
            if let Slot::Reporting(lease, report) = *slot {
                self.stray.push((lease, report));
            }
            *slot = Slot::Idle;
        }
        self.rest = None;
        self.phase = Phase::Down;
    }

    /// Falls with every action, so that no behaviour goes round in circles and each has an end.
    pub(crate) fn rank(&self, bounds: Bounds) -> [u32; 7] {
        let stopping = self.phase == Phase::Stopping;
        let restarts = 2 * u32::from(self.crashes + self.stops) + u32::from(stopping);
        // Whoever is put back by a stop may try as often as before.
        let busy = self.slots.iter().filter(|slot| stopping && **slot != Slot::Idle).count()
            + self.stray.iter().filter(|stray| stray.1 == Report::Interrupted).count();
        let phase = self.phase as u32;
        let wishes =
            u32::from(!self.cancelled) * 4 + u32::from(self.pauses) * 2 + u32::from(self.paused);
        let work: u32 = (1..ROWS).map(|job| self.work_left(job, bounds)).sum();
        let few = |number: usize| u32::try_from(number).expect("there are few");
        let stray = few(self.stray.len());
        let time = u32::from(LAST - self.now);
        [restarts, few(busy), phase, wishes, u32::from(self.jumps), work * 8 + stray, time]
    }

    fn work_left(&self, job: usize, bounds: Bounds) -> u32 {
        let Some(row) = self.rows[job] else {
            // More than a child that is written, and a report of it, can take.
            return if job == CHILD { 200 } else { 0 };
        };
        let left = u32::from((bounds.attempts + row.recoveries).saturating_sub(row.attempt));
        match row.status {
            Pending => 10 * left + 5,
            Running => {
                let step = |slot: &Slot| match *slot {
                    Slot::Working(lease) if lease.job == job => Some(9),
                    Slot::Reporting(lease, Report::Spawn) if lease.job == job => Some(8),
                    Slot::Reporting(lease, _) if lease.job == job => Some(7),
                    _ => None,
                };
                10 * left + self.slots.iter().find_map(step).unwrap_or(6)
            }
            Waiting => 1,
            _ => 0,
        }
    }
}
