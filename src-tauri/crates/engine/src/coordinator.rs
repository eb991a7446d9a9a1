//! The JobDefinitionOrchestrator: what follows when something in a run has ended, or its time has
//! come.
//!
//! [`decide`] is pure: from the state of a run and the time to what has to happen next. [`advance`]
//! applies its decisions until there are none, inside the transaction of the change that caused
//! them. So there is no state on disk in which a run waits for a decision that nobody will make.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
};

use quaero_contract::{FailureAction, JobCounts, JobError, JobId, JobStatus, OnError};
use quaero_store::{Place, Point, Result, RunState, StepRow, TaskRow, Tolerance, Tx};
use serde_json::Value;

use crate::{
    backoff::backoff_ms,
    complete::too_many,
    definition::condition::{self, Facts, StepFacts, StepOutcome},
    work::{NewTask, Registry, StepStart, TaskError},
};

/// The code of the error with which a step is skipped because its condition does not hold. Its
/// successors go on: nothing has gone wrong.
const CONDITION: &str = "condition_not_met";

/// The code of the error with which a step is stopped that has enough: what it has brought stands.
pub(crate) const ENOUGH: &str = "enough";

/// Documents of earlier runs that a step looks after at its end, at most.
const MOST_UNSEEN: u32 = 10_000;

/// One thing that has to happen. Steps are named by their place in the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The run takes too long, or too much of it has failed: no new step starts, what runs is
    /// stopped, and the run fails.
    StopRun(JobError),
    /// More has failed than the run bears, and it goes on; with or without a warning.
    Bear(Option<String>),
    /// Write the step's first tasks.
    Start(usize),
    /// Start this many more of the runs of a step.
    StartRuns(usize, u32),
    /// The step will never start.
    Skip(usize, JobError),
    /// The step has nothing open any more, and this is how it ends.
    EndStep(usize, JobStatus),
    /// The step has nothing open any more, and looks after documents of earlier runs of it.
    Sweep(usize),
    /// The step has failed and is tried again.
    RetryStep(usize),
    /// End what is under way in this step, for this reason.
    StopStep(usize, JobError),
    /// Every step has ended.
    EndRun(JobStatus),
}

fn error(code: &str, message: String) -> JobError {
    JobError { code: code.to_owned(), message }
}

/// What has to happen next, or nothing.
pub(crate) fn decide(run: &RunState, now_ms: i64) -> Vec<Decision> {
    if run.status.is_terminal() || (run.held && !run.cancel_requested) {
        return Vec::new();
    }
    let live = !run.cancel_requested && run.stop.is_none();
    let timed = live && !run.paused;
    if timed && run.deadline_ms.is_some_and(|at| at <= now_ms) {
        let message = "The run took longer than its timeout.".to_owned();
        return vec![Decision::StopRun(error("timeout", message))];
    }
    if let (true, Some(tolerance)) = (live, &run.tolerance)
        && let Some(message) = exceeded(tolerance, &run.jobs)
    {
        return vec![match tolerance.action {
            FailureAction::StopAll => Decision::StopRun(error(
                "too_many_failures",
                format!("{message} The run was stopped."),
            )),
            FailureAction::MarkWarning => Decision::Bear(Some(message)),
            FailureAction::Continue => Decision::Bear(None),
        }];
    }
    let steps = || run.steps.iter().enumerate();
    let waiting = || steps().filter(|(_, step)| step.status == JobStatus::Waiting);
    let drained: Vec<Decision> = waiting()
        .filter(|(_, s)| s.open == 0 && starts(run, s) == 0)
        .map(|(n, s)| end(run, n, s))
        .collect();
    if !drained.is_empty() {
        return drained;
    }
    if run.steps.iter().all(|step| step.status.is_terminal()) {
        return vec![Decision::EndRun(run_outcome(run))];
    }
    if run.cancel_requested {
        return pending(run).map(|(n, _)| Decision::EndStep(n, JobStatus::Cancelled)).collect();
    }
    let mut decisions: Vec<Decision> = waiting()
        .filter_map(|(n, step)| {
            Some(Decision::StartRuns(n, Some(starts(run, step)).filter(|c| *c > 0)?))
        })
        .collect();
    let late = |step: &StepRow| !run.paused && step.deadline_ms.is_some_and(|at| at <= now_ms);
    decisions.extend(waiting().filter(|(_, step)| step.stop.is_none() && late(step)).map(
        |(n, step)| {
            let message = format!("Step `{}` took longer than its timeout.", step.name);
            let code = if step.keep_on_timeout { ENOUGH } else { "timeout" };
            Decision::StopStep(n, error(code, message))
        },
    ));
    // The one that ends everything at once is the reason, if there is one.
    let stopping = || run.steps.iter().filter(|step| stops_the_run(step));
    let fatal = stopping().find(|step| step.on_error == OnError::Fatal);
    let stopped_by = fatal.or_else(|| stopping().next());
    let cause = run.stop.as_ref().map(|stop| stop.message.clone()).or_else(|| {
        stopped_by.map(|step| format!("The run stopped because the step `{}` failed.", step.name))
    });
    if let (Some(message), true) = (&cause, run.stop.is_some() || fatal.is_some()) {
        decisions.extend(
            waiting()
                .filter(|(_, step)| step.stop.is_none() && !step.always_run && !late(step))
                .map(|(n, _)| Decision::StopStep(n, error("cancelled", message.clone()))),
        );
    }
    for (n, step) in pending(run) {
        let before: Vec<&StepRow> =
            run.steps.iter().filter(|other| step.depends.contains(&other.name)).collect();
        if cause.is_some() && !step.always_run && step.attempt > 0 {
            // It has failed, and was to be tried again.
            decisions.push(Decision::EndStep(n, JobStatus::Failed));
        } else if let (Some(message), false) = (&cause, step.always_run) {
            decisions.push(Decision::Skip(n, error("run_stopped", message.clone())));
        } else if step.run_after_ms > now_ms
            || before.iter().any(|other| !other.status.is_terminal())
        {
            // Its turn comes later.
        } else if let (Some(cause), false) =
            (before.iter().find(|other| !lets_go_on(other)), step.always_run)
        {
            let message =
                format!("It depends on the step `{}`, which {}.", cause.name, ended(cause.status));
            decisions.push(Decision::Skip(n, error("dependency_failed", message)));
        } else if !holds(run, step) {
            let condition = step.condition.as_deref().unwrap_or_default();
            let message = format!("Its condition does not hold: {condition}");
            decisions.push(Decision::Skip(n, error(CONDITION, message)));
        } else {
            decisions.push(Decision::Start(n));
        }
    }
    decisions
}

/// When [`decide`] has to be asked again although nothing has happened.
pub(crate) fn next_wake(run: &RunState) -> Option<i64> {
    if run.status.is_terminal() || run.held {
        return None;
    }
    let live = !run.cancel_requested && run.stop.is_none();
    let whole = run.deadline_ms.filter(|_| live && !run.paused);
    let deadlines = run.steps.iter().filter_map(|step| {
        let timed = step.status == JobStatus::Waiting && step.stop.is_none() && !run.paused;
        step.deadline_ms.filter(|_| timed)
    });
    let retries = run
        .steps
        .iter()
        .filter(|step| step.status == JobStatus::Pending && step.run_after_ms > 0)
        .map(|step| step.run_after_ms);
    deadlines.chain(retries).chain(whole).min()
}

fn pending(run: &RunState) -> impl Iterator<Item = (usize, &StepRow)> {
    run.steps.iter().enumerate().filter(|(_, step)| step.status == JobStatus::Pending)
}

/// How many more runs a step may start now.
fn starts(run: &RunState, step: &StepRow) -> u32 {
    if run.cancel_requested || step.stop.is_some() || (run.stop.is_some() && !step.always_run) {
        return 0;
    }
    step.instances_left.min(step.parallel.saturating_sub(step.open))
}

/// Whether the successors of a step that has ended may start.
fn lets_go_on(step: &StepRow) -> bool {
    step.status == JobStatus::Completed
        || (step.status == JobStatus::Skipped && step.error_code.as_deref() == Some(CONDITION))
}

fn end(run: &RunState, n: usize, step: &StepRow) -> Decision {
    let outcome = outcome(step, run.cancel_requested);
    if outcome == JobStatus::Completed
        && step.sweep_due
        && step.stop.is_none()
        && run.stop.is_none()
    {
        return Decision::Sweep(n);
    }
    let again = outcome == JobStatus::Failed
        && step.on_error == OnError::Retry
        && step.attempt < step.max_attempts
        && run.stop.is_none()
        && (step.always_run || !run.steps.iter().any(stops_the_run));
    if again { Decision::RetryStep(n) } else { Decision::EndStep(n, outcome) }
}

const fn ended(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Failed => "failed",
        JobStatus::Cancelled => "was cancelled",
        JobStatus::Skipped => "was skipped",
        JobStatus::Completed => "completed",
        JobStatus::Pending | JobStatus::Running | JobStatus::Waiting => "has not ended",
    }
}

/// A step fails when nothing in it succeeded and something failed, or when it took too long. A few
/// bad pages among many good ones are warnings, not a failure.
fn outcome(step: &StepRow, cancelled: bool) -> JobStatus {
    let (completed, failed, ended) = step.round;
    match &step.stop {
        _ if cancelled => JobStatus::Cancelled,
        Some(stop) if stop.code == "timeout" => JobStatus::Failed,
        Some(stop) if stop.code != ENOUGH => JobStatus::Cancelled,
        // What it brought before stands, whatever becomes of what had failed.
        _ if step.completed_before => JobStatus::Completed,
        // It has enough of nothing.
        Some(_) if completed == 0 => JobStatus::Failed,
        _ if completed == 0 && failed > 0 => JobStatus::Failed,
        _ if completed == 0 && ended > 0 => JobStatus::Cancelled,
        // Of runs below a step each one matters.
        None if step.starts_runs && failed + ended > 0 => JobStatus::Failed,
        _ => JobStatus::Completed,
    }
}

fn stops_the_run(step: &StepRow) -> bool {
    step.status == JobStatus::Failed && step.on_error != OnError::Continue
}

fn run_outcome(run: &RunState) -> JobStatus {
    if run.cancel_requested {
        JobStatus::Cancelled
    } else if run.stop.is_some() || run.steps.iter().any(stops_the_run) {
        JobStatus::Failed
    } else {
        JobStatus::Completed
    }
}

/// What to say if more has failed than a run bears.
fn exceeded(tolerance: &Tolerance, jobs: &JobCounts) -> Option<String> {
    let done = jobs.completed + jobs.failed;
    if tolerance.max_failures > 0 && jobs.failed > tolerance.max_failures {
        let most = tolerance.max_failures;
        return Some(format!("{} tasks have failed, and at most {most} may.", jobs.failed));
    }
    let most = tolerance.max_percent?;
    let share = f64::from(jobs.failed) * 100.0 / f64::from(done.max(1));
    (done >= tolerance.min_sample && share > most)
        .then(|| format!("{} of {done} tasks have failed, and at most {most} % may.", jobs.failed))
}

/// Whether a step's condition holds; without one it does.
fn holds(run: &RunState, step: &StepRow) -> bool {
    let Some(text) = &step.condition else { return true };
    // It was checked when the run was accepted.
    condition::parse(text).is_ok_and(|condition| condition.holds(&Outcomes(run)))
}

/// What conditions can ask of a run.
struct Outcomes<'a>(&'a RunState);

impl Facts for Outcomes<'_> {
    fn step(&self, name: &str) -> Option<StepFacts> {
        let step = self.0.steps.iter().find(|step| step.name == name)?;
        let outcome = match step.status {
            JobStatus::Completed => StepOutcome::Completed,
            JobStatus::Failed => StepOutcome::Failed,
            JobStatus::Cancelled => StepOutcome::Cancelled,
            JobStatus::Skipped => StepOutcome::Skipped,
            JobStatus::Pending | JobStatus::Running | JobStatus::Waiting => return None,
        };
        Some(StepFacts {
            outcome,
            created: step.documents.created.into(),
            updated: step.documents.updated.into(),
            unchanged: step.documents.unchanged.into(),
            failures: step.jobs.failed.into(),
            warnings: step.warnings.into(),
        })
    }

    fn variable(&self, name: &str) -> Option<Value> {
        let found = self.0.variables.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| Value::String(value.clone()))
    }
}

/// Applies what follows from the present state of a run, and of the runs above and below it that
/// are moved on by that.
pub(crate) fn advance(tx: &mut Tx, run: JobId, registry: &Registry, now_ms: i64) -> Result<()> {
    let mut runs = VecDeque::from([run]);
    while let Some(run) = runs.pop_front() {
        while let Some(state) = tx.run_state(run)? {
            let decisions = decide(&state, now_ms);
            if decisions.is_empty() {
                tx.wake_at(run, next_wake(&state));
                break;
            }
            for decision in decisions {
                apply(tx, run, &state, decision, registry, now_ms, &mut runs)?;
            }
        }
    }
    Ok(())
}

/// Cancels a run and all below it, and moves them on.
pub(crate) fn cancel(tx: &mut Tx, run: JobId, registry: &Registry, now_ms: i64) -> Result<()> {
    for run in tx.cancel_run(run, now_ms)? {
        advance(tx, run, registry, now_ms)?;
    }
    Ok(())
}

fn apply(
    tx: &mut Tx,
    run: JobId,
    state: &RunState,
    decision: Decision,
    registry: &Registry,
    now_ms: i64,
    more: &mut VecDeque<JobId>,
) -> Result<()> {
    match decision {
        Decision::StopRun(error) => {
            tx.warn(run, run, &error.message, now_ms)?;
            tx.stop_run(run, &error)
        }
        Decision::Bear(message) => {
            if let Some(message) = message {
                tx.warn(run, run, &message, now_ms)?;
            }
            tx.note_tolerance_exceeded(run)
        }
        Decision::Start(n) => start(tx, run, state, &state.steps[n], registry, now_ms),
        Decision::StartRuns(n, count) => {
            more.extend(tx.start_instances(state.steps[n].id, count, now_ms)?);
            Ok(())
        }
        Decision::Skip(n, error) => {
            let step = &state.steps[n];
            if error.code != CONDITION {
                let message = format!("Step `{}` was skipped. {}", step.name, error.message);
                tx.warn(run, step.id, &message, now_ms)?;
            }
            tx.move_job(step.id, JobStatus::Skipped, Some(&error), now_ms)?;
            Point::StepSkipped.reach()
        }
        Decision::EndStep(n, status) => {
            let step = &state.steps[n];
            let error = end_error(tx, step, status)?;
            // Tasks that fail are warnings of their run; those of runs below are not.
            if let (JobStatus::Failed, true, Some(error)) = (status, step.starts_runs, &error) {
                let message = format!("Step `{}` failed: {}", step.name, error.message);
                tx.warn(run, step.id, &message, now_ms)?;
            }
            tx.move_job(step.id, status, error.as_ref(), now_ms)?;
            Point::StepEnded.reach()
        }
        Decision::Sweep(n) => sweep(tx, run, &state.steps[n], registry, now_ms),
        Decision::RetryStep(n) => {
            let step = &state.steps[n];
            let error = end_error(tx, step, JobStatus::Failed)?;
            let pause =
                backoff_ms(step.id, step.attempt, step.retry_delay_ms, step.max_retry_delay_ms);
            let message = format!(
                "Step `{}` failed and is tried again (attempt {} of {}).",
                step.name,
                step.attempt + 1,
                step.max_attempts
            );
            tx.warn(run, step.id, &message, now_ms)?;
            let after = now_ms.saturating_add(i64::try_from(pause).unwrap_or(i64::MAX)).max(1);
            tx.retry_step(step.id, error.as_ref(), after, now_ms)
        }
        Decision::StopStep(n, error) => {
            let step = &state.steps[n];
            if matches!(error.code.as_str(), "timeout" | ENOUGH) {
                tx.warn(run, step.id, &error.message, now_ms)?;
            }
            more.extend(tx.stop_step(run, step.id, &error, now_ms)?);
            Ok(())
        }
        Decision::EndRun(status) => {
            let error = match (status, &state.stop) {
                (JobStatus::Failed, Some(stop)) => Some(stop.clone()),
                (JobStatus::Failed, None) => {
                    let cause = state.steps.iter().find(|step| stops_the_run(step));
                    match cause {
                        Some(step) => tx.job_error(step.id)?.map(|error| JobError {
                            message: format!("Step `{}` failed: {}", step.name, error.message),
                            ..error
                        }),
                        None => None,
                    }
                }
                _ => None,
            };
            tx.move_job(run, status, error.as_ref(), now_ms)?;
            Point::RunEnded.reach()?;
            more.extend(tx.release_next(run, now_ms)?);
            more.extend(state.parent_run);
            Ok(())
        }
    }
}

fn end_error(tx: &mut Tx, step: &StepRow, status: JobStatus) -> Result<Option<JobError>> {
    match (status, &step.stop) {
        (JobStatus::Failed, Some(stop)) if stop.code == ENOUGH => {
            Ok(Some(JobError { code: "timeout".to_owned(), message: stop.message.clone() }))
        }
        (JobStatus::Failed | JobStatus::Cancelled, Some(stop)) => Ok(Some(stop.clone())),
        (JobStatus::Failed, None) => tx.first_task_error(step.id),
        _ => Ok(None),
    }
}

fn start(
    tx: &mut Tx,
    run: JobId,
    state: &RunState,
    step: &StepRow,
    registry: &Registry,
    now_ms: i64,
) -> Result<()> {
    if step.starts_runs {
        return tx.open_step(step.id, now_ms);
    }
    if let (Some(_), Some(earlier)) = (state.reuse, tx.reused_from(step.id)?) {
        tx.open_step(step.id, now_ms)?;
        tx.copy_failed_tasks(earlier, run, step.id, now_ms)?;
        return Ok(());
    }
    let tasks = match registry.manager(&step.step_type) {
        Some(manager) => {
            let (config, most) = tx.start_config(step.id)?;
            let start = StepStart { name: step.name.clone(), config };
            catch_unwind(AssertUnwindSafe(|| manager.first_tasks(&start)))
                .unwrap_or_else(|_| Err(TaskError::permanent("panic", "It failed unexpectedly.")))
                .and_then(|tasks| tasks.iter().try_for_each(NewTask::check).map(|()| tasks))
                .map_err(|e| error(&e.code, e.message))
                .and_then(|tasks| match u32::try_from(tasks.len()).is_ok_and(|n| n <= most) {
                    true => Ok(tasks),
                    false => Err(too_many(most)),
                })
        }
        // A step that only starts runs, and has none to start.
        None if step.step_type == "job_template" => Ok(Vec::new()),
        None => {
            let message = format!("This version of Quaero has no step type `{}`.", step.step_type);
            Err(error("unknown_step_type", message))
        }
    };
    match tasks {
        Err(error) => {
            let message = format!("Step `{}` could not start. {}", step.name, error.message);
            tx.warn(run, step.id, &message, now_ms)?;
            tx.move_job(step.id, JobStatus::Failed, Some(&error), now_ms)
        }
        Ok(tasks) if tasks.is_empty() => tx.move_job(step.id, JobStatus::Completed, None, now_ms),
        Ok(tasks) => {
            tx.open_step(step.id, now_ms)?;
            if registry.manager(&step.step_type).is_some_and(|manager| manager.sweeps()) {
                tx.sweep_later(step.id)?;
            }
            let place = Place { run, step: step.id, parent: step.id, depth: 0 };
            tx.insert_tasks(place, &rows(tasks), None, now_ms)?;
            Ok(())
        }
    }
}

/// Writes the tasks that look after what earlier runs of the step brought and this one has not seen.
fn sweep(tx: &mut Tx, run: JobId, step: &StepRow, registry: &Registry, now_ms: i64) -> Result<()> {
    let unseen = tx.sweep(step.id, MOST_UNSEEN)?;
    let Some(manager) = registry.manager(&step.step_type).filter(|_| !unseen.is_empty()) else {
        return Ok(());
    };
    let (config, most) = tx.start_config(step.id)?;
    let start = StepStart { name: step.name.clone(), config };
    let tasks = catch_unwind(AssertUnwindSafe(|| manager.look_after(&start, &unseen)));
    let mut tasks = tasks.unwrap_or_default();
    tasks.retain(|task| task.check().is_ok());
    let place = Place { run, step: step.id, parent: step.id, depth: 0 };
    tx.insert_tasks(place, &rows(tasks), Some(most), now_ms)?;
    Ok(())
}

/// Tasks as rows of the queue.
pub(crate) fn rows(tasks: Vec<NewTask>) -> Vec<TaskRow> {
    tasks
        .into_iter()
        .map(|task| TaskRow {
            task_type: task.task_type.to_owned(),
            name: task.name,
            key: task.key,
            payload: task.payload,
            lane: task.lane.name.into_owned(),
            lane_limit: task.lane.limit.max(1),
            lane_delay_ms: task.lane.delay_ms,
            priority: task.priority,
        })
        .collect()
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
