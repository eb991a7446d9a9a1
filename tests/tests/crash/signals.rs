//! Every signal in every phase: the engine stops in order, or is killed; it loses nothing.

use std::cell::RefCell;

use quaero_tests::{
    crash::{Order, Said, drive, kill::check_end, said},
    data,
    program::{Answer, Process},
    workers::Script,
};
use rustix::process::Signal;
use tempfile::tempdir;

use super::driver;

/// How far the engine has come when the signal arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Listening, and nothing else.
    Begun,
    Opened,
    Ready,
    Accepted,
    /// Tasks are running that do not end by themselves.
    AtWork,
    /// It was told to stop before, and waits for those tasks.
    Stopping,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Begun, Self::Opened, Self::Ready, Self::Accepted, Self::AtWork, Self::Stopping];

    fn reach(self, process: &mut Process) {
        let words: &[&str] = match self {
            Self::Begun => &["begun"],
            Self::Opened => &["opened"],
            Self::Ready => &["ready"],
            Self::Accepted => &["accepted"],
            // Its tasks may start before it has said so.
            Self::AtWork | Self::Stopping => &["accepted", "started"],
        };
        let left = RefCell::new(words.to_vec());
        process.wait_for(&words.join(" and "), |line| {
            left.borrow_mut().retain(|word| line["type"] != **word);
            left.borrow().is_empty()
        });
        if self == Self::Stopping {
            process.signal(Signal::TERM);
            process.wait_for("stopping", |line| line["type"] == "stopping");
        }
    }
}

fn check(signal: Signal, phase: Phase) {
    let what = format!("{signal:?} when {phase:?}");
    let folder = tempdir().expect("a folder");
    let script = Script { hangs: true, ..Script::tree(4, 1) };
    let runs = vec![("only".to_owned(), script.clone())];
    // At an orderly stop the tasks that hang get longer than the test waits for anything.
    let grace_ms = if phase == Phase::Stopping { 10_000_000 } else { 100 };
    let order = Order { runs, hold: true, grace_ms, ..Order::default() };
    let mut process = drive(driver(), folder.path(), &order);
    phase.reach(&mut process);
    process.signal(signal);
    let answer = process.finish();
    ends_as_told(&answer, signal, phase, &what);

    let accepted = accepted(&answer);
    if phase == Phase::AtWork || phase == Phase::Stopping {
        assert!(accepted.is_some(), "{what}: {answer}");
    }
    if let Some(run) = accepted {
        data::assert_consistent(folder.path());
        let progress = data::ended(folder.path(), run);
        assert!(!progress.status.is_terminal(), "{what} ended the run: {progress:?}");
        if stops_in_order(signal, phase) {
            assert_eq!(progress.jobs.running, 0, "{what} left tasks with nobody: {progress:?}");
        }
    }
    // The next one goes on, and nothing hangs any more.
    let order = Order { hold: false, ..order };
    let next = drive(driver(), folder.path(), &order).finish().expect(0);
    let run = self::accepted(&next).expect("accepted");
    assert!(accepted.is_none_or(|before| before == run), "{what}: {next}");
    assert_eq!(check_end(folder.path(), run, &script), 0, "{what}");
    data::assert_whole(folder.path());
}

fn stops_in_order(signal: Signal, phase: Phase) -> bool {
    signal != Signal::KILL && phase != Phase::Stopping
}

fn ends_as_told(answer: &Answer, signal: Signal, phase: Phase, what: &str) {
    if signal == Signal::KILL {
        assert_eq!(answer.code(), None, "{what}: {answer}");
    } else if phase == Phase::Stopping {
        // Whoever asks twice does not want to wait.
        assert_eq!(answer.code(), Some(1), "{what}: {answer}");
    } else {
        assert_eq!(answer.code(), Some(0), "{what}: {answer}");
        assert!(matches!(said(&answer.lines).last(), Some(Said::Stopped)), "{what}: {answer}");
    }
}

fn accepted(answer: &Answer) -> Option<quaero_contract::JobId> {
    said(&answer.lines).into_iter().find_map(|line| match line {
        Said::Accepted { run, .. } => Some(run),
        _ => None,
    })
}

#[test]
fn every_signal_in_every_phase_loses_nothing() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::KILL] {
        for phase in Phase::ALL {
            check(signal, phase);
        }
    }
}

#[test]
fn a_task_that_takes_its_process_down_is_put_aside_in_the_end() {
    let leaf = Script::tree(1, 1);
    put_aside(Script { aborts: true, ..leaf.clone() });
    put_aside(Script { overflows: true, ..leaf });
}

/// A run whose only leaf takes its process down, beside one in which all is well.
fn put_aside(script: Script) {
    let folder = tempdir().expect("a folder");
    let other = Script::tree(3, 1);
    let runs = vec![("bad".to_owned(), script), ("good".to_owned(), other.clone())];
    let order = Order { runs, ..Order::default() };
    let mut deaths = 0;
    let ended = loop {
        let answer = drive(driver(), folder.path(), &order).finish();
        data::assert_consistent(folder.path());
        if answer.code() == Some(0) {
            break answer;
        }
        assert_eq!(answer.code(), None, "it has not died, but failed: {answer}");
        deaths += 1;
        assert!(i64::from(deaths) <= quaero_store::POISON_AFTER, "it goes on dying: {answer}");
    };
    let runs: Vec<_> = said(&ended.lines)
        .into_iter()
        .filter_map(|line| match line {
            Said::Accepted { run, .. } => Some(run),
            _ => None,
        })
        .collect();
    let jobs = data::ended(folder.path(), runs[0]).jobs;
    assert_eq!((jobs.completed, jobs.failed), (1, 1), "{jobs:?}");
    assert_eq!(i64::from(deaths), quaero_store::POISON_AFTER);
    assert_eq!(check_end(folder.path(), runs[1], &other), 0, "the other run ends well");
    data::assert_whole(folder.path());
}
