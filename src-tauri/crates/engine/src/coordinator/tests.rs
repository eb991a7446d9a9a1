//! What follows from the state of a run, as rows of data.

use quaero_contract::DocumentCounts;

use super::*;

const NOW: i64 = 1_000;

/// A step as `name:status[:word]…[<dependency]…[?condition]`. Words: the error strategies,
/// `always`, `drained`, `good`, `bad`, `late` (past its deadline), `timed` (its deadline is at
/// 5,000), `stopped`, `later` (to be tried again at 9,000), `last` (attempt 3 of 3), `unmet` (its
/// condition did not hold), `runs=N` (runs it has yet to start), `keeps` (what it has brought stands
/// when it is late), `enough` (stopped, as it has enough), `sweeps` (it has yet to look after documents).
fn step(n: usize, text: &str) -> StepRow {
    let (text, condition) = match text.split_once('?') {
        Some((text, condition)) => (text, Some(condition.to_owned())),
        None => (text, None),
    };
    let mut parts = text.split('<');
    let head: Vec<&str> = parts.next().unwrap_or_default().split(':').collect();
    let has = |word: &str| head.contains(&word);
    let number = |word: bool| u32::from(word);
    let status = JobStatus::parse(head[1]).expect("a status");
    let runs = head.iter().find_map(|word| word.strip_prefix("runs=")?.parse().ok());
    let jobs = JobCounts {
        pending: number(status == JobStatus::Waiting),
        failed: number(has("bad")),
        completed: number(has("good")),
        ..JobCounts::default()
    };
    StepRow {
        id: JobId(i64::try_from(n).expect("small") + 2),
        name: head[0].to_owned(),
        step_type: "test".to_owned(),
        depends: parts.map(ToOwned::to_owned).collect(),
        on_error: OnError::ALL
            .into_iter()
            .find(|on_error| has(on_error.as_str()))
            .unwrap_or_default(),
        always_run: has("always"),
        condition,
        status,
        error_code: has("unmet").then(|| CONDITION.to_owned()),
        open: number(status == JobStatus::Waiting && !has("drained")),
        round: (jobs.completed, jobs.failed, 0),
        jobs,
        documents: DocumentCounts::default(),
        warnings: 0,
        attempt: match (has("last"), status == JobStatus::Pending && !has("later")) {
            (true, _) => 3,
            (_, true) => 0,
            (false, false) => 1,
        },
        max_attempts: 3,
        retry_delay_ms: 2_000,
        max_retry_delay_ms: 10_000,
        run_after_ms: if has("later") { 9_000 } else { 0 },
        deadline_ms: match (has("late"), has("timed")) {
            (true, _) => Some(NOW),
            (_, true) => Some(5_000),
            _ => None,
        },
        keep_on_timeout: has("keeps"),
        sweep_due: has("sweeps"),
        stop: match (has("stopped"), has("enough")) {
            (true, _) => Some(error("timeout", "It took too long.".to_owned())),
            (_, true) => Some(error(ENOUGH, "It has enough.".to_owned())),
            _ => None,
        },
        starts_runs: runs.is_some(),
        instances_left: runs.unwrap_or(0),
        parallel: 2,
        completed_before: false,
    }
}

fn run(steps: &[&str]) -> RunState {
    let steps: Vec<StepRow> = steps.iter().enumerate().map(|(n, text)| step(n, text)).collect();
    RunState {
        status: JobStatus::Waiting,
        cancel_requested: false,
        held: false,
        paused: false,
        deadline_ms: None,
        stop: None,
        tolerance: None,
        jobs: JobCounts {
            completed: steps.iter().map(|step| step.jobs.completed).sum(),
            failed: steps.iter().map(|step| step.jobs.failed).sum(),
            ..JobCounts::default()
        },
        variables: vec![("depth".to_owned(), "3".to_owned())],
        parent_run: None,
        reuse: None,
        steps,
    }
}

fn check_run(run: &RunState, expected: &[&str]) {
    let name = |n: usize| run.steps[n].name.clone();
    let found: Vec<String> = decide(run, NOW)
        .into_iter()
        .map(|decision| match decision {
            Decision::StopRun(error) => format!("stop run {}", error.code),
            Decision::Bear(Some(_)) => "warn".to_owned(),
            Decision::Bear(None) => "bear".to_owned(),
            Decision::Start(n) => format!("start {}", name(n)),
            Decision::StartRuns(n, count) => format!("start {count} of {}", name(n)),
            Decision::Skip(n, error) => format!("skip {} {}", name(n), error.code),
            Decision::EndStep(n, status) => format!("end {} {status}", name(n)),
            Decision::Sweep(n) => format!("sweep {}", name(n)),
            Decision::RetryStep(n) => format!("retry {}", name(n)),
            Decision::StopStep(n, error) => format!("stop {} {}", name(n), error.code),
            Decision::EndRun(status) => format!("run {status}"),
        })
        .collect();
    assert_eq!(found, expected, "{:?}", run.steps);
}

fn check(steps: &[&str], expected: &[&str]) {
    check_run(&run(steps), expected);
}

fn check_cancelled(steps: &[&str], expected: &[&str]) {
    check_run(&RunState { cancel_requested: true, ..run(steps) }, expected);
}

#[test]
fn steps_start_when_their_predecessors_have_ended() {
    check(&["a:pending", "b:pending<a"], &["start a"]);
    check(&["a:pending", "b:pending"], &["start a", "start b"]);
    check(&["a:waiting", "b:pending<a"], &[]);
    check(&["a:completed", "b:pending<a"], &["start b"]);
    check(&["a:completed", "b:waiting", "c:pending<a<b"], &[]);
}

#[test]
fn a_step_ends_as_its_tasks_did() {
    check(&["a:waiting:drained:good"], &["end a completed"]);
    check(&["a:waiting:drained:good:bad"], &["end a completed"]);
    check(&["a:waiting:drained:bad"], &["end a failed"]);
    check_cancelled(&["a:waiting:drained:good"], &["end a cancelled"]);
}

#[test]
fn the_error_strategy_decides_what_a_failure_means() {
    check(&["a:failed", "b:pending<a", "c:pending"], &["skip b dependency_failed", "start c"]);
    check(&["a:failed", "b:pending:always<a"], &["start b"]);
    check(
        &["a:failed:fail", "b:pending", "c:pending:always<a"],
        &["skip b run_stopped", "start c"],
    );
    check(&["a:failed:fail", "b:waiting"], &[]);
    check(&["a:failed:fatal", "b:waiting"], &["stop b cancelled"]);
    check(&["a:failed:fatal", "b:waiting:stopped"], &[]);
    check(&["a:failed:fatal", "b:waiting:always"], &[]);
    check(&["a:skipped", "b:pending<a"], &["skip b dependency_failed"]);
}

#[test]
fn a_step_is_tried_again_until_its_attempts_are_used_up() {
    check(&["a:waiting:retry:drained:bad"], &["retry a"]);
    check(&["a:waiting:retry:drained:bad:last"], &["end a failed"]);
    check(&["a:waiting:retry:drained:good:bad"], &["end a completed"]);
    check(&["a:pending:retry:later"], &[]);
    check(&["a:failed:retry:last", "b:pending"], &["skip b run_stopped"]);
    check_cancelled(&["a:waiting:retry:drained:bad"], &["end a cancelled"]);
    assert_eq!(next_wake(&run(&["a:pending:retry:later", "b:waiting:timed"])), Some(5_000));
    assert_eq!(next_wake(&run(&["a:pending:retry:later"])), Some(9_000));
    assert_eq!(next_wake(&run(&["a:waiting", "b:pending"])), None);
}

#[test]
fn what_takes_too_long_is_stopped_and_has_failed() {
    check(&["a:waiting:late"], &["stop a timeout"]);
    check(&["a:waiting:late:stopped"], &[]);
    check(&["a:failed:fatal", "b:waiting:late"], &["stop b timeout"]);
    check(&["a:waiting:stopped:drained:good"], &["end a failed"]);
    check(&["a:waiting:stopped:drained:retry"], &["retry a"]);
    check_run(&RunState { paused: true, ..run(&["a:waiting:late"]) }, &[]);
    let late = |steps| RunState { deadline_ms: Some(NOW), ..run(steps) };
    check_run(&late(&["a:waiting"]), &["stop run timeout"]);
    check_run(&RunState { paused: true, ..late(&["a:waiting"]) }, &[]);
    let stopped = |steps| RunState {
        stop: Some(error("timeout", "It took too long.".to_owned())),
        ..late(steps)
    };
    check_run(
        &stopped(&["a:waiting", "b:pending<a", "c:pending:always<a"]),
        &["stop a cancelled", "skip b run_stopped"],
    );
    check_run(&stopped(&["a:cancelled", "b:skipped", "c:pending:always<a"]), &["start c"]);
    check_run(&stopped(&["a:cancelled", "c:completed:always"]), &["run failed"]);
}

#[test]
fn a_step_that_has_enough_ends_with_what_it_has() {
    check(&["a:waiting:late:keeps"], &["stop a enough"]);
    check(&["a:waiting:enough:drained:good"], &["end a completed"]);
    check(&["a:waiting:enough:drained:good:bad"], &["end a completed"]);
    check(&["a:waiting:enough:drained"], &["end a failed"]);
    check_cancelled(&["a:waiting:enough:drained:good"], &["end a cancelled"]);
}

#[test]
fn a_step_that_went_well_looks_after_earlier_documents_before_it_ends() {
    check(&["a:waiting:drained:good:sweeps"], &["sweep a"]);
    check(&["a:waiting:sweeps"], &[]);
    check(&["a:waiting:drained:bad:sweeps"], &["end a failed"]);
    check(&["a:waiting:enough:drained:good:sweeps"], &["end a completed"]);
    check_cancelled(&["a:waiting:drained:good:sweeps"], &["end a cancelled"]);
}

#[test]
fn a_run_bears_as_many_failures_as_it_says() {
    let bears = |action, max_failures, max_percent, steps: &[&str]| RunState {
        tolerance: Some(Tolerance { max_failures, max_percent, min_sample: 2, action }),
        ..run(steps)
    };
    let stop = FailureAction::StopAll;
    check_run(&bears(stop, 1, None, &["a:waiting:bad"]), &[]);
    let two = &["a:waiting:bad", "b:waiting:bad"];
    check_run(&bears(stop, 1, None, two), &["stop run too_many_failures"]);
    check_run(&bears(stop, 0, None, two), &[]);
    check_run(&bears(stop, 0, Some(60.0), two), &["stop run too_many_failures"]);
    check_run(&bears(stop, 0, Some(60.0), &["a:waiting:bad"]), &[]);
    check_run(&bears(stop, 0, Some(60.0), &["a:waiting:bad:good"]), &[]);
    check_run(&bears(FailureAction::MarkWarning, 1, None, two), &["warn"]);
    check_run(&bears(FailureAction::Continue, 1, None, two), &["bear"]);
}

#[test]
fn a_condition_decides_whether_a_step_runs_and_its_successors_go_on() {
    check(&["a:completed:good", "b:pending<a?failed(\"a\")"], &["skip b condition_not_met"]);
    check(&["a:completed", "b:pending<a?config.depth > 2"], &["start b"]);
    check(&["a:waiting", "b:pending<a?completed(\"a\")"], &[]);
    check(&["a:skipped:unmet", "b:pending<a"], &["start b"]);
    check(&["a:failed", "b:pending:always<a?failed(\"a\")"], &["start b"]);
}

#[test]
fn a_step_starts_its_runs_a_few_at_a_time() {
    check(&["a:waiting:runs=5"], &["start 1 of a"]);
    check(&["a:waiting:drained:runs=5"], &["start 2 of a"]);
    check(&["a:waiting:drained:good:runs=0"], &["end a completed"]);
    check(&["a:waiting:drained:good:bad:runs=0"], &["end a failed"]);
    check(&["a:waiting:drained:stopped:runs=5"], &["end a failed"]);
    check_cancelled(&["a:waiting:drained:runs=5"], &["end a cancelled"]);
}

#[test]
fn a_held_run_waits_unless_it_is_cancelled() {
    let held = |cancel_requested| RunState { held: true, cancel_requested, ..run(&["a:pending"]) };
    check_run(&held(false), &[]);
    check_run(&held(true), &["end a cancelled"]);
}

#[test]
fn a_run_ends_when_all_its_steps_have() {
    check(&["a:completed", "b:completed"], &["run completed"]);
    check(&["a:failed", "b:completed"], &["run completed"]);
    check(&["a:failed:fail", "b:skipped"], &["run failed"]);
    check_cancelled(&["a:cancelled", "b:pending"], &["end b cancelled"]);
    check_cancelled(&["a:cancelled", "b:completed"], &["run cancelled"]);
}
