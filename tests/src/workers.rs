//! Work for tests. There is one step type, `scripted`: its configuration, a [`Script`], says what
//! its tasks do, and from the same script follows how the run must end.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;
use quaero_engine::{
    Clock, SystemClock,
    work::{
        JobContext, JobWorker, Lane, NewTask, Outcome, Registry, StepManager, StepStart, TaskError,
    },
};
use quaero_store::{NewDocument, NewRun, NewStep};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The name of the step type and of its tasks.
pub const SCRIPTED: &str = "scripted";

/// A tree of tasks, numbered from 0 at the root: the children of `n` are `n * width + 1` and on.
/// Each task that ends well writes one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Children of each task that is not a leaf.
    pub width: u32,
    /// How many levels there are below the root.
    pub depth: u32,
    /// Every so manieth task fails for good, and has no children; 0 for none.
    pub fail_every: u32,
    /// Every so manieth task fails in its first attempt and no other; 0 for none.
    pub flaky_every: u32,
    /// Milliseconds that each task takes.
    pub takes_ms: u64,
    /// Bytes of text in each document, beside its name.
    pub text_bytes: usize,
    /// Its tasks write no documents.
    pub silent: bool,
    /// Milliseconds from one start of a task to the next.
    pub delay_ms: u32,
    /// Children are written while their task still runs.
    pub early: bool,
    /// The leaves never end, in an engine whose workers hold ([`Conduct::hold`]).
    pub hangs: bool,
    /// The leaves take their process down, as a fault in a library does.
    pub aborts: bool,
    /// The leaves take their process down because their stack is too small.
    pub overflows: bool,
}

/// How a run of a script ends when nobody cancels it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Tasks in all.
    pub total: u32,
    /// Those that ended well, each with its document.
    pub completed: u32,
    /// Those that failed for good.
    pub failed: u32,
}

impl Script {
    /// A tree in which nothing goes wrong.
    #[must_use]
    pub fn tree(width: u32, depth: u32) -> Self {
        Self { width, depth, ..Self::default() }
    }

    /// How it ends.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        let mut open = vec![(0, 0)];
        while let Some((number, depth)) = open.pop() {
            expected.total += 1;
            if hits(self.fail_every, number) {
                expected.failed += 1;
                continue;
            }
            expected.completed += 1;
            if depth < self.depth {
                open.extend(self.children(number).map(|child| (child, depth + 1)));
            }
        }
        expected
    }

    fn children(&self, number: u64) -> impl Iterator<Item = u64> + use<> {
        let width = u64::from(self.width);
        (1..=width).map(move |n| number * width + n)
    }

    fn task(&self, step: &str, number: u64) -> NewTask {
        NewTask {
            task_type: SCRIPTED,
            name: format!("{step} {number}"),
            key: Some(number.to_string()),
            payload: json!({"number": number, "step": step}),
            lane: match self.delay_ms {
                0 => Lane::local(),
                delay => Lane::host("slow", 1, delay),
            },
            ..NewTask::default()
        }
    }

    /// A run of one step that does this.
    #[must_use]
    pub fn run(&self, request_id: &str) -> NewRun {
        NewRun {
            request_id: request_id.to_owned(),
            definition_id: SCRIPTED.to_owned(),
            name: format!("Scripted {request_id}"),
            definition_text: "id = \"scripted\"".to_owned(),
            tags: vec!["test".to_owned()],
            steps: vec![self.step("script")],
            ..NewRun::default()
        }
    }

    /// A step that does this.
    #[must_use]
    pub fn step(&self, name: &str) -> NewStep {
        NewStep {
            name: name.to_owned(),
            step_type: SCRIPTED.to_owned(),
            config: serde_json::to_value(self).expect("a script is plain data"),
            ..NewStep::default()
        }
    }
}

fn hits(every: u32, number: u64) -> bool {
    every > 0 && number % u64::from(every) == u64::from(every) - 1
}

/// How the workers of one engine behave, beside what their script says.
#[derive(Clone)]
pub struct Conduct {
    /// Leaves of a script that hangs do hang.
    pub hold: bool,
    /// Told of each attempt when it starts.
    pub started: Arc<dyn Fn(&JobContext) + Send + Sync>,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { hold: false, started: Arc::new(|_| {}) }
    }
}

/// A registry with the step type `scripted` and nothing else.
#[must_use]
pub fn registry(conduct: Conduct) -> Registry {
    Registry::default().with_manager(Manager).with_worker(Worker(conduct))
}

struct Manager;

impl StepManager for Manager {
    fn step_type(&self) -> &'static str {
        SCRIPTED
    }

    fn schema(&self) -> schemars::Schema {
        schemars::Schema::default()
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let script: Script = serde_json::from_value(step.config.clone())
            .map_err(|error| TaskError::permanent("scripted", error.to_string()))?;
        Ok(vec![script.task(&step.name, 0)])
    }
}

#[derive(Deserialize)]
struct Payload {
    number: u64,
}

struct Worker(Conduct);

#[async_trait]
impl JobWorker for Worker {
    fn task_type(&self) -> &'static str {
        SCRIPTED
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        (self.0.started)(job);
        let script: Script = job.config()?;
        let Payload { number } = job.payload()?;
        let leaf = job.depth >= script.depth;
        if leaf && script.aborts {
            std::process::abort();
        }
        if leaf && script.overflows {
            deep(1);
        }
        if leaf && script.hangs && self.0.hold {
            std::future::pending::<()>().await;
        }
        if script.takes_ms > 0 {
            tokio::time::sleep(Duration::from_millis(script.takes_ms)).await;
        }
        if hits(script.fail_every, number) {
            return Err(TaskError::permanent("scripted", format!("{number} fails.")));
        }
        if hits(script.flaky_every, number) && job.attempt == 1 {
            return Err(TaskError::transient("scripted", format!("{number} fails at first.")));
        }
        let step = job.payload["step"].as_str().unwrap_or_default();
        let mut children: Vec<NewTask> = if leaf {
            Vec::new()
        } else {
            script.children(number).map(|child| script.task(step, child)).collect()
        };
        if script.early {
            job.spawn(std::mem::take(&mut children)).await?;
        }
        let documents = if script.silent { Vec::new() } else { vec![document(job, &script)] };
        Ok(Outcome { documents, children, ..Outcome::default() })
    }
}

/// Takes more stack than there is.
fn deep(level: u64) -> u64 {
    let frame = std::hint::black_box([level; 128]);
    if level == u64::MAX { level } else { deep(frame[7] + 1) + frame[9] }
}

/// Different for each task of each run, and the same in every attempt.
fn document(job: &JobContext, script: &Script) -> NewDocument {
    let line = format!("This is the text of {}. ", job.name);
    let mut markdown = line.repeat(script.text_bytes / line.len());
    markdown.push_str(&line);
    NewDocument {
        source_type: SCRIPTED.to_owned(),
        source_id: format!("run {} {}", job.run_id, job.name),
        title: job.name.clone(),
        markdown,
        metadata: [("number".to_owned(), Value::clone(&job.payload["number"]))]
            .into_iter()
            .collect(),
        ..NewDocument::default()
    }
}

/// The computer's time, but so many times as fast: pauses before a retry pass soon.
#[derive(Clone, Copy, Debug)]
pub struct Fast(
    /// How many times, at least 1.
    pub u32,
);

impl Clock for Fast {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms().saturating_mul(i64::from(self.0))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration / self.0)
    }
}

/// A clock that the test moves.
#[derive(Clone, Debug)]
pub struct Manual(watch::Sender<Moment>);

#[derive(Clone, Copy, Debug)]
struct Moment {
    now_ms: i64,
    running_ms: i64,
}

impl Manual {
    /// It is this many milliseconds after 1970.
    #[must_use]
    pub fn at(now_ms: i64) -> Self {
        Self(watch::channel(Moment { now_ms, running_ms: 0 }).0)
    }

    /// So much time passes.
    pub fn pass(&self, ms: i64) {
        self.0.send_modify(|moment| {
            moment.now_ms += ms;
            moment.running_ms += ms;
        });
    }

    /// Somebody sets the clock.
    pub fn set(&self, now_ms: i64) {
        self.0.send_modify(|moment| moment.now_ms = now_ms);
    }

    fn when(
        &self,
        is_over: impl Fn(Moment) -> bool + Send + Sync + 'static,
    ) -> BoxFuture<'static, ()> {
        let mut moment = self.0.subscribe();
        Box::pin(async move {
            if moment.wait_for(|moment| is_over(*moment)).await.is_err() {
                std::future::pending().await
            }
        })
    }
}

impl Clock for Manual {
    fn now_ms(&self) -> i64 {
        self.0.borrow().now_ms
    }

    fn running_ms(&self) -> Option<i64> {
        Some(self.0.borrow().running_ms)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let end = self.0.borrow().running_ms
            + i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2);
        self.when(move |moment| moment.running_ms >= end)
    }

    /// Ends early when the clock is set, as the computer's does.
    fn until(&self, at_ms: Option<i64>) -> BoxFuture<'static, ()> {
        let Some(at_ms) = at_ms else { return Box::pin(std::future::pending()) };
        let ahead = |moment: Moment| moment.now_ms - moment.running_ms;
        let as_set = ahead(*self.0.borrow());
        self.when(move |moment| moment.now_ms >= at_ms || ahead(moment) != as_set)
    }
}
