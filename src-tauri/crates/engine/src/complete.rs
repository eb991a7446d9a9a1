//! What becomes of a task when its worker is done with it: everything in one transaction, and
//! nothing if the lease no longer holds.

use std::sync::Arc;

use quaero_contract::JobError;
use quaero_store::{DocumentId, Lease, Leased, PreparedDocument, Result, TaskRow, Tx};

use crate::{
    coordinator::{advance, rows},
    work::{Outcome, Registry, Retry, TaskError},
};

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// The worker is done.
    Done(Arc<Done>),
    /// The worker failed.
    Failed(TaskError),
    /// The run was cancelled, or the engine stops; the attempt does not count.
    Interrupted,
}

/// A worker's outcome with everything computed that can be computed before the transaction.
#[derive(Debug)]
pub(crate) struct Done {
    documents: Vec<PreparedDocument>,
    unchanged: Vec<DocumentId>,
    children: Vec<TaskRow>,
    max_step_tasks: Option<u32>,
    warnings: Vec<String>,
}

impl Done {
    pub(crate) fn new(outcome: Outcome, tags: &[String]) -> Self {
        Self {
            documents: outcome
                .documents
                .into_iter()
                .map(|d| PreparedDocument::new(d, tags))
                .collect(),
            unchanged: outcome.unchanged,
            children: rows(outcome.children),
            max_step_tasks: outcome.max_step_tasks,
            warnings: outcome.warnings,
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
    /// The lease was no longer held: nothing was changed.
    Stale,
}

/// Commits the end of an attempt.
pub(crate) async fn complete(
    tx: &mut Tx,
    lease: Lease,
    ending: &Ending,
    registry: &Registry,
    now_ms: i64,
) -> Result<Recorded> {
    let Some(task) = tx.leased(lease).await? else { return Ok(Recorded::Stale) };
    let run = task.below.run;
    let (error, recorded) = match ending {
        Ending::Done(done) => {
            save(tx, &task, done, now_ms).await?;
            (None, Recorded::Ended)
        }
        Ending::Interrupted if !task.cancel_requested => {
            tx.requeue(&task, None, 0, now_ms).await?;
            return Ok(Recorded::Requeued("the engine stopped".to_owned(), 0));
        }
        Ending::Interrupted => {
            let error = JobError {
                code: "cancelled".to_owned(),
                message: "The run was cancelled.".to_owned(),
            };
            (Some(error), Recorded::Ended)
        }
        Ending::Failed(failure) => {
            let error =
                JobError { code: failure.code.to_string(), message: failure.message.clone() };
            let pause = match failure.retry {
                Retry::Never => None,
                Retry::Backoff => Some(backoff_ms(lease)),
                Retry::PauseLane { ms } => Some(ms),
            };
            if let (Some(ms), true, false) = (pause, task.attempts_left > 0, task.cancel_requested)
            {
                let after = now_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
                tx.requeue(&task, Some(&error), after, now_ms).await?;
                return Ok(Recorded::Requeued(error.message, ms));
            }
            tx.warn(run, lease.job, &format!("{}: {}", task.name, error.message), now_ms).await?;
            let message = error.message.clone();
            (Some(error), Recorded::Failed(message))
        }
    };
    if tx.end_task(lease.job, error.as_ref(), now_ms).await?.is_some() {
        advance(tx, run, registry, now_ms).await?;
    }
    Ok(recorded)
}

async fn save(tx: &mut Tx, task: &Leased, done: &Done, now_ms: i64) -> Result<()> {
    for document in &done.documents {
        tx.save_document(task.below, document, now_ms).await?;
    }
    for id in &done.unchanged {
        tx.touch_document(task.below, *id, now_ms).await?;
    }
    for warning in &done.warnings {
        tx.warn(task.below.run, task.below.parent, warning, now_ms).await?;
    }
    if task.cancel_requested {
        return Ok(());
    }
    let left_out =
        tx.insert_tasks(task.below, &done.children, done.max_step_tasks, now_ms).await?.left_out;
    if let (Some(most), 1..) = (done.max_step_tasks, left_out) {
        let message = format!(
            "The limit of {most} was reached and more was found. Raise the limit to get the rest."
        );
        tx.warn_once(task.below.run, task.below.step, &message, now_ms).await?;
    }
    Ok(())
}

/// Writes children of a task that is still running.
pub(crate) async fn spawn(
    tx: &mut Tx,
    lease: Lease,
    children: &[TaskRow],
    now_ms: i64,
) -> Result<Option<u64>> {
    match tx.leased(lease).await? {
        Some(task) if !task.cancel_requested => tx
            .insert_tasks(task.below, children, None, now_ms)
            .await
            .map(|inserted| Some(inserted.written)),
        Some(_) | None => Ok(None),
    }
}

/// Exponential backoff with full jitter: 2, 4, 8, … seconds at most, 5 minutes at the very most.
/// The jitter comes from the job and the attempt, so that it needs no source of randomness.
pub(crate) fn backoff_ms(lease: Lease) -> u64 {
    let exponent = u32::try_from(lease.attempt.clamp(1, 20)).unwrap_or(20);
    let ceiling = (1_000_u64 << exponent).min(300_000);
    // splitmix64, Steele et al. 2014.
    let mut z = lease.job.0.unsigned_abs().wrapping_mul(31).wrapping_add(u64::from(exponent));
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    250 + z % (ceiling - 250)
}

#[cfg(test)]
mod tests {
    use quaero_contract::JobId;

    use super::*;

    #[test]
    fn the_backoff_grows_stays_in_bounds_and_differs_between_jobs() {
        for attempt in 1..60 {
            for job in 1..200 {
                let ms = backoff_ms(Lease { job: JobId(job), attempt });
                assert!((250..=300_000).contains(&ms), "{ms} ms for attempt {attempt}");
            }
        }
        let first: std::collections::BTreeSet<u64> =
            (1..50).map(|job| backoff_ms(Lease { job: JobId(job), attempt: 1 })).collect();
        assert!(first.len() > 40, "the pauses of different jobs must differ");
    }
}
