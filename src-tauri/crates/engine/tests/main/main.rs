//! The engine's promises, with workers that do as a test tells them, on a real database.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    missing_docs,
    reason = "a test that cannot go on has failed; its support is shared"
)]

mod hostile;
mod picture;
mod runs;
mod stories;
mod support;

use std::time::Duration;

use quaero_contract::{JobId, JobQuery, JobStatus};
use quaero_engine::Adopt;
use serde_json::json;

use support::{Bench, Step};

#[tokio::test]
async fn a_run_does_every_task_of_its_tree_once() {
    let bench = Bench::new().await;
    let run = bench.submit(vec![Step::new("tree", json!({"width": 5, "depth": 3}))]).await;
    let summary = bench.wait(run).await;
    assert_eq!(summary.jobs.total, 1 + 5 + 25 + 125);
    assert_eq!(summary.jobs.completed, summary.jobs.total);
    assert_eq!(summary.documents.created, summary.jobs.total);
    assert_eq!(bench.starts(), u64::from(summary.jobs.total), "no task may run twice");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn steps_run_in_the_order_of_their_dependencies() {
    let bench = Bench::new().await;
    let run = bench
        .submit(vec![
            Step::new("a", json!({})),
            Step::new("b", json!({})).after(&["a"]),
            Step::new("c", json!({})).after(&["a", "b"]),
        ])
        .await;
    assert_eq!(bench.wait(run).await.status.as_str(), "completed");
    assert_eq!(bench.order(), ["a", "b", "c"]);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_failed_step_skips_what_depends_on_it_and_the_run_goes_on() {
    let bench = Bench::new().await;
    let run = bench
        .submit(vec![
            Step::new("a", json!({"fail": true})),
            Step::new("b", json!({})).after(&["a"]),
            Step::new("c", json!({})),
        ])
        .await;
    let summary = bench.wait(run).await;
    assert_eq!(summary.status.as_str(), "completed");
    assert_eq!(bench.step_statuses(run).await, ["failed", "skipped", "completed"]);
    assert!(summary.warnings >= 2, "the failure and the skipped step are warnings");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_failed_step_with_fail_ends_the_run_and_says_why() {
    let bench = Bench::new().await;
    let run = bench
        .submit(vec![
            Step::new("a", json!({"fail": true})).on_error("fail"),
            Step::new("b", json!({})).after(&["a"]),
        ])
        .await;
    let summary = bench.wait(run).await;
    assert_eq!(summary.status.as_str(), "failed");
    assert!(summary.error.unwrap().message.contains("Step `a` failed: asked to fail"));
    assert_eq!(bench.step_statuses(run).await, ["failed", "skipped"]);
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_and_a_permanent_one_is_not() {
    let bench = Bench::new().await;
    let flaky = bench.submit(vec![Step::new("flaky", json!({"flaky": 2}))]).await;
    assert_eq!(bench.wait(flaky).await.jobs.completed, 1);
    assert_eq!(bench.starts(), 3);
    let broken = bench.submit(vec![Step::new("broken", json!({"fail": true}))]).await;
    assert_eq!(bench.wait(broken).await.jobs.failed, 1);
    assert_eq!(bench.starts(), 4);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_worker_that_panics_fails_its_task_and_nothing_else() {
    let bench = Bench::new().await;
    let run =
        bench.submit(vec![Step::new("a", json!({"panic": true})), Step::new("b", json!({}))]).await;
    assert_eq!(bench.wait(run).await.status.as_str(), "completed");
    assert_eq!(bench.step_statuses(run).await, ["failed", "completed"]);
}

#[tokio::test]
async fn a_manager_that_panics_fails_its_step_and_nothing_else() {
    let bench = Bench::new().await;
    let run = bench
        .submit(vec![
            Step::new("a", json!({})),
            Step::new("b", json!({"manager_panics": true})).after(&["a"]),
            Step::new("c", json!({})).after(&["a"]),
        ])
        .await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!(summary.status.as_str(), "completed");
    assert_eq!(bench.step_statuses(run).await, ["completed", "failed", "completed"]);
}

#[tokio::test]
async fn a_result_that_the_store_refuses_fails_its_task() {
    let bench = Bench::new().await;
    let run = bench.submit(vec![Step::new("a", json!({"refused": true}))]).await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!((summary.jobs.failed, summary.documents.created), (1, 0));
    assert_eq!(bench.starts(), 1, "the same would happen again");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn cancel_reaches_every_descendant_and_stops_running_work() {
    let bench = Bench::new().await;
    let run = bench
        .submit(vec![
            Step::new("a", json!({"width": 40, "depth": 1, "hang": true})),
            Step::new("b", json!({})).after(&["a"]),
        ])
        .await;
    bench.until_running(run).await;
    bench.engine().cancel(run).await.unwrap();
    let summary = tokio::time::timeout(Duration::from_secs(2), bench.wait(run))
        .await
        .expect("within two seconds");
    assert_eq!(summary.status.as_str(), "cancelled");
    let open = [JobStatus::Pending, JobStatus::Running, JobStatus::Waiting];
    let query = JobQuery { statuses: open.to_vec(), limit: 10, ..JobQuery::default() };
    assert_eq!(bench.store().list_jobs(run, &query).await.unwrap().jobs, []);
    assert!(bench.engine().cancel(run).await.is_err(), "a cancelled run cannot be cancelled again");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn the_same_request_twice_is_one_run() {
    let bench = Bench::new().await;
    let first = bench.submit_as("same", vec![Step::new("a", json!({}))]).await;
    let second = bench.submit_as("same", vec![Step::new("a", json!({}))]).await;
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_stopped_engine_leaves_its_runs_to_the_next_one() {
    let bench = Bench::new().await;
    let run = bench
        .submit(vec![Step::new("a", json!({"width": 60, "depth": 1, "hang_after": 20}))])
        .await;
    bench.until_starts(21).await;
    let bench = bench.restart(Adopt::All).await;
    bench.assert_consistent().await;
    let summary = bench.wait(run).await;
    assert_eq!((summary.status.as_str(), summary.jobs.completed), ("completed", 61));
    assert_eq!(summary.documents.created, 61);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn tasks_that_saw_two_processes_die_run_alone_until_they_have_ended() {
    let bench = Bench::new().await;
    let run =
        bench.submit(vec![Step::new("a", json!({"width": 7, "depth": 1, "hang_after": 1}))]).await;
    bench.until_starts(8).await;
    let bench = bench.crash(run, 2).await;
    assert_eq!(bench.wait(run).await.jobs.completed, 8, "none of them is to blame");
    assert_eq!(bench.most_together(), 1);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn an_interrupted_run_waits_until_it_is_resumed() {
    let bench = Bench::new().await;
    let run =
        bench.submit(vec![Step::new("a", json!({"width": 30, "depth": 1, "hang_after": 5}))]).await;
    bench.until_starts(6).await;
    let bench = bench.restart(Adopt::None).await;
    let live = bench.store().live_epoch().await.unwrap();
    let progress = bench.store().run_progress(run).await.unwrap().unwrap();
    assert_eq!(progress.summary(live, 0).status.as_str(), "interrupted");
    bench.engine().resume(run).await.unwrap();
    assert_eq!(bench.wait(run).await.jobs.completed, 31);
}

#[tokio::test]
async fn an_interrupted_run_is_not_reported_as_running() {
    let bench = Bench::new().await;
    let run = bench.submit(vec![Step::new("a", json!({"depth": 0, "hang": true}))]).await;
    bench.until_starts(1).await;
    let bench = bench.restart(Adopt::None).await;
    let mut events = bench.engine().events();
    bench.engine().monitor().start_monitoring(run).await.unwrap();
    let told = soon(async {
        loop {
            if let quaero_engine::Event::Progress(progress) = events.recv().await.unwrap() {
                return progress.run;
            }
        }
    });
    assert_eq!(told.await.status.as_str(), "interrupted");
}

#[tokio::test]
async fn the_same_request_after_an_interruption_goes_on_with_its_run() {
    let bench = Bench::new().await;
    let step = || vec![Step::new("a", json!({"depth": 0, "hang": true}))];
    let run = bench.submit_as("same", step()).await;
    bench.until_starts(1).await;
    let bench = bench.restart(Adopt::None).await;
    assert_eq!(bench.submit_as("same", step()).await, run);
    assert_eq!(soon(bench.wait(run)).await.status.as_str(), "completed");
}

#[tokio::test]
async fn of_two_cancels_one_wins() {
    let bench = Bench::new().await;
    let run = bench.submit(vec![Step::new("a", json!({"depth": 0, "hang": true}))]).await;
    bench.until_starts(1).await;
    let bench = bench.restart(Adopt::None).await;
    let (first, second) = tokio::join!(bench.engine().cancel(run), bench.engine().cancel(run));
    assert!(first.is_ok() != second.is_ok(), "{first:?}, {second:?}");
    assert_eq!(bench.wait(run).await.status.as_str(), "cancelled");
}

#[tokio::test]
async fn a_dropped_engine_lets_go_of_its_folder() {
    let folder = Bench::new().await.abandon();
    soon(async {
        while quaero_store::Lock::holder(folder.path()).unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("within ten seconds")
}

#[tokio::test]
async fn lanes_bound_how_many_tasks_run_together() {
    let bench = Bench::new().await;
    let run =
        bench.submit(vec![Step::new("a", json!({"width": 50, "depth": 1, "lane_limit": 2}))]).await;
    assert_eq!(bench.wait(run).await.jobs.completed, 51);
    assert!(bench.most_together() <= 2, "{} ran together", bench.most_together());
}

#[tokio::test]
async fn steps_with_different_limits_share_a_lane() {
    let bench = Bench::new().await;
    let run = bench
        .submit(vec![
            Step::new("wide", json!({"width": 40, "depth": 1, "lane_limit": 4})),
            Step::new("narrow", json!({"width": 40, "depth": 1, "lane_limit": 2})),
        ])
        .await;
    assert_eq!(bench.wait(run).await.jobs.completed, 82);
    assert!(bench.most_together() <= 4, "{} ran together", bench.most_together());
}

#[tokio::test]
async fn a_run_of_one_task_does_not_wait_for_a_run_of_many() {
    let bench = Bench::new().await;
    let long = bench.submit(vec![Step::new("long", json!({"width": 3_000, "depth": 1}))]).await;
    let short = bench.submit(vec![Step::new("short", json!({}))]).await;
    bench.wait(short).await;
    let left = bench.store().run_progress(long).await.unwrap().unwrap().jobs;
    assert!(left.completed < 2_900, "the short run waited for the long one: {left:?}");
    bench.wait(long).await;
}

#[tokio::test]
async fn progress_ends_with_the_final_value() {
    let bench = Bench::new().await;
    let mut events = bench.engine().events();
    let run = bench.submit(vec![Step::new("a", json!({"width": 200, "depth": 1}))]).await;
    bench.wait(run).await;
    let mut last = None;
    while let Ok(event) = events.try_recv() {
        if let quaero_engine::Event::Progress(progress) = event {
            last = Some(progress.run);
        }
    }
    let last = last.expect("at least one report");
    assert_eq!((last.status.as_str(), last.jobs.completed), ("completed", 201));
    assert!(!bench.engine().monitor().is_monitoring(run));
    assert_eq!(last.id, JobId(1));
}
