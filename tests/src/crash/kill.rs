//! `kill -9` on a working engine, again and again, at random moments.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use quaero_contract::{JobId, JobQuery, JobStatus};
use quaero_store::{POISON_AFTER, SUSPECT_AFTER, Store};
use rustix::process::Signal;

use super::{Ended, Order, Said, drive, said, wal::Folded};
use crate::{data, dice::Dice, note, program::Process, workers::Script};

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// Some time after its start, but before this long.
    Within(Duration),
    /// Some time after a few tasks have started, but before this long. On a slow computer, too, each
    /// life then brings the work on.
    AtWork(Duration),
    /// Some time after it has begun to fold its log into the database, but before this long.
    InCheckpoint(Duration),
    /// Some time after it was told to stop, but before this long; told when a few tasks have started.
    InStop(Duration),
}

/// A data folder whose engine is killed.
#[derive(Debug)]
pub struct KillLoop {
    driver: PathBuf,
    data_dir: PathBuf,
    order: Order,
    dice: Dice,
    accepted: BTreeMap<String, JobId>,
    kills: u32,
    cut_checkpoints: u32,
}

/// What became of it in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survived {
    /// How often a live process was killed.
    pub kills: u32,
    /// How many of these were in the middle of a checkpoint, as far as that is known.
    pub cut_checkpoints: u32,
    /// Tasks that were given up because too many processes had died with them.
    pub poisoned: u32,
}

impl KillLoop {
    /// A loop over these runs, by request id, on a folder that need not exist. `driver` is as for
    /// [`drive`].
    #[must_use]
    pub fn new(driver: &Path, data_dir: &Path, runs: Vec<(String, Script)>) -> Self {
        Self {
            driver: driver.to_owned(),
            data_dir: data_dir.to_owned(),
            order: Order { runs, ..Order::default() },
            dice: Dice::default(),
            accepted: BTreeMap::new(),
            kills: 0,
            cut_checkpoints: 0,
        }
    }

    /// Kills so many times at such moments, or until everything has ended, and looks at the folder
    /// after each. Then it lets the work end, and checks how it did.
    ///
    /// # Panics
    /// If anything was lost, is there twice, or contradicts itself.
    pub fn survive(mut self, times: u32, moments: &[Moment]) -> Survived {
        for _ in 0..times {
            let moment = *self.dice.one_of(moments);
            let alive = self.kill(moment);
            self.look(&moment);
            if !alive {
                break;
            }
        }
        self.end()
    }

    /// One life. Returns whether it was cut short.
    fn kill(&mut self, moment: Moment) -> bool {
        let mut process = drive(&self.driver, &self.data_dir, &self.order);
        let mut before = None;
        if !matches!(moment, Moment::Within(_)) {
            process.wait_for("ready", |line| line["type"] == "ready");
            before = Folded::read(&self.data_dir);
        }
        let ended = match moment {
            Moment::Within(longest) => process.ends_within(self.dice.up_to(longest)),
            Moment::AtWork(longest) => {
                self.ends_before_some_tasks(&mut process)
                    || process.ends_within(self.dice.up_to(longest))
            }
            Moment::InCheckpoint(longest) => {
                self.ends_before_a_checkpoint(&mut process)
                    || process.ends_within(self.dice.up_to(longest))
            }
            Moment::InStop(longest) => {
                self.ends_before_some_tasks(&mut process) || {
                    process.signal(Signal::TERM);
                    process.ends_within(self.dice.up_to(longest))
                }
            }
        };
        let stop = matches!(moment, Moment::InStop(_));
        let answer = process.kill();
        let done = answer.code() == Some(0);
        assert!(done || answer.code().is_none(), "it ended by itself: {answer}");
        self.kills += u32::from(!done);
        let cut = before
            .zip(Folded::read(&self.data_dir))
            .is_some_and(|(before, after)| after.was_cut_since(before));
        self.cut_checkpoints += u32::from(!done && cut);
        for line in said(&answer.lines) {
            if let Said::Accepted { request, run } = line {
                let before = self.accepted.insert(request, run);
                assert!(before.is_none_or(|before| before == run), "accepted twice: {answer}");
            }
        }
        // One that was told to stop has ended well, but not its work.
        !(done && ended && !stop)
    }

    fn ends_before_some_tasks(&mut self, process: &mut Process) -> bool {
        let some = 1 + self.dice.roll() % 12;
        let mut started = 0;
        while started < some {
            let Some(line) = process.next_json() else { return true };
            started += u64::from(line["type"] == "started");
        }
        false
    }

    /// Waits for a checkpoint to begin. Nothing tells of that, so the index of the log is looked at
    /// again and again.
    fn ends_before_a_checkpoint(&self, process: &mut Process) -> bool {
        let mut before = Folded::read(&self.data_dir);
        loop {
            if process.ends_within(Duration::from_micros(50)) {
                return true;
            }
            let now = Folded::read(&self.data_dir);
            if before.zip(now).is_some_and(|(before, now)| now.was_cut_since(before)) {
                return false;
            }
            before = before.or(now);
        }
    }

    /// What a killed process left behind is whole, and has all that it had accepted.
    fn look(&self, moment: &Moment) {
        if !Store::exists(&self.data_dir) {
            assert!(self.accepted.is_empty(), "{moment:?} lost the store with {:?}", self.accepted);
            return;
        }
        data::assert_consistent(&self.data_dir);
        let known = data::runs(&self.data_dir);
        for (request, run) in &self.accepted {
            assert!(known.contains(run), "kill {} {moment:?} lost {request}, {run}", self.kills);
        }
    }

    fn end(mut self) -> Survived {
        let answer = drive(&self.driver, &self.data_dir, &self.order).finish().expect(0);
        for line in said(&answer.lines) {
            if let Said::Accepted { request, run } = line {
                let before = self.accepted.insert(request, run);
                assert!(before.is_none_or(|before| before == run), "accepted twice: {answer}");
            }
        }
        data::assert_whole(&self.data_dir);
        let mut poisoned = 0;
        for (request, script) in &self.order.runs {
            let run = self.accepted.get(request).unwrap_or_else(|| panic!("{request} is lost"));
            poisoned += check_end(&self.data_dir, *run, script);
        }
        // While it is suspected a task runs alone, so that each death is its own.
        let alone = u32::try_from(POISON_AFTER - SUSPECT_AFTER).expect("small");
        assert!(poisoned <= self.kills / alone, "{poisoned} given up after {} kills", self.kills);
        let Self { kills, cut_checkpoints, .. } = self;
        let survived = Survived { kills, cut_checkpoints, poisoned };
        note(&format!("{survived:?}"));
        survived
    }
}

/// Fails unless a run has ended as its script says. Returns how many of its tasks were given up
/// because too many processes had died with them.
///
/// # Panics
/// If it has not.
pub fn check_end(data_dir: &Path, run: JobId, script: &Script) -> u32 {
    let ended = data::ended(data_dir, run);
    let query = JobQuery {
        parent: None,
        statuses: vec![JobStatus::Failed],
        text: String::new(),
        after: None,
        limit: 1_000,
    };
    let failed = data::jobs(data_dir, run, &query);
    let poisoned = failed
        .iter()
        .filter(|job| job.error.as_ref().is_some_and(|error| error.code == "poison"))
        .count();
    let poisoned = u32::try_from(poisoned).expect("few");
    check_counts(&ended, script, poisoned);
    poisoned
}

/// Compares how a run ended with what its script says.
fn check_counts(ended: &Ended, script: &Script, poisoned: u32) {
    let expected = script.expected();
    assert!(ended.status.is_terminal(), "it is not over: {ended:?}");
    assert_eq!(ended.jobs.cancelled + ended.jobs.skipped, 0, "{ended:?}");
    // Each completed task has left one document, and no attempt has left a second.
    assert_eq!(ended.documents.created, ended.jobs.completed, "{ended:?}");
    assert_eq!(ended.documents.updated + ended.documents.unchanged, 0, "{ended:?}");
    if poisoned == 0 {
        assert_eq!(ended.status, JobStatus::Completed, "{ended:?}");
        assert_eq!(
            (ended.jobs.total, ended.jobs.completed, ended.jobs.failed),
            (expected.total, expected.completed, expected.failed),
            "{ended:?}"
        );
    } else {
        // A task that was given up has no children.
        assert!(ended.jobs.total <= expected.total, "{ended:?}");
        assert_eq!(ended.jobs.completed + ended.jobs.failed, ended.jobs.total, "{ended:?}");
    }
}
