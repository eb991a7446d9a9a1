//! What becomes of a task when its worker is done with it: everything in one transaction, and
//! nothing if the lease no longer holds.

use std::{collections::BTreeSet, sync::Arc};

use quaero_contract::JobError;
use quaero_store::{
    DocumentId, Inserted, Lease, Leased, Place, Point, PreparedDocument, Request, Result, TaskRow,
    Tx,
};

use crate::{
    backoff::backoff_ms,
    coordinator::{ENOUGH, advance, rows},
    work::{Outcome, Registry, Retry, TaskError},
};

/// The pause before a task's second attempt, in milliseconds, on average half of it.
const RETRY_DELAY_MS: u64 = 4_000;
/// The longest pause before a task is tried again, in milliseconds.
const MAX_RETRY_DELAY_MS: u64 = 300_000;
/// The pause after a failure that the task is not to blame for, in milliseconds.
const LATER_MS: i64 = 5_000;

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// The worker is done.
    Done(Arc<Done>),
    /// The worker failed.
    Failed(TaskError),
    /// The run was cancelled, or the engine stops; the attempt does not count.
    Interrupted,
    /// There was no place for it soon; the attempt does not count.
    NotBegun,
}

/// A worker's outcome with everything computed that can be computed before the transaction.
#[derive(Debug)]
pub(crate) struct Done {
    documents: Vec<PreparedDocument>,
    unchanged: Vec<DocumentId>,
    /// Of the definition and the step, for what is unchanged.
    tags: Vec<String>,
    children: Vec<TaskRow>,
    max_step_tasks: Option<u32>,
    warnings: Vec<String>,
    gone: Vec<DocumentId>,
    enough: Option<String>,
    pub(crate) pause_lane_ms: u64,
}

impl Done {
    /// Whether it leaves nothing behind but the fact that the work is done.
    pub(crate) fn is_plain(&self) -> bool {
        self.documents.is_empty()
            && self.unchanged.is_empty()
            && self.children.is_empty()
            && self.warnings.is_empty()
            && self.gone.is_empty()
            && self.enough.is_none()
    }

    pub(crate) fn new(outcome: Outcome, tags: &[String]) -> Self {
        Self {
            documents: outcome
                .documents
                .into_iter()
                .map(|d| PreparedDocument::new(d, tags))
                .collect(),
            tags: if outcome.unchanged.is_empty() { Vec::new() } else { tags.to_vec() },
            unchanged: outcome.unchanged,
            children: rows(outcome.children),
            max_step_tasks: outcome.max_step_tasks,
            warnings: outcome.warnings,
            gone: outcome.gone,
            enough: outcome.enough,
            pause_lane_ms: outcome.pause_lane_ms,
        }
    }
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// The task's own work is over.
    Ended,
    /// It failed for good.
    Failed(String),
    /// It will be tried again after this many milliseconds.
    Requeued(String, u64),
    /// It was not begun and waits again.
    GivenBack,
    /// The lease was no longer held: nothing was changed.
    Stale,
}

/// Commits the end of an attempt.
pub(crate) fn complete(
    tx: &mut Tx,
    lease: Lease,
    ending: &Ending,
    requests: &[Request],
    registry: &Registry,
    now_ms: i64,
) -> Result<Recorded> {
    let Some(task) = tx.leased(lease)? else { return Ok(Recorded::Stale) };
    let run = task.below.run;
    tx.count_requests(task.below.step, requests)?;
    let (error, recorded) = match ending {
        Ending::Done(done) => match save(tx, &task, done, now_ms)? {
            None => (None, Recorded::Ended),
            Some(error) => {
                let message = format!("{}: {}", task.name, error.message);
                tx.warn_once(run, task.below.step, &message, now_ms)?;
                (Some(error), Recorded::Failed(message))
            }
        },
        Ending::Interrupted | Ending::NotBegun => match &task.stop {
            None => {
                tx.requeue(&task, None, 0, now_ms)?;
                return Ok(match ending {
                    Ending::NotBegun => Recorded::GivenBack,
                    _ => Recorded::Requeued("the engine stopped".to_owned(), 0),
                });
            }
            Some(stop) => {
                let (code, message) = ("cancelled".to_owned(), stop.message.clone());
                (Some(JobError { code, message }), Recorded::Ended)
            }
        },
        Ending::Failed(failure) => {
            let error =
                JobError { code: failure.code.to_string(), message: failure.message.clone() };
            let attempt = u32::try_from(lease.attempt).unwrap_or(u32::MAX);
            let pause = match failure.retry {
                Retry::Later if task.stop.is_none() => {
                    let after = now_ms.saturating_add(LATER_MS);
                    tx.requeue(&task, None, after, now_ms)?;
                    return Ok(Recorded::Requeued(error.message, LATER_MS.unsigned_abs()));
                }
                Retry::Never | Retry::Later => None,
                Retry::Backoff => {
                    Some(backoff_ms(lease.job, attempt, RETRY_DELAY_MS, MAX_RETRY_DELAY_MS))
                }
                Retry::PauseLane { ms } => Some(ms),
            };
            if let (Some(ms), true, None) = (pause, task.attempts_left > 0, &task.stop) {
                // 0 would mean that it waits for no time.
                let after = now_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)).max(1);
                tx.requeue(&task, Some(&error), after, now_ms)?;
                return Ok(Recorded::Requeued(error.message, ms));
            }
            tx.warn(run, lease.job, &format!("{}: {}", task.name, error.message), now_ms)?;
            let message = error.message.clone();
            (Some(error), Recorded::Failed(message))
        }
    };
    let drained = tx.end_task(lease.job, error.as_ref(), now_ms)?;
    // A run that bears only so many failures has to be asked after each.
    let failed = matches!(recorded, Recorded::Failed(_));
    if !drained.is_empty() || (failed && task.tolerance) {
        advance(tx, run, registry, now_ms)?;
    }
    Ok(recorded)
}

/// Commits the end of attempts that have done their work and leave nothing else behind. Returns how
/// many of the leases still held.
pub(crate) fn complete_all(
    tx: &mut Tx,
    leases: &[Lease],
    registry: &Registry,
    now_ms: i64,
) -> Result<usize> {
    let (held, drained) = tx.complete_tasks(leases, now_ms)?;
    let mut runs = BTreeSet::new();
    for step in drained {
        runs.insert(tx.run_of(step)?);
    }
    for run in runs {
        advance(tx, run, registry, now_ms)?;
    }
    Ok(held)
}

/// Saves what a task has found. Returns why it has failed all the same, if it has.
fn save(tx: &mut Tx, task: &Leased, done: &Done, now_ms: i64) -> Result<Option<JobError>> {
    for document in &done.documents {
        tx.save_document(task.below, document, now_ms)?;
    }
    for id in &done.unchanged {
        tx.touch_document(task.below, *id, &done.tags, now_ms)?;
    }
    for warning in &done.warnings {
        tx.warn(task.below.run, task.below.parent, warning, now_ms)?;
    }
    for id in &done.gone {
        tx.note_gone(task.below, *id, now_ms)?;
    }
    if task.stop.is_some() {
        return Ok(None);
    }
    if let Some(reason) = &done.enough {
        let Place { run, step, .. } = task.below;
        tx.warn_once(run, step, reason, now_ms)?;
        let error = JobError { code: ENOUGH.to_owned(), message: reason.clone() };
        tx.stop_step(run, step, &error, now_ms)?;
        return Ok(None);
    }
    let inserted = tx.insert_tasks(task.below, &done.children, done.max_step_tasks, now_ms)?;
    if let (Some(most), 1..) = (done.max_step_tasks, inserted.left_out) {
        let message = format!(
            "The limit of {most} was reached and more was found. Raise the limit to get the rest."
        );
        tx.warn_once(task.below.run, task.below.step, &message, now_ms)?;
    }
    Ok(inserted.too_many.map(too_many))
}

/// Why a task or a step fails that leads to more tasks than its step may have.
pub(crate) fn too_many(most: u32) -> JobError {
    JobError {
        code: "too_many_tasks".to_owned(),
        message: format!(
            "The step may have {most} tasks, and this leads to more. Raise `max_tasks` of the step, or look for work that leads to itself."
        ),
    }
}

/// Writes children of a task that is still running; `None` if it is not ours any more.
pub(crate) fn spawn(
    tx: &mut Tx,
    lease: Lease,
    children: &[TaskRow],
    now_ms: i64,
) -> Result<Option<Inserted>> {
    match tx.leased(lease)? {
        Some(task) if task.stop.is_none() => tx
            .insert_tasks(task.below, children, None, now_ms)
            .and_then(|inserted| Point::ChildrenSpawned.reach().map(|()| Some(inserted))),
        Some(_) | None => Ok(None),
    }
}
