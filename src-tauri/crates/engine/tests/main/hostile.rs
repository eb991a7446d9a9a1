//! Work that behaves badly, and too much of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use quaero_contract::JobQuery;
use quaero_engine::{Adopt, Engine, EngineOptions, Event, SystemClock, Threads, work::Registry};
use quaero_store::{Access, NewRun, Store, StoreError};
use serde_json::json;

use crate::{
    soon,
    support::{Bench, Step, new_run},
};

#[tokio::test]
async fn work_that_leads_to_itself_comes_to_an_end_and_says_so() {
    let bench = Bench::new().await;
    let run = bench.submit(vec![Step::new("a", json!({"width": 1, "depth": 1_000_000}))]).await;
    let summary = tokio::time::timeout(Duration::from_secs(60), bench.wait(run)).await;
    let summary = summary.expect("it ends");
    assert_eq!((summary.status.as_str(), summary.jobs.completed), ("completed", 1_001));
    assert_eq!(summary.documents.created, 1_001, "what was found stays");
    let warnings = bench.store().get_run(run, None, 0).await.unwrap().unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("leads to itself")), "{warnings:?}");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn work_that_multiplies_comes_to_an_end_and_says_so() {
    for (early, documents) in [(false, 300), (true, 30)] {
        let bench = Bench::new().await;
        // Ten times as many on each level.
        let config = json!({"width": 10, "depth": 1_000, "early": early});
        let step = || Step::new("a", config.clone()).with(|step| step.max_tasks = 300);
        let run = bench.submit(vec![step(), Step::new("b", json!({"first": 3}))]).await;
        let summary = soon(bench.wait(run)).await;
        assert_eq!((summary.status.as_str(), summary.jobs.total), ("completed", 303), "{early}");
        // What was found stays.
        assert!(summary.jobs.failed >= 200 && summary.jobs.completed > 30, "{summary:?}");
        assert!(summary.documents.created >= documents, "{summary:?}");
        let warnings = bench.store().get_run(run, None, 0).await.unwrap().unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.contains("max_tasks")), "{warnings:?}");
        bench.assert_consistent().await;
    }
}

#[tokio::test]
async fn each_attempt_of_a_step_may_have_as_many_tasks_and_one_that_begins_with_more_fails() {
    let bench = Bench::new().await;
    let config = json!({"first": 3, "fail": true});
    let again = |most| {
        Step::new("a", config.clone()).on_error("retry").with(|step| {
            (step.max_attempts, step.retry_delay_ms, step.max_tasks) = (3, 1, most);
        })
    };
    let run = bench.submit(vec![again(3)]).await;
    assert_eq!(soon(bench.wait(run)).await.jobs.failed, 9);
    let run = bench.submit(vec![again(2)]).await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!((summary.status.as_str(), summary.jobs.total), ("failed", 0));
    assert!(summary.error.unwrap().message.contains("The step may have 2 tasks"));
    bench.assert_consistent().await;
}

/// A step whose tasks block their threads, as many as there are places but one.
fn blocking() -> Step {
    Step::new("blocks", json!({"block": true, "first": 7})).with(|step| {
        (step.task_attempts, step.task_timeout_ms) = (1, 1 << 40);
    })
}

#[tokio::test]
async fn workers_that_block_their_threads_hold_up_nothing_else() {
    let bench = Bench::with_threads().await;
    let beside = Step::new("beside", json!({"width": 6, "depth": 2})).after(&[]);
    let first = bench.submit(vec![blocking(), beside]).await;
    soon(bench.until_starts(7)).await;
    let second = bench.submit(vec![Step::new("tree", json!({"width": 6, "depth": 2}))]).await;
    assert_eq!(soon(bench.wait(second)).await.jobs.completed, 1 + 6 + 36);
    soon(bench.until(first, |run| run.steps[1].status.is_terminal())).await;
    assert_eq!(bench.step_statuses(first).await, ["waiting", "completed"]);
    bench.release();
    let summary = soon(bench.wait(first)).await;
    assert_eq!((summary.jobs.completed, summary.jobs.failed), (7 + 43, 0), "{summary:?}");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn a_worker_that_blocks_its_thread_times_out_and_what_it_brings_later_is_void() {
    let bench = Bench::with_threads().await;
    let run = bench.submit(vec![blocking().with(|step| step.task_timeout_ms = 300_000)]).await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!((summary.jobs.total, summary.jobs.failed), (7, 7), "{summary:?}");
    assert_eq!(summary.error, None);
    assert_eq!(bench.step_statuses(run).await, ["failed"]);
    // Its place is taken as long as it blocks: only one is left.
    let next = bench.submit(vec![Step::new("next", json!({"width": 20, "depth": 1}))]).await;
    assert_eq!(soon(bench.wait(next)).await.jobs.completed, 21);
    assert_eq!(bench.most_together(), 8);
    bench.release();
    let last = bench.submit(vec![Step::new("last", json!({"width": 20, "depth": 1}))]).await;
    assert_eq!(soon(bench.wait(last)).await.jobs.completed, 21);
    let documents = bench.store().run_progress(run).await.unwrap().unwrap().documents;
    assert_eq!(documents.created, 0, "they came too late");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn neither_cancel_nor_stop_waits_for_a_worker_that_blocks_its_thread() {
    let bench = Bench::with_threads().await;
    let run = bench.submit(vec![blocking()]).await;
    soon(bench.until_starts(7)).await;
    bench.engine().cancel(run).await.unwrap();
    let summary = soon(bench.wait(run)).await;
    assert_eq!((summary.status.as_str(), summary.jobs.cancelled), ("cancelled", 7));

    let run = bench.submit(vec![Step::new("a", json!({"block": true}))]).await;
    soon(bench.until_starts(8)).await;
    let bench = soon(bench.restart(Adopt::All)).await;
    let summary = soon(bench.wait(run)).await;
    assert_eq!((summary.status.as_str(), summary.jobs.completed), ("completed", 1));
    let all = JobQuery { limit: 10, ..JobQuery::default() };
    let tasks = bench.store().list_jobs(run, &all).await.unwrap().jobs;
    assert_eq!(tasks[0].attempt, 1, "it was not to blame");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn tasks_that_are_too_large_to_be_queued_are_left_out_and_told() {
    let bench = Bench::new().await;
    // Bytes of the payload, tasks in all, what is told.
    let rows = [
        (60_000, 1 + 3, None),
        (70_000, 0, Some("takes 70")),
        (100_000_000, 0, Some("at most 65536 can be queued")),
    ];
    for (bytes, total, told) in rows {
        let config = json!({"width": 3, "depth": 1, "payload": bytes});
        let run = bench.submit(vec![Step::new("a", config).on_error("fail")]).await;
        let summary = soon(bench.wait(run)).await;
        assert_eq!(summary.jobs.total, total, "{bytes}");
        let error = summary.error.map(|error| error.message).unwrap_or_default();
        assert_eq!(told.is_some(), error.contains(told.unwrap_or("-")), "{bytes}: {error}");
    }
    for early in [false, true] {
        let config = json!({"width": 3, "depth": 1, "child_payload": 70_000, "early": early});
        let run = bench.submit(vec![Step::new("a", config)]).await;
        let summary = soon(bench.wait(run)).await;
        assert_eq!((summary.jobs.total, summary.jobs.failed), (1, u32::from(early)));
        let warnings = bench.store().get_run(run, None, 0).await.unwrap().unwrap().warnings;
        assert!(warnings[0].contains("takes 70"), "{warnings:?}");
    }
    bench.assert_consistent().await;
}

#[tokio::test]
async fn of_two_engines_on_a_folder_the_first_stops_and_the_second_does_all_once() {
    let first = Bench::new().await;
    let config = json!({"width": 6, "depth": 2, "hang": true});
    let step = || Step::new("a", config.clone()).with(|step| step.task_timeout_ms = 1 << 40);
    let run = first.submit(vec![step()]).await;
    first.until_starts(1 + 6 + 2).await;
    let mut told = first.engine().events();
    let second = first.second().await;
    let summary = soon(second.wait(run)).await;
    assert_eq!((summary.status.as_str(), summary.jobs.completed), ("completed", 1 + 6 + 36));
    assert_eq!(summary.documents.created, 1 + 6 + 36);
    let late = NewRun { request_id: "late".to_owned(), ..new_run(vec![step()]) };
    let refused = first.engine().submit(late);
    let Err(error) = refused.await else { panic!("the first one still writes") };
    assert!(error.to_string().contains("has taken over the data folder"), "{error}");
    let halted = async {
        loop {
            if let Ok(Event::Halted(error)) = told.recv().await {
                return error;
            }
        }
    };
    assert!(matches!(soon(halted).await, StoreError::Superseded { .. }));
    // Its tasks end, but nothing of them is written.
    soon(first.stop()).await;
    assert_eq!(soon(second.wait(run)).await, summary);
    second.assert_consistent().await;
}

#[tokio::test]
async fn a_cancel_reaches_fifty_thousand_tasks_at_once() {
    const TASKS: u32 = 50_000;
    let bench = Bench::new().await;
    let config = json!({"width": TASKS, "depth": 1, "hang": true});
    let step = Step::new("a", config).with(|step| step.task_timeout_ms = 1 << 40);
    let run = bench.submit(vec![step]).await;
    // The first one has written all the others.
    tokio::time::timeout(Duration::from_secs(60), bench.until_starts(3)).await.expect("it starts");
    let asked = Instant::now();
    bench.engine().cancel(run).await.unwrap();
    let summary = soon(bench.wait(run)).await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!((summary.status.as_str(), summary.jobs.total), ("cancelled", TASKS + 1));
    assert_eq!((summary.jobs.completed, summary.jobs.cancelled), (1, TASKS), "{summary:?}");
    assert!(bench.engine().cancel(run).await.is_err(), "it has ended");
    bench.assert_consistent().await;
}

#[tokio::test]
async fn an_engine_that_is_only_dropped_lets_go_of_its_folder() {
    for threads in [Threads::Own, Threads::Shared] {
        let folder = tempfile::tempdir().unwrap();
        let open = async || {
            let store = Store::open(folder.path(), Access::Write, 0).await.unwrap();
            let options = EngineOptions { threads, ..EngineOptions::default() };
            let clock = Arc::new(SystemClock);
            let engine = Engine::start(store, Registry::default(), clock, options).await.unwrap();
            let run = NewRun { request_id: "one".to_owned(), ..new_run(Vec::new()) };
            engine.submit(run).await.unwrap()
        };
        let first = open().await;
        // Nobody waits for the threads of the dropped engine, so wait for what they hold.
        let lock = std::fs::File::open(folder.path().join("engine.lock")).unwrap();
        let (free, held) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let locked = lock.lock();
            drop(lock);
            free.send(locked)
        });
        soon(held).await.unwrap().unwrap();
        assert_eq!(open().await, first, "the same request is the same run");
    }
}
