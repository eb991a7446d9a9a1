//! The main stories of a run, each as one picture of everything that is left of it. They are in
//! `snapshots`; a picture that changes has to be looked at: does it still tell what was promised?
//!
//! `INSTA_UPDATE=always cargo test -p quaero-engine --test main stories` draws them anew.

use quaero_contract::{FailureAction, JobId, RerunPart, StartedBy};
use quaero_store::{NewRun, Reuse, RunProgress, Tolerance};
use serde_json::{Value, json};

use crate::{
    picture::{START_MS, draw},
    soon,
    support::{Bench, Manual, Step, new_run},
};

struct Story {
    bench: Bench,
    clock: Manual,
}

impl Story {
    async fn begin() -> Self {
        let clock = Manual::at(START_MS);
        Self { bench: Bench::one_by_one(&clock).await, clock }
    }

    async fn run(&self, steps: Vec<Step>) -> JobId {
        self.bench.submit(steps).await
    }

    /// So many milliseconds after the start.
    fn at(&self, ms: i64) {
        self.clock.set(START_MS + ms);
    }

    async fn until(&self, run: JobId, is_so: impl Fn(&RunProgress) -> bool) {
        let mut changes = self.bench.store().changes().unwrap();
        soon(async {
            while !is_so(&self.bench.store().run_progress(run).await.unwrap().unwrap()) {
                changes.recv().await.unwrap();
            }
        })
        .await;
    }

    async fn until_over(&self, run: JobId) {
        self.until(run, |run| run.status.is_terminal()).await;
    }

    /// Compares what is left with the picture of this name.
    async fn shows(&self, name: &str, run: JobId) {
        self.bench.assert_consistent().await;
        let picture = draw(self.bench.store(), run).await;
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, picture);
        });
    }
}

/// A run of these steps, from its start to its end without any time passing.
async fn plain(name: &str, steps: Vec<Step>) {
    let story = Story::begin().await;
    let run = story.run(steps).await;
    story.until_over(run).await;
    story.shows(name, run).await;
}

#[tokio::test]
async fn a_plain_run() {
    let steps =
        vec![Step::new("fetch", json!({})), Step::new("index", json!({})).after(&["fetch"])];
    plain("a_plain_run", steps).await;
}

#[tokio::test]
async fn a_tree_of_tasks() {
    let config = json!({"width": 2, "depth": 2, "failing": [1]});
    plain("a_tree_of_tasks", vec![Step::new("crawl", config)]).await;
}

#[tokio::test]
async fn a_task_that_is_tried_again() {
    let story = Story::begin().await;
    let run = story.run(vec![Step::new("fetch", json!({"flaky": 2}))]).await;
    for attempt in 1..=2 {
        story.bench.until_starts(attempt).await;
        story.until(run, |run| run.jobs.pending == 1).await;
        story.at(i64::try_from(attempt).unwrap() * 60_000);
    }
    story.until_over(run).await;
    story.shows("a_task_that_is_tried_again", run).await;
}

#[tokio::test]
async fn a_step_that_is_tried_again() {
    let story = Story::begin().await;
    let step = Step::new("fetch", json!({"fail_when_first": true})).on_error("retry");
    let run = story.run(vec![step, Step::new("index", json!({})).after(&["fetch"])]).await;
    story.until(run, |run| run.jobs.failed == 1).await;
    story.at(60_000);
    story.until_over(run).await;
    story.shows("a_step_that_is_tried_again", run).await;
}

async fn too_many_failures(name: &str, action: FailureAction) {
    let story = Story::begin().await;
    let config = json!({"width": 5, "depth": 1, "failing": [0, 1, 2]});
    let tolerance = Tolerance { max_failures: 1, max_percent: None, min_sample: 1, action };
    let steps = vec![Step::new("crawl", config), Step::new("report", json!({})).after(&["crawl"])];
    let run = NewRun { tolerance: Some(tolerance), ..new_run(steps) };
    let run = story.bench.submit_run(run).await;
    story.until_over(run).await;
    story.shows(name, run).await;
}

#[tokio::test]
async fn too_many_failures_stop_all() {
    too_many_failures("too_many_failures_stop_all", FailureAction::StopAll).await;
}

#[tokio::test]
async fn too_many_failures_mark_warning() {
    too_many_failures("too_many_failures_mark_warning", FailureAction::MarkWarning).await;
}

#[tokio::test]
async fn too_many_failures_continue() {
    too_many_failures("too_many_failures_continue", FailureAction::Continue).await;
}

#[tokio::test]
async fn a_condition_that_does_not_hold() {
    let on = |text: &str| Some(text.to_owned());
    let steps = vec![
        Step::new("fetch", json!({})),
        Step::new("repair", json!({}))
            .after(&["fetch"])
            .with(|step| step.condition = on("failures(\"fetch\") > 0")),
        Step::new("index", json!({})).after(&["repair"]),
    ];
    plain("a_condition_that_does_not_hold", steps).await;
}

#[tokio::test]
async fn a_failed_step_and_what_follows() {
    let bad = || json!({"fail": true});
    let steps = vec![
        Step::new("note", bad()),
        Step::new("behind", json!({})).after(&["note"]),
        Step::new("stop", bad()).after(&["note"]).on_error("fail").with(|s| s.always_run = true),
        Step::new("never", json!({})).after(&["stop"]),
        Step::new("tell", json!({})).after(&["stop"]).with(|step| step.always_run = true),
    ];
    plain("a_failed_step_and_what_follows", steps).await;
}

#[tokio::test]
async fn a_fatal_step() {
    let steps = vec![
        Step::new("gate", json!({"fail": true})).on_error("fatal"),
        Step::new("other", json!({"width": 3, "depth": 1})).after(&[]),
        Step::new("behind", json!({})).after(&["other"]),
    ];
    plain("a_fatal_step", steps).await;
}

#[tokio::test]
async fn a_cancel_in_the_middle() {
    let story = Story::begin().await;
    let crawl = Step::new("crawl", json!({"width": 3, "depth": 1, "hang_after": 2}));
    let run = story.run(vec![crawl, Step::new("index", json!({})).after(&["crawl"])]).await;
    story.bench.until_starts(3).await;
    story.at(5_000);
    story.bench.engine().cancel(run).await.unwrap();
    story.until_over(run).await;
    story.shows("a_cancel_in_the_middle", run).await;
}

#[tokio::test]
async fn a_pause_and_its_end() {
    let story = Story::begin().await;
    story.bench.engine().pause_all(true).await.unwrap();
    let run = story.run(vec![Step::new("fetch", json!({"width": 2, "depth": 1}))]).await;
    story.bench.engine().pause(run).await.unwrap();
    story.bench.engine().pause_all(false).await.unwrap();
    story.at(60_000);
    story.shows("a_pause", run).await;
    story.bench.engine().resume(run).await.unwrap();
    story.until_over(run).await;
    story.shows("a_pause_and_its_end", run).await;
}

#[tokio::test]
async fn a_crash_and_what_follows() {
    let Story { bench, clock } = Story::begin().await;
    let run =
        bench.submit(vec![Step::new("crawl", json!({"width": 2, "depth": 1, "hang_after": 2}))]);
    let run = run.await;
    bench.until_starts(3).await;
    clock.set(START_MS + 5_000);
    let bench = bench.crash(run, 1).await;
    let story = Story { bench, clock };
    story.until_over(run).await;
    story.shows("a_crash_and_what_follows", run).await;
}

#[tokio::test]
async fn a_task_that_takes_its_process_down() {
    let Story { bench, clock } = Story::begin().await;
    let run = bench.submit(vec![Step::new("parse", json!({"depth": 0, "hang": true}))]).await;
    bench.until_starts(1).await;
    let bench = bench.crash(run, 5).await;
    let story = Story { bench, clock };
    story.until_over(run).await;
    story.shows("a_task_that_takes_its_process_down", run).await;
}

fn set(name: &str, config: Value) -> NewRun {
    NewRun { name: name.to_owned(), ..new_run(vec![Step::new("page", config)]) }
}

#[tokio::test]
async fn a_template_with_sets() {
    let mut bad = set("beta", json!({"fail": true}));
    bad.steps[0].on_error = quaero_contract::OnError::Fail;
    let runs = vec![set("alpha", json!({})), bad, set("gamma", json!({}))];
    let steps = vec![Step::runs("each", runs, 2), Step::new("index", json!({})).after(&["each"])];
    plain("a_template_with_sets", steps).await;
}

#[tokio::test]
async fn jobs_before_and_after() {
    let run = |name: &str, started_by| vec![NewRun { started_by, ..set(name, json!({})) }];
    let steps = vec![
        Step::runs("before", run("prepare", StartedBy::PreJob), 1).on_error("fail"),
        Step::new("main", json!({})).after(&["before"]),
        Step::runs("after", run("clean up", StartedBy::PostJob), 1).after(&["main"]),
    ];
    plain("jobs_before_and_after", steps).await;
}

async fn again(name: &str, part: RerunPart) {
    let story = Story::begin().await;
    let steps = || {
        let crawl = Step::new("crawl", json!({"width": 3, "depth": 1, "failing": [1]}));
        vec![
            Step::new("list", json!({})),
            crawl.after(&["list"]),
            Step::new("index", json!({})).after(&["crawl"]),
        ]
    };
    let first = story.run(steps()).await;
    story.until_over(first).await;
    story.at(60_000);
    let reuse = Some(Reuse { run: first, part });
    let second = story.bench.submit_run(NewRun { reuse, ..new_run(steps()) }).await;
    story.until_over(second).await;
    story.shows(name, second).await;
}

#[tokio::test]
async fn only_what_failed_again() {
    again("only_what_failed_again", RerunPart::Failed).await;
}

#[tokio::test]
async fn again_from_a_step() {
    again("again_from_a_step", RerunPart::From("index".to_owned())).await;
}

#[tokio::test]
async fn a_step_that_takes_too_long() {
    let story = Story::begin().await;
    let slow = Step::new("slow", json!({"width": 2, "depth": 1, "hang_after": 1}));
    let run = story
        .run(vec![
            slow.with(|step| step.timeout_ms = Some(30_000)),
            Step::new("behind", json!({})).after(&["slow"]),
            Step::new("tell", json!({})).after(&["slow"]).with(|step| step.always_run = true),
        ])
        .await;
    story.bench.until_starts(2).await;
    // A retry of a witness that hangs would hang, too; `tell` has another.
    std::fs::write(story.bench.store().folder().join("second"), "").unwrap();
    story.at(30_000);
    story.until_over(run).await;
    story.shows("a_step_that_takes_too_long", run).await;
}
