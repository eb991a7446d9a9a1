//! Storage that fails: at the n-th moment of a run for many n, once and for a while, and a disk that
//! is full. When the fault is over the engine goes on by itself, and nothing is lost or doubled.
//!
//! `QUAERO_LONG=1` tries every n.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use quaero_contract::{JobId, OnError, RunSummary};
use quaero_engine::{Engine, EngineError, EngineOptions};
use quaero_store::{Access, Lock, NewRun, Store, StoreError, faults::Outside};
use quaero_tests::workers::{Conduct, Fast, Script, registry};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::is_long;

/// Steps of SQLite's virtual machine from one chance to fail to the next.
const STEPS: i32 = 25;
/// No run of a test takes this long; one that does is stuck.
const LIMIT: Duration = Duration::from_secs(60);

/// When the storage fails, counted in chances.
#[derive(Default)]
struct Faults {
    chances: AtomicU64,
    from: AtomicU64,
    to: AtomicU64,
}

struct Place {
    folder: TempDir,
    store: Store,
    engine: Engine,
    faults: Arc<Faults>,
}

impl Place {
    /// Storage that fails `times` times in a row, from the chance with number `from` on.
    async fn new(from: u64, times: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), Access::Write, 1).await.expect("opened");
        let clock = Arc::new(Fast(1_000));
        let engine = Engine::start(
            store.clone(),
            registry(Conduct::default()),
            clock,
            EngineOptions::default(),
        );
        let engine = engine.await.expect("started");
        let faults = Arc::new(Faults {
            chances: AtomicU64::new(0),
            from: AtomicU64::new(from),
            to: AtomicU64::new(from + times),
        });
        let asked = faults.clone();
        let fails = move || {
            let n = asked.chances.fetch_add(1, SeqCst);
            (asked.from.load(SeqCst)..asked.to.load(SeqCst)).contains(&n)
        };
        store
            .write(move |tx| tx.interrupt_when(STEPS, fails))
            .await
            .expect("the faults are set up");
        Self { folder, store, engine, faults }
    }

    /// Asks until it is accepted: the same request is the same run.
    async fn submit(&self, run: NewRun) -> JobId {
        loop {
            match self.engine.submit(run.clone()).await {
                Ok(id) => return id,
                Err(error) => assert!(self.is_failing(), "refused without a fault: {error}"),
            }
        }
    }

    /// Whether a fault may have been met by now.
    fn is_failing(&self) -> bool {
        self.faults.chances.load(SeqCst) > self.faults.from.load(SeqCst)
    }

    async fn end_of(&self, run: JobId) -> RunSummary {
        let mut events = self.engine.events();
        let ended = async {
            loop {
                let progress = self.store.run_progress(run).await.expect("read").expect("there");
                if progress.status.is_terminal() {
                    return progress.summary(None, 0);
                }
                // Any event is a reason to look again; so is having missed some.
                let _ = events.recv().await;
            }
        };
        match tokio::time::timeout(LIMIT, ended).await {
            Ok(summary) => summary,
            Err(_) => panic!("the run is stuck: {:#?}", self.store.run_progress(run).await),
        }
    }

    async fn close(self) {
        // Whether all is well is asked of storage that works: a late fault must not meet the question.
        self.faults.from.store(u64::MAX, SeqCst);
        assert_eq!(self.store.inconsistencies().await.expect("read"), Vec::<String>::new());
        self.engine.stop(Duration::ZERO).await;
    }
}

/// A spawning tree in which some tasks fail and some at first, a step that is tried again, and a run
/// below a step.
fn story() -> NewRun {
    let script = Script { fail_every: 7, flaky_every: 5, text_bytes: 200, ..Script::tree(3, 2) };
    let mut run = script.run("story");
    let name = run.steps[0].name.clone();
    let hopeless = Script { fail_every: 1, ..Script::tree(0, 0) };
    let mut again = hopeless.step("again");
    (again.on_error, again.max_attempts, again.depends) = (OnError::Retry, 2, vec![name.clone()]);
    again.retry_delay_ms = 1;
    let mut below = Script::tree(2, 1).step("below");
    below.step_type = "job_template".to_owned();
    below.depends = vec![name];
    below.instances = vec![Script::tree(2, 1).run("below")];
    run.steps.extend([again, below]);
    run
}

async fn tell(from: u64, times: u64) -> (RunSummary, u64) {
    let place = Place::new(from, times).await;
    let run = place.submit(story()).await;
    let summary = place.end_of(run).await;
    let chances = place.faults.chances.load(SeqCst);
    place.close().await;
    (summary, chances)
}

fn outcome(run: &RunSummary) -> impl PartialEq + std::fmt::Debug + use<> {
    let error = run.error.as_ref().map(|error| error.code.clone());
    (run.status, run.jobs, run.documents, error)
}

async fn check(times: u64) {
    let (calm, chances) = tell(u64::MAX - 1_000, times).await;
    let parts = if is_long() { chances } else { 40 };
    assert!(chances > 200, "{chances} chances are too few to prove anything");
    for part in 0..parts {
        let from = chances * part / parts;
        let (run, _) = tell(from, times).await;
        assert_eq!(outcome(&run), outcome(&calm), "{times} faults from chance {from} on");
    }
}

#[tokio::test]
async fn a_storage_call_that_fails_once_changes_nothing_in_the_end() {
    check(1).await;
}

#[tokio::test]
async fn storage_that_fails_for_a_while_is_waited_for() {
    check(40).await;
}

#[tokio::test]
async fn a_cancel_holds_although_storage_fails() {
    for from in [10, 60, 150, 400] {
        let place = Place::new(u64::MAX - 1_000, 1).await;
        let script = Script { hangs: true, ..Script::tree(4, 1) };
        let run = place.submit(script.run("hangs")).await;
        let now = place.faults.chances.load(SeqCst);
        place.faults.from.store(now + from, SeqCst);
        place.faults.to.store(now + from + 3, SeqCst);
        loop {
            match place.engine.cancel(run).await {
                Ok(()) => break,
                // It was recorded, and the answer was lost.
                Err(EngineError::AlreadyEnded(..)) => break,
                Err(error) => assert!(place.is_failing(), "refused without a fault: {error}"),
            }
        }
        let summary = place.end_of(run).await;
        assert!(summary.status.as_str() == "cancelled" || !script.hangs, "{summary:?}");
        assert_eq!(summary.jobs.pending + summary.jobs.running + summary.jobs.waiting, 0);
        place.close().await;
    }
}

#[tokio::test]
async fn on_a_full_disk_work_waits_and_goes_on_when_there_is_room() {
    let place = Place::new(u64::MAX - 1_000, 1).await;
    let script = Script { text_bytes: 20_000, ..Script::tree(6, 2) };
    let run = place.submit(script.run("large")).await;
    place.store.write(|tx| tx.leave_room(20)).await.expect("set");
    // Something has to be refused before there is room again.
    let full = async {
        loop {
            let write = place.store.write(|tx| tx.keep_text(&"x".repeat(2_000_000)));
            if matches!(write.await, Err(StoreError::Full)) {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, full).await.expect("the disk is full");
    let open = place.store.run_progress(run).await.expect("read").expect("there");
    assert!(!open.status.is_terminal(), "20 pages are not enough: {:?}", open.jobs);
    place.store.write(|tx| tx.leave_room(u32::MAX)).await.expect("set");
    let (summary, expected) = (place.end_of(run).await, script.expected());
    assert_eq!((summary.jobs.total, summary.jobs.completed), (expected.total, expected.completed));
    assert_eq!(summary.documents.created, expected.completed);
    place.close().await;
}

#[tokio::test]
async fn whichever_change_finds_no_room_is_made_when_there_is_some() {
    let longer = |mut run: NewRun| {
        let script =
            Script { text_bytes: 20_000, fail_every: 7, flaky_every: 5, ..Script::tree(3, 2) };
        run.steps[0].config = script.step("script").config;
        run
    };
    let calm = Place::new(u64::MAX - 1_000, 1).await;
    let run = calm.submit(longer(story())).await;
    let expected = calm.end_of(run).await;
    calm.close().await;
    let step = if is_long() { 1 } else { 4 };
    for pages in (0..40).step_by(step) {
        let place = Place::new(u64::MAX - 1_000, 1).await;
        let full = Arc::new(Notify::new());
        let told = full.clone();
        let set = place.store.write(move |tx| {
            tx.tell_when_full(told);
            tx.leave_room(pages)
        });
        set.await.expect("set");
        let early = match place.engine.submit(longer(story())).await {
            Ok(run) => Some(run),
            Err(EngineError::Store(StoreError::Full)) => None,
            Err(error) => panic!("{pages} pages: {error}"),
        };
        // A few attempts at the same change, and others meanwhile.
        let attempts = if early.is_some() { 3 } else { 1 };
        for _ in 0..attempts {
            let told = tokio::time::timeout(LIMIT, full.notified()).await;
            assert!(told.is_ok(), "{pages} pages are enough");
        }
        place.store.write(|tx| tx.leave_room(u32::MAX)).await.expect("set");
        let run = place.submit(longer(story())).await;
        assert!(early.is_none_or(|early| early == run), "{pages} pages: one wish is one run");
        let ended = place.end_of(run).await;
        assert_eq!(outcome(&ended), outcome(&expected), "{pages} pages");
        place.close().await;
    }
}

#[tokio::test]
async fn a_program_that_keeps_the_database_for_long_is_waited_for_and_all_can_be_read_meanwhile() {
    let place = Place::new(u64::MAX - 1_000, 1).await;
    let script = Script { takes_ms: 1, flaky_every: 5, early: true, ..Script::tree(4, 3) };
    let run = place.submit(script.run("kept")).await;
    let mut events = place.engine.events();
    let progress = async || place.store.run_progress(run).await.expect("read").expect("there");
    while progress().await.jobs.completed < 5 {
        let _ = events.recv().await;
    }
    let other = Outside::open(place.folder.path()).expect("opened");
    other.keep_to_itself(true).expect("the database is this program's");
    let before = progress().await;
    assert!(!before.status.is_terminal(), "{before:?}");
    // SQLite waits for some seconds before it says so.
    let refused = place.store.write(|_| Ok(())).await;
    assert!(matches!(refused, Err(StoreError::InUse)), "{refused:?}");
    let meanwhile = progress().await;
    assert_eq!(meanwhile.jobs.completed, before.jobs.completed, "nobody writes beside it");
    assert_eq!(place.store.list_runs(None, 10).await.expect("read").len(), 1);
    other.keep_to_itself(false).expect("released");
    let (summary, expected) = (place.end_of(run).await, script.expected());
    assert_eq!((summary.jobs.total, summary.jobs.completed), (expected.total, expected.completed));
    assert_eq!(summary.documents.created, expected.completed);
    place.close().await;
}

#[tokio::test]
async fn a_database_that_becomes_read_only_is_waited_for() {
    for tasks in [0, 1, 5, 12] {
        let place = Place::new(u64::MAX - 1_000, 1).await;
        let is_read_only = Arc::new(AtomicBool::new(false));
        let switch = is_read_only.clone();
        let set = place.store.write(move |tx| {
            tx.read_only_when(switch);
            Ok(())
        });
        set.await.expect("set");
        let script = Script { flaky_every: 5, early: true, takes_ms: 1, ..Script::tree(3, 2) };
        let run = place.submit(script.run("kept")).await;
        let mut events = place.engine.events();
        while place.store.run_progress(run).await.expect("read").expect("there").jobs.completed
            < tasks
        {
            let _ = events.recv().await;
        }
        is_read_only.store(true, SeqCst);
        // What is being committed now may still be.
        while place.store.write(|_| Ok(())).await.is_ok() {}
        let refused = place.engine.submit(script.run("later")).await;
        let Err(EngineError::Store(error)) = refused else { panic!("accepted: {refused:?}") };
        assert!(matches!(error, StoreError::Unwritable(_)) && error.may_pass(), "{error:?}");
        is_read_only.store(false, SeqCst);
        for run in [run, place.submit(script.run("later")).await] {
            let (summary, expected) = (place.end_of(run).await, script.expected());
            assert_eq!((summary.jobs.total, summary.jobs.completed), (13, expected.completed));
            assert_eq!(summary.documents.created, expected.completed);
        }
        place.close().await;
    }
}

/// How many commits of an engine a power failure could have taken back, and whether the process
/// before it had ended without closing the store.
async fn light_commits(folder: &Path, request: &str) -> (u64, bool) {
    let store = Store::open(folder, Access::Write, 1).await.expect("opened");
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let set = store.write(move |tx| {
        tx.count_light(counted);
        Ok(())
    });
    set.await.expect("set");
    let (workers, clock) = (registry(Conduct::default()), Arc::new(Fast(1_000)));
    let engine = Engine::start(store.clone(), workers, clock, EngineOptions::default());
    let engine = engine.await.expect("started");
    let mut events = engine.events();
    let run = engine.submit(Script::tree(4, 2).run(request)).await.expect("accepted");
    while !store.run_progress(run).await.expect("read").expect("there").status.is_terminal() {
        let _ = events.recv().await;
    }
    engine.stop(Duration::ZERO).await;
    let was_unclean = store.was_unclean();
    store.close(2).await.expect("closed");
    (count.load(SeqCst), was_unclean)
}

#[tokio::test]
async fn after_an_unclean_stop_no_task_starts_before_that_is_on_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let (light, was_unclean) = light_commits(folder.path(), "first").await;
    assert!(light > 0 && !was_unclean, "{light} light commits after a clean stop");
    // Not closed, as if the process had died.
    drop(Store::open(folder.path(), Access::Write, 3).await.expect("opened"));
    while Lock::holder(folder.path()).expect("read").is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(light_commits(folder.path(), "second").await, (0, true));
    let (light, was_unclean) = light_commits(folder.path(), "third").await;
    assert!(light > 0 && !was_unclean, "{light} light commits after a clean stop");
}
