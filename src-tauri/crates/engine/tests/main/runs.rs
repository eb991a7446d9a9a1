//! Everything a run can do: it is tried again, timed, stopped, paused, repeated in part, and it leads
//! to other runs.

use std::sync::Arc;

use quaero_contract::{FailureAction, JobId, RerunPart, RunSummary};
use quaero_store::{Keep, NewRun, Reuse, Tolerance};
use serde_json::json;

use crate::{
    soon,
    support::{Bench, Manual, Step, WIDTH, new_run},
};

#[tokio::test]
async fn a_step_that_fails_is_tried_again_with_tasks_of_its_own() {
    let bench = Bench::new().await;
    let step = || Step::new("a", json!({"fail_when_first": true})).on_error("retry");
    let run = bench.submit(vec![step(), Step::new("b", json!({})).after(&["a"])]).await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!(summary.status.as_str(), "completed");
    assert_eq!((summary.jobs.completed, summary.jobs.failed), (2, 1));
    assert_eq!(bench.step_statuses(run).await, ["completed", "completed"]);
    let view = bench.store().get_run(run, None, 0).await.unwrap().unwrap();
    assert_eq!((view.steps[0].attempt, view.steps[0].error.clone()), (2, None));
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_step_that_keeps_failing_fails_the_run_after_its_attempts() {
    let bench = Bench::new().await;
    let step = Step::new("a", json!({"fail": true})).on_error("retry");
    let run = bench.submit(vec![step.with(|step| step.max_attempts = 3)]).await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!((summary.status.as_str(), bench.starts()), ("failed", 3));
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_step_that_takes_too_long_is_stopped_and_the_rest_goes_on() {
    let clock = Manual::at(1_000_000);
    let bench = Bench::with_clock(Arc::new(clock.clone())).await;
    let slow = Step::new("slow", json!({"width": 3, "depth": 1, "hang": true}));
    let run = bench
        .submit(vec![
            slow.with(|step| step.timeout_ms = Some(60_000)),
            Step::new("after", json!({})).after(&["slow"]).with(|step| step.always_run = true),
        ])
        .await;
    bench.until_starts(4).await;
    clock.set(1_059_999);
    bench.assert_consistent().await;
    assert_eq!(bench.step_statuses(run).await, ["waiting", "pending"]);
    clock.set(1_060_001);
    assert_eq!(soon(bench.wait(run)).await.status.as_str(), "completed");
    assert_eq!(bench.step_statuses(run).await, ["failed", "completed"]);
    let view = bench.store().get_run(run, None, 0).await.unwrap().unwrap();
    assert_eq!(view.steps[0].error.as_ref().unwrap().code, "timeout");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_run_that_takes_too_long_fails_and_what_always_runs_still_does() {
    let clock = Manual::at(1_000_000);
    let bench = Bench::with_clock(Arc::new(clock.clone())).await;
    let steps = vec![
        Step::new("slow", json!({"depth": 0, "hang": true})),
        Step::new("never", json!({})).after(&["slow"]),
        Step::new("tell", json!({})).after(&["never"]).with(|step| step.always_run = true),
    ];
    let run = bench.submit_run(NewRun { timeout_ms: Some(5_000), ..new_run(steps) }).await;
    bench.until_starts(1).await;
    clock.set(1_006_000);
    let summary = soon(bench.wait(run)).await;
    assert_eq!(summary.error.unwrap().code, "timeout");
    assert_eq!(bench.step_statuses(run).await, ["cancelled", "skipped", "completed"]);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_task_that_takes_too_long_is_given_up_and_tried_again() {
    let bench = Bench::new().await;
    let step = Step::new("a", json!({"depth": 0, "hang": true})).with(|step| {
        step.task_timeout_ms = 50;
        step.task_attempts = 2;
    });
    let run = bench.submit(vec![step]).await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!((summary.jobs.failed, bench.starts()), (1, 2));
}

async fn tolerated(action: FailureAction) -> (RunSummary, u64) {
    let bench = Bench::new().await;
    let config = json!({"width": 200, "depth": 1, "failing": [0, 1, 2, 3], "lane_limit": 1});
    let tolerance = Tolerance { max_failures: 2, max_percent: None, min_sample: 1, action };
    let run = NewRun { tolerance: Some(tolerance), ..new_run(vec![Step::new("a", config)]) };
    let run = bench.submit_run(run).await;
    let summary = soon(bench.wait(run)).await;
    bench.assert_consistent().await;
    (summary, bench.starts())
}

#[tokio::test]
async fn too_many_failures_act_as_they_happen() {
    let (summary, starts) = tolerated(FailureAction::StopAll).await;
    assert_eq!(summary.error.unwrap().code, "too_many_failures");
    assert_eq!((summary.jobs.failed, starts), (3, 4), "the other tasks never start");
    let (summary, starts) = tolerated(FailureAction::MarkWarning).await;
    assert_eq!((summary.status.as_str(), summary.jobs.failed, starts), ("completed", 4, 201));
    let marked = summary.warnings;
    let (summary, _) = tolerated(FailureAction::Continue).await;
    assert_eq!((summary.status.as_str(), summary.warnings), ("completed", marked - 1));
}

#[tokio::test]
async fn a_fatal_failure_stops_running_work_of_other_steps() {
    let bench = Bench::new().await;
    let run = bench
        .submit(vec![
            Step::new("other", json!({"width": 3, "depth": 1, "hang": true})),
            Step::new("gate", json!({})),
            Step::new("bad", json!({"fail": true, "takes_ms": 30})).on_error("fatal"),
        ])
        .await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!(summary.status.as_str(), "failed");
    assert_eq!(bench.step_statuses(run).await, ["cancelled", "completed", "failed"]);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn nothing_of_a_paused_run_starts_until_it_is_resumed() {
    let bench = Bench::new().await;
    let config = json!({"width": 50, "depth": 1, "lane_limit": 1, "takes_ms": 1});
    let run = bench.submit(vec![Step::new("a", config)]).await;
    bench.until_starts(3).await;
    bench.engine().pause(run).await.unwrap();
    assert!(bench.store().run_progress(run).await.unwrap().unwrap().paused);
    // Another run does not mind; when it has ended, everything that could have started has.
    let other = bench.submit(vec![Step::new("b", json!({"width": 5, "depth": 1}))]).await;
    soon(bench.wait(other)).await;
    let paused = bench.store().run_progress(run).await.unwrap().unwrap();
    assert!(paused.jobs.completed < 40, "{:?}", paused.jobs);
    bench.engine().pause(run).await.unwrap();
    bench.engine().resume(run).await.unwrap();
    assert_eq!(soon(bench.wait(run)).await.jobs.completed, 51);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_pause_of_everything_stays_over_a_restart() {
    let bench = Bench::new().await;
    bench.engine().pause_all(true).await.unwrap();
    let run = bench.submit(vec![Step::new("a", json!({}))]).await;
    let bench = bench.restart(quaero_engine::Adopt::All).await;
    assert!(bench.engine().is_paused().await.unwrap());
    assert_eq!(bench.starts(), 0);
    bench.engine().pause_all(false).await.unwrap();
    assert_eq!(soon(bench.wait(run)).await.status.as_str(), "completed");
}

fn again(run: JobId, part: RerunPart, steps: Vec<Step>) -> NewRun {
    NewRun { reuse: Some(Reuse { run, part }), ..new_run(steps) }
}

fn three() -> Vec<Step> {
    vec![
        Step::new("a", json!({})),
        Step::new("b", json!({})).after(&["a"]),
        Step::new("c", json!({})).after(&["b"]),
    ]
}

#[tokio::test]
async fn a_run_is_repeated_from_a_step_and_the_others_keep_their_results() {
    let bench = Bench::new().await;
    let first = bench.submit(three()).await;
    soon(bench.wait(first)).await;
    let second = bench.submit_run(again(first, RerunPart::From("b".to_owned()), three())).await;
    let summary = soon(bench.wait(second)).await;
    assert_eq!(summary.rerun_of, Some(first));
    assert_eq!(bench.order(), ["a", "b", "c", "b", "c"]);
    assert_eq!(summary.documents.unchanged, 3, "the documents of `a` are those of this run, too");
    let view = bench.store().get_run(second, None, 0).await.unwrap().unwrap();
    let reused: Vec<_> = view.steps.iter().map(|step| step.reused_from).collect();
    assert_eq!(reused, [Some(first), None, None]);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn results_are_not_reused_when_the_work_has_changed() {
    let bench = Bench::new().await;
    let first = bench.submit(three()).await;
    soon(bench.wait(first)).await;
    let mut changed = three();
    changed[0] = Step::new("a", json!({"other": 1}));
    let second = bench.submit_run(again(first, RerunPart::From("c".to_owned()), changed)).await;
    soon(bench.wait(second)).await;
    assert_eq!(bench.order(), ["a", "b", "c", "a", "b", "c"], "`b` used what `a` brought");
}

#[tokio::test]
async fn only_what_failed_is_done_again() {
    let bench = Bench::new().await;
    let config = json!({"width": 20, "depth": 1, "failing": [3, 7]});
    let steps =
        || vec![Step::new("ok", json!({})), Step::new("wide", config.clone()).after(&["ok"])];
    let first = bench.submit(steps()).await;
    assert_eq!(soon(bench.wait(first)).await.jobs.failed, 2);
    let wish = again(first, RerunPart::Failed, steps());
    assert_eq!(bench.engine().working_steps(wish.clone()).await.unwrap(), ["wide"]);
    let second = bench.submit_run(wish).await;
    let summary = soon(bench.wait(second)).await;
    assert_eq!((summary.jobs.total, summary.jobs.failed), (2, 2), "they still fail");
    let mut order = bench.order().split_off(22);
    order.sort();
    assert_eq!(order, ["wide/3", "wide/7"]);
    assert_eq!(summary.documents.unchanged, 20, "what the others brought belongs to it");
    bench.assert_consistent().await;
}

fn child(name: &str, config: serde_json::Value) -> NewRun {
    NewRun {
        name: name.to_owned(),
        definition_id: name.to_owned(),
        ..new_run(vec![Step::new(name, config)])
    }
}

#[tokio::test]
async fn a_step_starts_runs_a_few_at_a_time_and_ends_with_the_last() {
    let bench = Bench::new().await;
    let runs = (0..7).map(|n| child(&format!("r{n}"), json!({"takes_ms": 2}))).collect();
    let run = bench
        .submit(vec![Step::runs("all", runs, 2), Step::new("after", json!({})).after(&["all"])])
        .await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!(summary.status.as_str(), "completed");
    assert_eq!((summary.jobs.total, summary.jobs.completed), (8, 8));
    assert!(bench.most_together() <= 2, "{} ran together", bench.most_together());
    assert_eq!(bench.order().last().unwrap(), "after");
    let view = bench.store().get_run(run, None, 0).await.unwrap().unwrap();
    assert_eq!(view.steps[0].runs.len(), 7);
    let below = bench.store().run_progress(view.steps[0].runs[0]).await.unwrap().unwrap();
    assert_eq!(below.parent_run, Some(run));
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_run_below_that_fails_fails_its_step() {
    let bench = Bench::new().await;
    let mut bad = child("bad", json!({"fail": true}));
    bad.steps[0].on_error = quaero_contract::OnError::Fail;
    let runs = vec![child("good", json!({})), bad, child("late", json!({}))];
    let run = bench.submit(vec![Step::runs("all", runs, 1).on_error("fail")]).await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!(summary.status.as_str(), "failed");
    assert_eq!((summary.jobs.completed, summary.jobs.failed), (2, 1), "the others still ran");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn cancel_reaches_the_runs_below() {
    let bench = Bench::new().await;
    let hang = || child("hang", json!({"depth": 0, "hang": true}));
    let nested =
        NewRun { name: "nested".to_owned(), ..new_run(vec![Step::runs("in", vec![hang()], 1)]) };
    let run = bench.submit(vec![Step::runs("all", vec![hang(), nested], 2)]).await;
    bench.until_starts(2).await;
    bench.engine().cancel(run).await.unwrap();
    assert_eq!(soon(bench.wait(run)).await.status.as_str(), "cancelled");
    for below in bench.store().list_runs(None, 10).await.unwrap() {
        assert_eq!(below.status.as_str(), "cancelled", "run {}", below.id);
    }
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_second_run_of_a_singleton_waits_for_the_first() {
    let bench = Bench::new().await;
    let one = |name: &str, hang: bool| NewRun {
        singleton: Some("key".to_owned()),
        hold: true,
        ..child(name, json!({"depth": 0, "hang": hang}))
    };
    let first = bench.submit_run(one("first", true)).await;
    let second = bench.submit_run(one("second", false)).await;
    let third = bench.submit_run(one("third", false)).await;
    bench.until_starts(1).await;
    let live = bench.store().live_epoch().await.unwrap();
    let status = |run| {
        let store = bench.store().clone();
        async move { store.run_progress(run).await.unwrap().unwrap().summary(live, 0).status }
    };
    assert_eq!(status(second).await.as_str(), "queued");
    bench.assert_consistent().await;
    bench.engine().cancel(second).await.unwrap();
    assert_eq!(status(third).await.as_str(), "queued", "the first one is still there");
    bench.engine().cancel(first).await.unwrap();
    assert_eq!(soon(bench.wait(third)).await.status.as_str(), "completed");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn tasks_of_a_run_keep_its_own_limit() {
    let bench = Bench::new().await;
    let steps = vec![Step::new("a", json!({"width": 30, "depth": 1, "takes_ms": 1}))];
    let run = bench.submit_run(NewRun { max_running: Some(2), ..new_run(steps) }).await;
    assert_eq!(soon(bench.wait(run)).await.jobs.completed, 31);
    assert!(bench.most_together() <= 2, "{} ran together", bench.most_together());
}

#[tokio::test]
async fn tasks_handed_out_ahead_of_their_place_go_back_when_none_gets_free_soon() {
    let clock = Manual::at(1_000);
    let bench = Bench::with_clock(Arc::new(clock.clone())).await;
    // For a clock that stands still every task is quick, until all that run hang.
    let config = json!({"width": 200, "depth": 1, "hang_after": 100});
    let run = bench.submit(vec![Step::new("a", config)]).await;
    let places = u64::from(WIDTH);
    soon(bench.until_starts(100 + places)).await;
    soon(bench.until_handed_out(run, WIDTH + 100 / 4)).await;
    // The commit is told before the processor has its answer; all have to wait by the old clock.
    bench.store().write(|_| Ok(())).await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    clock.set(1_020);
    soon(bench.until_handed_out(run, WIDTH)).await;
    assert_eq!((bench.starts(), bench.most_together()), (100 + places, places));
    bench.engine().cancel(run).await.unwrap();
    assert_eq!(soon(bench.wait(run)).await.jobs.completed, 100);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_run_whose_tasks_hang_leaves_others_room_for_one_task() {
    let bench = Bench::new().await;
    let hang = Step::new("a", json!({"width": 30, "depth": 1, "hang": true}));
    let hanging = bench.submit(vec![hang]).await;
    let places = u64::from(WIDTH);
    soon(bench.until_starts(1 + places)).await;
    let other = bench.submit(vec![Step::new("b", json!({"width": 5, "depth": 1}))]).await;
    assert_eq!(soon(bench.wait(other)).await.jobs.completed, 6);
    assert_eq!(bench.most_together(), places + 1);
    bench.engine().cancel(hanging).await.unwrap();
    assert_eq!(soon(bench.wait(hanging)).await.jobs.completed, 1);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn tasks_of_a_type_keep_its_limit_over_all_runs() {
    let bench = Bench::new().await;
    let config = json!({"width": 30, "depth": 1, "takes_ms": 1, "scarce": true});
    let first = bench.submit(vec![Step::new("a", config.clone())]).await;
    let second = bench.submit(vec![Step::new("b", config)]).await;
    assert_eq!(soon(bench.wait(first)).await.jobs.completed, 31);
    assert_eq!(soon(bench.wait(second)).await.jobs.completed, 31);
    assert!(bench.most_together() <= 2, "{} ran together", bench.most_together());
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_a_year_holds_nothing_up() {
    const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;
    let clock = Manual::at(2 * YEAR_MS);
    let bench = Bench::with_clock(Arc::new(clock.clone())).await;
    let run = bench.submit(vec![Step::new("a", json!({"flaky": 1}))]).await;
    bench.until_starts(1).await;
    // The retry is recorded before the clock is set; it waits for at most a few seconds.
    loop {
        let jobs = bench.store().run_progress(run).await.unwrap().unwrap().jobs;
        if jobs.pending == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    // From here on half a minute passes, which is longer than the pause before a second attempt.
    for second in 0..30 {
        clock.set(YEAR_MS + second * 1_000);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        bench.store().inconsistencies().await.unwrap();
    }
    assert_eq!(soon(bench.wait(run)).await.jobs.completed, 1);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn forgetting_runs_never_touches_what_is_live() {
    let bench = Bench::new().await;
    let live = bench.submit(vec![Step::new("a", json!({"depth": 0, "hang": true}))]).await;
    let mut ended = Vec::new();
    for n in 0..4 {
        let runs = vec![child(&format!("c{n}"), json!({"width": 3, "depth": 1}))];
        let run = bench.submit(vec![Step::runs("all", runs, 1)]).await;
        soon(bench.wait(run)).await;
        ended.push(run);
    }
    let forgotten =
        bench.engine().prune(Keep { runs: Some(2), ended_after_ms: None }).await.unwrap();
    assert_eq!(forgotten.len(), 4, "two runs, each with the one below it: {forgotten:?}");
    let left = bench.store().list_runs(None, 10).await.unwrap();
    assert!(left.iter().any(|run| run.id == live));
    assert!(
        left.iter().any(|run| run.id == ended[3]) && !left.iter().any(|run| run.id == ended[0])
    );
    assert_eq!(bench.store().count_documents().await.unwrap(), 16, "documents stay");
    let none = bench.engine().prune(Keep::default()).await.unwrap();
    assert_eq!(none, []);
    bench.assert_consistent().await;
    bench.engine().cancel(live).await.unwrap();
}

#[tokio::test]
async fn events_can_be_read_on_from_any_of_them() {
    let bench = Bench::new().await;
    let run = bench.submit(vec![Step::new("a", json!({"width": 5, "depth": 1}))]).await;
    soon(bench.wait(run)).await;
    let all = bench.store().events_after(Some(run), 0, 1_000).await.unwrap().events;
    let mut pages = Vec::new();
    loop {
        let after = pages.last().map_or(0, |event: &quaero_contract::JobEvent| event.seq);
        let page = bench.store().events_after(Some(run), after, 3).await.unwrap();
        pages.extend(page.events);
        if !page.more {
            break;
        }
    }
    assert_eq!(pages, all);
    let ends = all.iter().filter(|event| event.to.is_terminal()).count();
    assert_eq!(ends, 6 + 2, "each job ends once");
}

#[tokio::test]
async fn what_stands_out_in_a_run_is_found() {
    let bench = Bench::new().await;
    let config = json!({"width": 12, "depth": 1, "failing": [2, 5]});
    let run = bench.submit(vec![Step::new("a", config)]).await;
    soon(bench.wait(run)).await;
    let found = bench.store().run_statistics(run).await.unwrap();
    assert_eq!((found.types[0].task_type.as_str(), found.types[0].jobs.total), ("test", 13));
    assert_eq!((found.failures[0].code.as_str(), found.failures[0].count), ("asked", 2));
    assert_eq!(found.slowest.len(), 10);
}
