//! An engine on a temporary folder, and workers that do as their configuration tells them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use quaero_contract::{JobId, OnError, RunSummary};
use quaero_engine::{
    Adopt, Clock, Engine, EngineOptions, Event, SystemClock, Threads,
    work::{
        JobContext, JobWorker, Lane, NewTask, Outcome, Registry, StepManager, StepStart, TaskError,
    },
};
use quaero_store::{Access, LaneState, NewDocument, NewRun, NewStep, RunProgress, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

/// A clock that stands still until the test sets it.
#[derive(Clone)]
pub struct Manual(tokio::sync::watch::Sender<i64>);

impl Manual {
    pub fn at(ms: i64) -> Self {
        Self(tokio::sync::watch::channel(ms).0)
    }

    pub fn set(&self, ms: i64) {
        self.0.send_replace(ms);
    }
}

impl Clock for Manual {
    fn now_ms(&self) -> i64 {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.until(Some(self.now_ms() + i64::try_from(duration.as_millis()).unwrap()))
    }

    /// Ends early when the clock is set, as the computer's does.
    fn until(&self, at_ms: Option<i64>) -> BoxFuture<'static, ()> {
        let mut now = self.0.subscribe();
        let start = *now.borrow_and_update();
        Box::pin(async move {
            let Some(at_ms) = at_ms else { return std::future::pending().await };
            while *now.borrow_and_update() < at_ms && *now.borrow() >= start {
                if now.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        })
    }
}

/// The computer's time, but nobody waits long.
struct Hasty;

impl Clock for Hasty {
    fn now_ms(&self) -> i64 {
        // A thousand times as fast, so that backoffs pass at once.
        SystemClock.now_ms().wrapping_mul(1_000)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration / 1_000)
    }
}

#[derive(Default)]
pub struct Witness {
    starts: AtomicU64,
    together: AtomicU64,
    most: AtomicU64,
    attempts: Mutex<BTreeMap<JobId, u32>>,
    order: Mutex<Vec<String>>,
    started: Notify,
    /// Whether those that block their thread may go on.
    released: Mutex<bool>,
    release: Condvar,
}

pub struct Step(NewStep);

impl Step {
    pub fn new(name: &str, config: Value) -> Self {
        Self(NewStep {
            name: name.to_owned(),
            step_type: "test".to_owned(),
            config,
            ..NewStep::default()
        })
    }

    pub fn after(mut self, steps: &[&str]) -> Self {
        self.0.depends = steps.iter().map(ToString::to_string).collect();
        self
    }

    pub fn on_error(mut self, strategy: &str) -> Self {
        self.0.on_error = OnError::parse(strategy).unwrap();
        self
    }

    /// A step that starts these runs.
    pub fn runs(name: &str, runs: Vec<NewRun>, parallel: u32) -> Self {
        let mut step = Self::new(name, json!({}));
        step.0.step_type = "job_template".to_owned();
        step.0.instances = runs;
        step.0.parallel = parallel;
        step
    }

    pub fn with(mut self, change: impl FnOnce(&mut NewStep)) -> Self {
        change(&mut self.0);
        self
    }
}

/// A run of these steps.
pub fn new_run(steps: Vec<Step>) -> NewRun {
    NewRun {
        definition_id: "test".to_owned(),
        name: "Test".to_owned(),
        definition_text: "test".to_owned(),
        tags: vec!["Test".to_owned()],
        steps: steps.into_iter().map(|step| step.0).collect(),
        ..NewRun::default()
    }
}

struct Manager;

impl StepManager for Manager {
    fn step_type(&self) -> &'static str {
        "test"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::Schema::default()
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        if step.config["manager_panics"] == true {
            panic!("asked to panic");
        }
        let more = 1..step.config["first"].as_u64().unwrap_or(1);
        let more = more.map(|n| task(&format!("{} {n}", step.name), &step.config));
        Ok([task(&step.name, &step.config)].into_iter().chain(more).collect())
    }
}

fn task(name: &str, config: &Value) -> NewTask {
    let limit = config["lane_limit"].as_u64().map_or(u32::MAX, |n| u32::try_from(n).unwrap());
    NewTask {
        task_type: if config["scarce"] == true { "scarce" } else { "test" },
        name: name.to_owned(),
        key: Some(name.to_owned()),
        payload: text(&config["payload"]),
        lane: Lane { name: "test".into(), limit, delay_ms: 0 },
        priority: 0,
    }
}

/// A text of so many bytes.
fn text(bytes: &Value) -> Value {
    "x".repeat(usize::try_from(bytes.as_u64().unwrap_or(0)).unwrap()).into()
}

struct Worker(Arc<Witness>);

#[async_trait]
impl JobWorker for Worker {
    fn task_type(&self) -> &'static str {
        "test"
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let witness = &self.0;
        let number = witness.starts.fetch_add(1, SeqCst) + 1;
        let together = witness.together.fetch_add(1, SeqCst) + 1;
        witness.most.fetch_max(together, SeqCst);
        let _leaves = Leaves(witness);
        witness.order.lock().unwrap().push(job.name.clone());
        let attempt =
            *witness.attempts.lock().unwrap().entry(job.id).and_modify(|n| *n += 1).or_insert(1);
        witness.started.notify_waiters();

        let number_of = |key: &str| job.config[key].as_u64();
        if job.config["block"] == true && !job.store().was_reopened() {
            let mut released = witness.released.lock().unwrap();
            while !*released {
                released = witness.release.wait(released).unwrap();
            }
        }
        if job.config["panic"] == true {
            panic!("asked to panic");
        }
        if let Some(ms) = number_of("takes_ms") {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        if job.config["fail_when_first"] == true && !job.store().was_reopened() && number == 1 {
            return Err(TaskError::permanent("asked", "asked to fail at first"));
        }
        // Of the children of a task, those of these numbers fail.
        let own = job.name.rsplit('/').next().unwrap_or_default();
        let failing = job.config["failing"].as_array();
        if failing.is_some_and(|list| list.iter().any(|n| own.parse() == Ok(n.as_u64().unwrap()))) {
            return Err(TaskError::permanent("asked", "asked to fail"));
        }
        if job.config["fail"] == true {
            return Err(TaskError::permanent("asked", "asked to fail"));
        }
        if number_of("flaky").is_some_and(|n| u64::from(attempt) <= n) {
            return Err(TaskError::transient("flaky", "asked to fail for now"));
        }
        if job.config["refused"] == true {
            // A document without a source or a title.
            let documents = vec![NewDocument::default()];
            return Ok(Outcome { documents, ..Outcome::default() });
        }
        let leaf = u64::from(job.depth) >= number_of("depth").unwrap_or(0);
        let hangs = (leaf && job.config["hang"] == true)
            || number_of("hang_after").is_some_and(|n| number > n);
        // After a restart the same tasks find another witness and go on.
        if hangs && !job.store().was_reopened() {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        let width = if leaf { 0 } else { number_of("width").unwrap_or(0) };
        let mut children: Vec<NewTask> =
            (0..width).map(|n| task(&format!("{}/{n}", job.name), &job.config)).collect();
        if job.config["child_payload"].is_u64() {
            children.iter_mut().for_each(|c| c.payload = text(&job.config["child_payload"]));
        }
        let children: Vec<NewTask> = match job.config["early"] == true {
            true => job.spawn(children).await.map(|_| Vec::new())?,
            false => children,
        };
        let document = NewDocument {
            source_type: "test".to_owned(),
            source_id: job.name.clone(),
            markdown: format!("Document of {}", job.name),
            ..NewDocument::default()
        };
        Ok(Outcome { documents: vec![document], children, ..Outcome::default() })
    }
}

/// The same work, but only two at a time.
struct Scarce(Worker);

#[async_trait]
impl JobWorker for Scarce {
    fn task_type(&self) -> &'static str {
        "scarce"
    }

    fn limit(&self) -> Option<u32> {
        Some(2)
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        self.0.run(job).await
    }
}

struct Leaves<'a>(&'a Witness);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.together.fetch_sub(1, SeqCst);
    }
}

trait Reopened {
    fn was_reopened(&self) -> bool;
}

impl Reopened for Store {
    fn was_reopened(&self) -> bool {
        self.folder().join("second").exists()
    }
}

/// Tasks at the same time.
pub const WIDTH: u32 = 8;

pub struct Bench {
    folder: Arc<TempDir>,
    store: Store,
    engine: Engine,
    witness: Arc<Witness>,
    clock: Arc<dyn Clock>,
    width: u32,
    threads: Threads,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with_clock(Arc::new(Hasty)).await
    }

    /// With workers on threads of their own.
    pub async fn with_threads() -> Self {
        let (folder, clock) = (Arc::new(tempfile::tempdir().unwrap()), Arc::new(Hasty));
        Self::with(folder, Adopt::All, clock, WIDTH, Threads::Own).await
    }

    /// With a clock that the test sets.
    pub async fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self::with(
            Arc::new(tempfile::tempdir().unwrap()),
            Adopt::All,
            clock,
            WIDTH,
            Threads::Shared,
        )
        .await
    }

    /// With a clock that the test sets, and one task after the other: always in the same order.
    pub async fn one_by_one(clock: &Manual) -> Self {
        let clock = Arc::new(clock.clone());
        Self::with(Arc::new(tempfile::tempdir().unwrap()), Adopt::All, clock, 1, Threads::Shared)
            .await
    }

    async fn with(
        folder: Arc<TempDir>,
        adopt: Adopt,
        clock: Arc<dyn Clock>,
        width: u32,
        threads: Threads,
    ) -> Self {
        let store = Store::open(folder.path(), Access::Write, SystemClock.now_ms()).await.unwrap();
        let witness = Arc::new(Witness::default());
        let registry = Registry::default()
            .with_manager(Manager)
            .with_worker(Worker(witness.clone()))
            .with_worker(Scarce(Worker(witness.clone())));
        let options = EngineOptions { adopt, width: usize::try_from(width).unwrap(), threads };
        let engine = Engine::start(store.clone(), registry, clock.clone(), options).await.unwrap();
        Self { folder, store, engine, witness, clock, width, threads }
    }

    /// Stops the engine as a closing window does, and opens the folder again.
    pub async fn restart(self, adopt: Adopt) -> Self {
        self.engine.stop(Duration::ZERO).await;
        self.store.close(self.clock.now_ms()).await.unwrap();
        std::fs::write(self.folder.path().join("second"), "").unwrap();
        Self::with(self.folder, adopt, self.clock, self.width, self.threads).await
    }

    /// Starts another engine on the folder, as if the lock of this one did not hold.
    pub async fn second(&self) -> Self {
        std::fs::remove_file(self.folder.path().join("engine.lock")).unwrap();
        std::fs::write(self.folder.path().join("second"), "").unwrap();
        let (folder, clock) = (self.folder.clone(), self.clock.clone());
        Self::with(folder, Adopt::All, clock, self.width, self.threads).await
    }

    /// Stops the engine, has so many processes die with every task of a run under way, and opens the
    /// folder again.
    pub async fn crash(self, run: JobId, times: u32) -> Self {
        self.engine.stop(Duration::ZERO).await;
        self.store.close(self.clock.now_ms()).await.unwrap();
        std::fs::write(self.folder.path().join("second"), "").unwrap();
        let now_ms = self.clock.now_ms();
        for _ in 0..times {
            let store = Store::open(self.folder.path(), Access::Write, now_ms).await.unwrap();
            let claimed = store.write(move |tx| {
                tx.void_dead_leases(now_ms)?;
                let state = LaneState { delayed: true, ..LaneState::default() };
                tx.claim(run, "test", state, &Vec::new(), 1_000, now_ms)
            });
            assert!(!claimed.await.unwrap().is_empty());
            store.close(now_ms).await.unwrap();
        }
        Self::with(self.folder, Adopt::All, self.clock, self.width, self.threads).await
    }

    /// Drops everything, as a host does whose start has failed half-way.
    pub fn abandon(self) -> Arc<TempDir> {
        self.folder
    }

    /// Stops the engine, whatever the store says.
    pub async fn stop(self) {
        self.engine.stop(Duration::ZERO).await;
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub async fn submit(&self, steps: Vec<Step>) -> JobId {
        let request = format!("request {}", self.store.list_runs(None, 1_000).await.unwrap().len());
        self.submit_as(&request, steps).await
    }

    pub async fn submit_as(&self, request_id: &str, steps: Vec<Step>) -> JobId {
        self.submit_run(NewRun { request_id: request_id.to_owned(), ..new_run(steps) }).await
    }

    /// Submits a run; without a request id it gets one of its own.
    pub async fn submit_run(&self, mut run: NewRun) -> JobId {
        if run.request_id.is_empty() {
            let count = self.store.list_runs(None, 1_000).await.unwrap().len();
            run.request_id = format!("request {count}");
        }
        self.engine.submit(run).await.unwrap()
    }

    /// Waits for the end of a run.
    pub async fn wait(&self, run: JobId) -> RunSummary {
        self.until(run, |progress| progress.status.is_terminal()).await.summary(None, 0)
    }

    /// Waits until a run stands like this.
    pub async fn until(&self, run: JobId, is: impl Fn(&RunProgress) -> bool) -> RunProgress {
        let mut events = self.engine.events();
        loop {
            let progress = self.store.run_progress(run).await.unwrap().unwrap();
            if is(&progress) {
                return progress;
            }
            // Any event is a reason to look again; so is having missed some.
            while let Ok(event) = events.recv().await {
                if matches!(event, Event::Progress(p) if p.run.id == run) {
                    break;
                }
            }
        }
    }

    /// Waits until just so many tasks of a run are handed out.
    pub async fn until_handed_out(&self, run: JobId, count: u32) {
        let mut changes = self.store.changes().unwrap();
        while self.store.run_progress(run).await.unwrap().unwrap().jobs.running != count {
            changes.recv().await.unwrap();
        }
    }

    pub async fn until_starts(&self, count: u64) {
        loop {
            let started = self.witness.started.notified();
            if self.starts() >= count {
                return;
            }
            started.await;
        }
    }

    /// Lets those go on that block their thread.
    pub fn release(&self) {
        *self.witness.released.lock().unwrap() = true;
        self.witness.release.notify_all();
    }

    pub async fn until_running(&self, _run: JobId) {
        self.until_starts(3).await;
    }

    pub fn starts(&self) -> u64 {
        self.witness.starts.load(SeqCst)
    }

    pub fn most_together(&self) -> u64 {
        self.witness.most.load(SeqCst)
    }

    pub fn order(&self) -> Vec<String> {
        self.witness.order.lock().unwrap().clone()
    }

    pub async fn step_statuses(&self, run: JobId) -> Vec<&'static str> {
        let progress = self.store.run_progress(run).await.unwrap().unwrap();
        progress.steps.iter().map(|step| step.status.as_str()).collect()
    }

    pub async fn assert_consistent(&self) {
        assert_eq!(self.store.inconsistencies().await.unwrap(), Vec::<String>::new());
    }
}
