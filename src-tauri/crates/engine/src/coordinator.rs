//! The JobDefinitionOrchestrator: what follows when something in a run has ended.
//!
//! [`decide`] is pure: from the state of a run to what has to happen next. [`advance`] applies its
//! decisions until there are none, inside the transaction of the change that caused them. So there
//! is no state on disk in which a run waits for a decision that nobody will make.

use std::panic::{AssertUnwindSafe, catch_unwind};

use quaero_contract::{JobError, JobId, JobStatus};
use quaero_store::{Place, Result, RunState, StepRow, TaskRow, Tx};

use crate::work::{NewTask, Registry, StepStart, TaskError};

/// How often a task is tried.
pub(crate) const MAX_ATTEMPTS: u32 = 4;

/// One thing that has to happen. Steps are named by their place in the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Write the step's first tasks.
    Start(usize),
    /// The step will never start.
    Skip(usize, JobError),
    /// The step has nothing open any more.
    EndStep(usize, JobStatus),
    /// A step failed with `fatal`: end what else is under way in this step.
    CancelTasks(usize),
    /// Every step has ended.
    EndRun(JobStatus),
}

/// What has to happen next, or nothing.
pub(crate) fn decide(run: &RunState) -> Vec<Decision> {
    if run.status.is_terminal() {
        return Vec::new();
    }
    let drained: Vec<Decision> = run
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.status == JobStatus::Waiting && step.open == 0)
        .map(|(n, step)| Decision::EndStep(n, outcome(step, run.cancel_requested)))
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
    let stopped_by = run.steps.iter().find(|step| stops_the_run(step));
    let mut decisions = Vec::new();
    if stopped_by.is_some_and(|step| step.on_error == "fatal") {
        let under_way = run
            .steps
            .iter()
            .enumerate()
            .filter(|(_, s)| s.status == JobStatus::Waiting && !s.always_run);
        decisions.extend(
            under_way.filter(|(_, s)| s.jobs.pending > 0).map(|(n, _)| Decision::CancelTasks(n)),
        );
    }
    for (n, step) in pending(run) {
        let before: Vec<&StepRow> =
            run.steps.iter().filter(|other| step.depends.contains(&other.name)).collect();
        if let (Some(cause), false) = (stopped_by, step.always_run) {
            let message = format!("The run stopped because the step `{}` failed.", cause.name);
            decisions.push(Decision::Skip(n, JobError { code: "run_stopped".to_owned(), message }));
        } else if before.iter().any(|other| !other.status.is_terminal()) {
            // Its turn comes when they have ended.
        } else if let (Some(cause), false) =
            (before.iter().find(|other| other.status != JobStatus::Completed), step.always_run)
        {
            let message =
                format!("It depends on the step `{}`, which was {}.", cause.name, cause.status);
            decisions.push(Decision::Skip(
                n,
                JobError { code: "dependency_failed".to_owned(), message },
            ));
        } else {
            decisions.push(Decision::Start(n));
        }
    }
    decisions
}

fn pending(run: &RunState) -> impl Iterator<Item = (usize, &StepRow)> {
    run.steps.iter().enumerate().filter(|(_, step)| step.status == JobStatus::Pending)
}

/// A step fails when nothing in it succeeded and something failed. A few bad pages among many good
/// ones are warnings, not a failure.
fn outcome(step: &StepRow, cancelled: bool) -> JobStatus {
    if cancelled {
        JobStatus::Cancelled
    } else if step.jobs.completed == 0 && step.jobs.failed > 0 {
        JobStatus::Failed
    } else if step.jobs.completed == 0 && step.jobs.cancelled > 0 {
        JobStatus::Cancelled
    } else {
        JobStatus::Completed
    }
}

fn stops_the_run(step: &StepRow) -> bool {
    step.status == JobStatus::Failed && step.on_error != "continue"
}

fn run_outcome(run: &RunState) -> JobStatus {
    if run.cancel_requested {
        JobStatus::Cancelled
    } else if run.steps.iter().any(stops_the_run) {
        JobStatus::Failed
    } else {
        JobStatus::Completed
    }
}

/// Applies what follows from the present state of a run.
pub(crate) async fn advance(
    tx: &mut Tx,
    run: JobId,
    registry: &Registry,
    now_ms: i64,
) -> Result<()> {
    while let Some(state) = tx.run_state(run).await? {
        let decisions = decide(&state);
        if decisions.is_empty() {
            break;
        }
        for decision in decisions {
            apply(tx, run, &state, decision, registry, now_ms).await?;
        }
    }
    Ok(())
}

async fn apply(
    tx: &mut Tx,
    run: JobId,
    state: &RunState,
    decision: Decision,
    registry: &Registry,
    now_ms: i64,
) -> Result<()> {
    match decision {
        Decision::Start(n) => start(tx, run, &state.steps[n], registry, now_ms).await,
        Decision::Skip(n, error) => {
            let step = &state.steps[n];
            tx.warn(
                run,
                step.id,
                &format!("Step `{}` was skipped. {}", step.name, error.message),
                now_ms,
            )
            .await?;
            tx.move_job(step.id, JobStatus::Skipped, Some(&error), now_ms).await
        }
        Decision::EndStep(n, status) => {
            let step = &state.steps[n];
            let error = match status {
                JobStatus::Failed => tx.first_task_error(step.id).await?,
                _ => None,
            };
            tx.move_job(step.id, status, error.as_ref(), now_ms).await
        }
        Decision::CancelTasks(n) => {
            tx.cancel_tasks(run, Some(state.steps[n].id), now_ms).await.map(|_| ())
        }
        Decision::EndRun(status) => {
            let cause = match status {
                JobStatus::Failed => state.steps.iter().find(|step| stops_the_run(step)),
                _ => None,
            };
            let error = match cause {
                Some(step) => tx.job_error(step.id).await?.map(|error| JobError {
                    message: format!("Step `{}` failed: {}", step.name, error.message),
                    ..error
                }),
                None => None,
            };
            tx.move_job(run, status, error.as_ref(), now_ms).await
        }
    }
}

async fn start(
    tx: &mut Tx,
    run: JobId,
    step: &StepRow,
    registry: &Registry,
    now_ms: i64,
) -> Result<()> {
    let tasks = match registry.manager(&step.step_type) {
        Some(manager) => {
            let start = StepStart { name: step.name.clone(), config: step.config.clone() };
            catch_unwind(AssertUnwindSafe(|| manager.first_tasks(&start)))
                .unwrap_or_else(|_| Err(TaskError::permanent("panic", "It failed unexpectedly.")))
                .map_err(|error| JobError { code: error.code.into_owned(), message: error.message })
        }
        None => Err(JobError {
            code: "unknown_step_type".to_owned(),
            message: format!("This version of Quaero has no step type `{}`.", step.step_type),
        }),
    };
    match tasks {
        Err(error) => {
            tx.warn(
                run,
                step.id,
                &format!("Step `{}` could not start. {}", step.name, error.message),
                now_ms,
            )
            .await?;
            tx.move_job(step.id, JobStatus::Failed, Some(&error), now_ms).await
        }
        Ok(tasks) if tasks.is_empty() => {
            tx.move_job(step.id, JobStatus::Completed, None, now_ms).await
        }
        Ok(tasks) => {
            tx.move_job(step.id, JobStatus::Waiting, None, now_ms).await?;
            let place = Place { run, step: step.id, parent: step.id, depth: 0 };
            tx.insert_tasks(place, &rows(tasks), None, now_ms).await?;
            Ok(())
        }
    }
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
            max_attempts: MAX_ATTEMPTS,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use quaero_contract::JobCounts;
    use serde_json::Value;

    use super::*;

    /// A step as `name:status[:on_error][:always][<dependency]…`, with counts that fit its status.
    fn step(n: usize, text: &str) -> StepRow {
        let mut parts = text.split('<');
        let head: Vec<&str> = parts.next().unwrap_or_default().split(':').collect();
        let status = JobStatus::parse(head[1]).expect("a status");
        StepRow {
            id: JobId(i64::try_from(n).expect("small") + 2),
            name: head[0].to_owned(),
            step_type: "test".to_owned(),
            config: Value::Null,
            depends: parts.map(ToOwned::to_owned).collect(),
            on_error: ["fail", "fatal", "retry"]
                .into_iter()
                .find(|w| head.contains(w))
                .unwrap_or("continue")
                .to_owned(),
            always_run: head.contains(&"always"),
            status,
            open: u32::from(status == JobStatus::Waiting && !head.contains(&"drained")),
            jobs: JobCounts {
                pending: u32::from(status == JobStatus::Waiting),
                failed: u32::from(head.contains(&"bad")),
                completed: u32::from(head.contains(&"good")),
                ..JobCounts::default()
            },
        }
    }

    fn check(steps: &[&str], cancel: bool, expected: &[&str]) {
        let run = RunState {
            status: JobStatus::Waiting,
            cancel_requested: cancel,
            steps: steps.iter().enumerate().map(|(n, text)| step(n, text)).collect(),
        };
        let name = |n: usize| run.steps[n].name.clone();
        let found: Vec<String> = decide(&run)
            .into_iter()
            .map(|decision| match decision {
                Decision::Start(n) => format!("start {}", name(n)),
                Decision::Skip(n, error) => format!("skip {} {}", name(n), error.code),
                Decision::EndStep(n, status) => format!("end {} {status}", name(n)),
                Decision::CancelTasks(n) => format!("cancel {}", name(n)),
                Decision::EndRun(status) => format!("run {status}"),
            })
            .collect();
        assert_eq!(found, expected, "{steps:?}");
    }

    #[test]
    fn steps_start_when_their_predecessors_have_ended() {
        check(&["a:pending", "b:pending<a"], false, &["start a"]);
        check(&["a:pending", "b:pending"], false, &["start a", "start b"]);
        check(&["a:waiting", "b:pending<a"], false, &[]);
        check(&["a:completed", "b:pending<a"], false, &["start b"]);
        check(&["a:completed", "b:waiting", "c:pending<a<b"], false, &[]);
    }

    #[test]
    fn a_step_ends_as_its_tasks_did() {
        check(&["a:waiting:drained:good"], false, &["end a completed"]);
        check(&["a:waiting:drained:good:bad"], false, &["end a completed"]);
        check(&["a:waiting:drained:bad"], false, &["end a failed"]);
        check(&["a:waiting:drained:good"], true, &["end a cancelled"]);
    }

    #[test]
    fn the_error_strategy_decides_what_a_failure_means() {
        check(
            &["a:failed", "b:pending<a", "c:pending"],
            false,
            &["skip b dependency_failed", "start c"],
        );
        check(&["a:failed", "b:pending:always<a"], false, &["start b"]);
        check(
            &["a:failed:fail", "b:pending", "c:pending:always<a"],
            false,
            &["skip b run_stopped", "start c"],
        );
        check(&["a:failed:fail", "b:waiting"], false, &[]);
        check(&["a:failed:fatal", "b:waiting"], false, &["cancel b"]);
        check(&["a:skipped", "b:pending<a"], false, &["skip b dependency_failed"]);
    }

    #[test]
    fn a_run_ends_when_all_its_steps_have() {
        check(&["a:completed", "b:completed"], false, &["run completed"]);
        check(&["a:failed", "b:completed"], false, &["run completed"]);
        check(&["a:failed:fail", "b:skipped"], false, &["run failed"]);
        check(&["a:cancelled", "b:pending"], true, &["end b cancelled"]);
        check(&["a:cancelled", "b:completed"], true, &["run cancelled"]);
    }
}
