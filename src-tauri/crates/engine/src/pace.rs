//! How fast a run goes, and how long it will take: from what it did of late, or honestly unknown.

use std::collections::VecDeque;

use quaero_contract::JobStatus;
use quaero_store::RunProgress;

/// How far back "of late" reaches, in milliseconds.
const WINDOW_MS: i64 = 60_000;
/// Two samples are at least so far apart, in milliseconds.
const APART_MS: i64 = 1_000;
/// A shorter time says nothing, in milliseconds.
const LEAST_MS: i64 = 3_000;

/// What a run did of late: how many tasks were done, and known, at which time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    samples: VecDeque<(i64, u32, u32)>,
}

impl Pace {
    pub(crate) fn note(&mut self, now_ms: i64, done: u32, total: u32) {
        // A clock that was set back makes what came before meaningless.
        if self.samples.back().is_some_and(|(at, ..)| *at > now_ms) {
            self.samples.clear();
        }
        // The newest sample moves until it is far enough from the one before.
        let last = self.samples.len().checked_sub(2).map(|at| self.samples[at].0);
        if last.is_some_and(|at| now_ms - at < APART_MS) {
            self.samples.pop_back();
        }
        self.samples.push_back((now_ms, done, total));
        while self.samples.len() > 2 && self.samples[1].0 <= now_ms - WINDOW_MS {
            self.samples.pop_front();
        }
    }

    /// Milliseconds, tasks done and tasks found over the window.
    fn change(&self) -> Option<(f64, f64, f64)> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let ms = last.0 - first.0;
        let grown = |a: u32, b: u32| f64::from(b.saturating_sub(a));
        #[allow(clippy::cast_precision_loss, reason = "at most a few minutes")]
        let span = ms as f64;
        (ms >= LEAST_MS).then(|| (span, grown(first.1, last.1), grown(first.2, last.2)))
    }

    /// Tasks done per minute.
    pub(crate) fn tasks_per_minute(&self) -> Option<f32> {
        let (ms, done, _) = self.change()?;
        #[allow(clippy::cast_possible_truncation, reason = "a rate for people")]
        let rate = (done * 60_000.0 / ms) as f32;
        Some(rate)
    }

    /// Milliseconds until the known tasks will be done. Unknown while a step has not started, whose
    /// tasks nobody knows, and while at least half as many tasks are found as done.
    pub(crate) fn remaining_ms(&self, progress: &RunProgress) -> Option<u32> {
        let (ms, done, found) = self.change()?;
        let hidden = progress.steps.iter().any(|step| step.status == JobStatus::Pending);
        if hidden || done < 1.0 || found * 2.0 >= done {
            return None;
        }
        let left = f64::from(progress.jobs.total.saturating_sub(progress.jobs.done()));
        let remaining = left * ms / (done - found);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded before the cast"
        )]
        let whole = remaining.clamp(0.0, f64::from(u32::MAX)) as u32;
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use quaero_contract::{DocumentCounts, JobCounts, JobId, StartedBy, StepProgress};

    use super::*;

    fn progress(total: u32, done: u32, step: JobStatus) -> RunProgress {
        let jobs =
            JobCounts { total, completed: done, pending: total - done, ..JobCounts::default() };
        let documents = DocumentCounts::default();
        let step =
            StepProgress { id: JobId(2), name: "a".to_owned(), status: step, jobs, documents };
        RunProgress {
            id: JobId(1),
            definition_id: String::new(),
            name: String::new(),
            subject: String::new(),
            status: JobStatus::Waiting,
            epoch: 1,
            paused: false,
            held: false,
            started_by: StartedBy::Manual,
            rerun_of: None,
            parent_run: None,
            started_ms: 0,
            finished_ms: None,
            jobs,
            documents,
            warnings: 0,
            error: None,
            steps: vec![step],
        }
    }

    /// Samples as `(second, done, total)`; what is expected as seconds.
    fn check(samples: &[(i64, u32, u32)], step: JobStatus, expected: Option<u32>) {
        let mut pace = Pace::default();
        for (at, done, total) in samples {
            pace.note(at * 1_000, *done, *total);
        }
        let (_, done, total) = samples.last().expect("a sample");
        let left = pace.remaining_ms(&progress(*total, *done, step));
        assert_eq!(left.map(|ms| ms / 1_000), expected, "{samples:?}");
    }

    #[test]
    fn the_remaining_time_follows_the_pace_or_is_unknown() {
        let waiting = JobStatus::Waiting;
        check(&[(0, 0, 100), (10, 50, 100)], waiting, Some(10));
        check(&[(0, 0, 100), (1, 50, 100)], waiting, None);
        check(&[(0, 0, 100), (10, 0, 100)], waiting, None);
        check(&[(0, 0, 100), (10, 50, 100)], JobStatus::Pending, None);
        // More is found than done.
        check(&[(0, 0, 100), (10, 50, 180)], waiting, None);
        check(&[(0, 0, 100), (10, 50, 110)], waiting, Some(15));
        // Only the last minute counts.
        check(&[(0, 0, 1_000), (100, 10, 1_000), (160, 610, 1_000)], waiting, Some(39));
        // The clock was set back.
        check(&[(100, 0, 100), (10, 50, 100)], waiting, None);
    }

    #[test]
    fn many_samples_take_little_room() {
        let mut pace = Pace::default();
        for n in 0..100_000_u32 {
            pace.note(i64::from(n) * 10, n, 100_000);
        }
        assert!(pace.samples.len() < 70, "{}", pace.samples.len());
        let rate = pace.tasks_per_minute().expect("known");
        assert!((5_900.0..6_100.0).contains(&rate), "{rate}");
    }
}
