//! The scheduler on a real store, with a clock that the test moves and a starter that it watches.

use std::{collections::HashSet, sync::Mutex, time::Duration};

use futures::future::BoxFuture;
use quaero_contract::SlotResult;
use quaero_store::{Access, NewRun};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;

/// Stands still until the test moves it.
struct Manual {
    now: watch::Sender<i64>,
    /// Until when somebody waits.
    waits: mpsc::UnboundedSender<Option<i64>>,
}

impl Clock for Manual {
    fn now_ms(&self) -> i64 {
        *self.now.borrow()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        unreachable!("the scheduler waits for times only")
    }

    fn until(&self, at_ms: Option<i64>) -> BoxFuture<'static, ()> {
        let mut now = self.now.subscribe();
        let _ = self.waits.send(at_ms);
        Box::pin(async move {
            let Some(at_ms) = at_ms else { return std::future::pending().await };
            // As for a real one, any setting of the clock ends the wait.
            if *now.borrow_and_update() < at_ms {
                now.changed().await.expect("the clock is there");
            }
        })
    }
}

/// Accepts runs as the application does, without an engine.
struct Fake {
    store: Store,
    open: Mutex<HashSet<String>>,
    fails: Mutex<Option<ErrorCode>>,
    told: mpsc::UnboundedSender<String>,
}

impl Starter for Arc<Fake> {
    async fn start(&self, start: Start) -> Result<JobId, ApiError> {
        if let Some(code) = *self.fails.lock().expect("whole") {
            return Err(ApiError::new(code, "It cannot be."));
        }
        let run = NewRun {
            request_id: start.request_id.clone(),
            definition_id: start.definition_id,
            name: "Name".to_owned(),
            slot: start.slot,
            ..NewRun::default()
        };
        let written = self.store.write(move |tx| tx.create_run(&run, 0));
        let (run, new) = written.await.map_err(error::store)?;
        let again = if new { "" } else { " again" };
        let queued = if start.queue { " queued" } else { "" };
        let _ = self.told.send(format!("{}{queued}{again}", start.request_id));
        Ok(run)
    }

    async fn is_open(&self, definition_id: &str) -> Result<bool, ApiError> {
        Ok(self.open.lock().expect("whole").contains(definition_id))
    }
}

struct Bench {
    _folder: TempDir,
    store: Store,
    clock: Arc<Manual>,
    fake: Arc<Fake>,
    told: mpsc::UnboundedReceiver<String>,
    waits: mpsc::UnboundedReceiver<Option<i64>>,
}

fn ms(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().expect("a time").as_millisecond()
}

/// On the first day of the story.
fn at(time: &str) -> i64 {
    ms(&format!("2026-05-04T{time}:00Z"))
}

/// Every hour, as `id`.
fn hourly(id: &str) -> Scheduled {
    Scheduled {
        definition_id: id.to_owned(),
        name: id.to_uppercase(),
        cron: Some("0 * * * *".to_owned()),
        timezone: Some("UTC".to_owned()),
        missed_runs: MissedRuns::default(),
        overlap: Overlap::default(),
        enabled: true,
        auto_start: false,
    }
}

fn list(definitions: &[Scheduled]) -> Arc<[Scheduled]> {
    definitions.into()
}

impl Bench {
    /// At 00:30.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), Access::Write, 0).await.expect("opened");
        let (told_tx, told) = mpsc::unbounded_channel();
        let fake = Fake {
            store: store.clone(),
            open: Mutex::default(),
            fails: Mutex::default(),
            told: told_tx,
        };
        let (waits_tx, waits) = mpsc::unbounded_channel();
        let clock = Arc::new(Manual { now: watch::Sender::new(at("00:30")), waits: waits_tx });
        Self { _folder: folder, store, clock, fake: Arc::new(fake), told, waits }
    }

    /// A process that begins with these definitions.
    fn process(&self, epoch: i64, definitions: &[Scheduled]) -> Rounds<Arc<Fake>> {
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        let stop = CancellationToken::new();
        Rounds::new(store, clock, epoch, Arc::clone(&self.fake), list(definitions), stop)
    }

    /// Sets the clock and goes round once. Returns what was started, and when to go round again.
    async fn go(
        &mut self,
        rounds: &mut Rounds<Arc<Fake>>,
        now_ms: i64,
    ) -> (Vec<String>, Option<i64>) {
        self.clock.now.send_replace(now_ms);
        let wake_ms = rounds.round().await;
        (std::iter::from_fn(|| self.told.try_recv().ok()).collect(), wake_ms)
    }

    async fn started(&mut self, rounds: &mut Rounds<Arc<Fake>>, now_ms: i64) -> Vec<String> {
        self.go(rounds, now_ms).await.0
    }

    fn fail(&self, code: Option<ErrorCode>) {
        *self.fake.fails.lock().expect("whole") = code;
    }

    fn set_open(&self, id: &str) {
        self.fake.open.lock().expect("whole").insert(id.to_owned());
    }

    /// What became of the last slot, and the note.
    async fn last(&self) -> (Option<SlotResult>, String) {
        let state = self.store.schedules().await.expect("read").remove(0);
        (state.last_result, state.note)
    }
}

/// The request id of a slot on the first day.
fn slot(id: &str, time: &str) -> String {
    format!("schedule:{id}:{}", at(time))
}

#[tokio::test]
async fn a_run_starts_at_each_time_and_nothing_happens_between() {
    let mut bench = Bench::new().await;
    let mut daily = hourly("daily");
    daily.cron = Some("45 1 * * *".to_owned());
    let mut rounds = bench.process(1, &[hourly("news"), daily]);
    for (now, started, wake) in [
        ("00:30", vec![], "01:00"),
        ("00:59", vec![], "01:00"),
        ("01:00", vec![slot("news", "01:00")], "01:45"),
        ("01:45", vec![slot("daily", "01:45")], "02:00"),
        ("01:50", vec![], "02:00"),
        ("02:00", vec![slot("news", "02:00")], "03:00"),
    ] {
        assert_eq!(bench.go(&mut rounds, at(now)).await, (started, Some(at(wake))), "at {now}");
    }
    let mut idle = bench.process(1, &[]);
    assert_eq!(bench.go(&mut idle, at("03:30")).await, (vec![], None), "nothing to wait for");
}

#[tokio::test]
async fn what_was_missed_while_quaero_was_closed_is_made_up_for_as_the_definition_says() {
    for (missed, expected, result, note) in [
        (MissedRuns::Skip, vec![], SlotResult::Missed, "3 earlier times were missed."),
        (
            MissedRuns::Once,
            vec![slot("news", "03:00")],
            SlotResult::Started,
            "2 earlier times were missed; one run makes up for all.",
        ),
        (
            MissedRuns::All,
            ["01:00", "02:00", "03:00"].map(|time| slot("news", time) + " queued").to_vec(),
            SlotResult::Started,
            "",
        ),
    ] {
        let mut bench = Bench::new().await;
        let news = Scheduled { missed_runs: missed, ..hourly("news") };
        let mut before = bench.process(1, std::slice::from_ref(&news));
        assert_eq!(
            bench.started(&mut before, at("00:30")).await,
            [""; 0],
            "what was before is not missed"
        );
        let mut after = bench.process(2, std::slice::from_ref(&news));
        assert_eq!(bench.started(&mut after, at("03:20")).await, expected, "{missed:?}");
        assert_eq!(bench.last().await, (Some(result), note.to_owned()), "{missed:?}");
        let mut later = bench.process(3, &[news]);
        assert_eq!(bench.started(&mut later, at("03:40")).await, [""; 0], "made up for once");
    }
}

#[tokio::test]
async fn a_run_that_is_open_is_left_alone_waited_for_or_joined() {
    for (overlap, expected, result) in [
        (Overlap::Skip, vec![], SlotResult::Skipped),
        (Overlap::Queue, vec![slot("news", "01:00") + " queued"], SlotResult::Started),
        (Overlap::Allow, vec![slot("news", "01:00")], SlotResult::Started),
    ] {
        let mut bench = Bench::new().await;
        let mut rounds = bench.process(1, &[Scheduled { overlap, ..hourly("news") }]);
        bench.started(&mut rounds, at("00:30")).await;
        bench.set_open("news");
        assert_eq!(bench.started(&mut rounds, at("01:00")).await, expected, "{overlap:?}");
        assert_eq!(bench.last().await.0, Some(result), "{overlap:?}");
        assert_eq!(bench.last().await.1.is_empty(), overlap != Overlap::Skip, "a skip is told");
        let again = bench.go(&mut rounds, at("01:20")).await;
        assert_eq!(again, (vec![], Some(at("02:00"))), "{overlap:?}: dealt with");
    }
}

#[tokio::test]
async fn what_starts_with_quaero_starts_once_in_each_process() {
    let mut bench = Bench::new().await;
    let with = |id: &str, overlap, enabled| {
        let cron = None;
        Scheduled { auto_start: true, cron, overlap, enabled, ..hourly(id) }
    };
    let definitions = [
        with("one", Overlap::Skip, true),
        with("open", Overlap::Skip, true),
        with("queued", Overlap::Queue, true),
        with("off", Overlap::Allow, false),
    ];
    bench.set_open("open");
    bench.set_open("queued");
    let mut first = bench.process(1, &definitions);
    assert_eq!(
        bench.started(&mut first, at("00:30")).await,
        ["start:one:1", "start:queued:1 queued"]
    );
    first.changed = Some(list(&definitions));
    assert_eq!(bench.started(&mut first, at("00:31")).await, [""; 0], "not after an edit");
    bench.fail(Some(ErrorCode::Storage));
    let mut second = bench.process(2, &definitions[..1]);
    let retry = Some(at("00:40") + RETRY_MS);
    assert_eq!(bench.go(&mut second, at("00:40")).await, (vec![], retry), "a full disk may pass");
    bench.fail(None);
    assert_eq!(bench.started(&mut second, at("00:41")).await, ["start:one:2"]);
    bench.fail(Some(ErrorCode::Invalid));
    let mut third = bench.process(3, &definitions[..1]);
    assert_eq!(bench.go(&mut third, at("00:42")).await, (vec![], None), "it has to be edited");
}

#[tokio::test]
async fn a_start_that_may_succeed_later_is_tried_again_and_one_that_cannot_is_told() {
    let mut bench = Bench::new().await;
    let mut rounds = bench.process(1, &[hourly("news")]);
    bench.started(&mut rounds, at("00:30")).await;
    bench.fail(Some(ErrorCode::Storage));
    let retry = at("01:00") + RETRY_MS;
    assert_eq!(bench.go(&mut rounds, at("01:00")).await, (vec![], Some(retry)));
    bench.fail(None);
    assert_eq!(bench.started(&mut rounds, retry).await, [slot("news", "01:00")]);
    bench.fail(Some(ErrorCode::Invalid));
    assert_eq!(bench.go(&mut rounds, at("02:00")).await, (vec![], Some(at("03:00"))));
    assert_eq!(bench.last().await, (Some(SlotResult::Failed), "It cannot be.".to_owned()));
}

#[tokio::test]
async fn a_slot_whose_run_was_accepted_before_the_process_was_killed_is_not_run_twice() {
    let mut bench = Bench::new().await;
    let mut rounds = bench.process(1, &[hourly("news")]);
    bench.started(&mut rounds, at("00:30")).await;
    // As by a starter that does not keep to one transaction.
    let unsettled = Start {
        definition_id: "news".to_owned(),
        request_id: slot("news", "01:00"),
        queue: false,
        slot: None,
    };
    bench.fake.start(unsettled).await.expect("accepted");
    let mut after = bench.process(2, &[hourly("news")]);
    let told = [slot("news", "01:00"), slot("news", "01:00") + " again"];
    assert_eq!(bench.started(&mut after, at("01:00")).await, told);
    assert_eq!(bench.store.list_runs(None, 10).await.expect("read").len(), 1);
    assert_eq!(bench.last().await.0, Some(SlotResult::Started));
}

#[tokio::test]
async fn a_schedule_that_was_off_or_edited_has_missed_nothing() {
    let mut bench = Bench::new().await;
    let mut rounds = bench.process(1, &[hourly("news")]);
    bench.started(&mut rounds, at("00:30")).await;
    let off = Scheduled { enabled: false, ..hourly("news") };
    let edited = Scheduled { cron: Some("@hourly".to_owned()), ..hourly("news") };
    let wrong = Scheduled { cron: Some("61 * * * *".to_owned()), ..hourly("news") };
    for (now, change, wake) in [
        ("01:30", vec![off], None),
        ("03:30", vec![hourly("news")], Some("04:00")),
        ("05:30", vec![], None),
        ("07:30", vec![edited], Some("08:00")),
        ("09:30", vec![wrong], None),
    ] {
        rounds.changed = Some(list(&change));
        let expected = (vec![], wake.map(at));
        assert_eq!(bench.go(&mut rounds, at(now)).await, expected, "at {now}");
    }
}

#[tokio::test]
async fn a_clock_that_jumps_repeats_nothing_floods_nothing_and_silences_nothing() {
    const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1_000;
    let mut bench = Bench::new().await;
    let mut rounds = bench.process(1, &[hourly("news")]);
    bench.started(&mut rounds, at("00:30")).await;
    assert_eq!(bench.started(&mut rounds, at("03:00")).await, [slot("news", "03:00")]);
    let back = bench.go(&mut rounds, at("01:10")).await;
    assert_eq!(back, (vec![], Some(at("04:00"))), "set back two hours: nothing again");

    let ahead = at("05:00") + YEAR_MS;
    let expected = format!("schedule:news:{ahead}");
    assert_eq!(bench.started(&mut rounds, ahead).await, [expected], "set forward: one run");
    assert!(bench.last().await.1.contains("missed"), "and the user is told");

    let back = bench.go(&mut rounds, at("05:10")).await;
    assert_eq!(back, (vec![], Some(at("06:00"))), "set right again: the schedule goes on");
    assert!(bench.last().await.1.contains("clock was wrong"), "and the user is told");
    assert_eq!(bench.started(&mut rounds, at("06:00")).await, [slot("news", "06:00")]);
}

#[tokio::test]
async fn very_many_schedules_that_are_due_at_once_start_once_each_and_stop_does_not_wait_for_all() {
    let many = if std::env::var_os("QUAERO_LONG").is_some() { 10_000 } else { 500 };
    let definitions: Vec<Scheduled> = (0..many).map(|n| hourly(&format!("news-{n}"))).collect();
    let mut bench = Bench::new().await;
    let mut rounds = bench.process(1, &definitions);
    assert_eq!(bench.go(&mut rounds, at("00:30")).await, (vec![], Some(at("01:00"))));
    // The computer slept for five hours.
    let (started, wake) = bench.go(&mut rounds, at("05:10")).await;
    let expected: Vec<String> = (0..many).map(|n| slot(&format!("news-{n}"), "05:00")).collect();
    assert!(started == expected, "{} were started", started.len());
    assert_eq!(wake, Some(at("06:00")));
    assert_eq!(bench.go(&mut rounds, at("05:20")).await, (vec![], Some(at("06:00"))));

    // Told to stop in the middle, it starts no more; what is left is due in the next process.
    rounds.stop.cancel();
    assert_eq!(bench.started(&mut rounds, at("06:00")).await, [""; 0]);
    let mut next = bench.process(2, &definitions);
    assert_eq!(bench.started(&mut next, at("06:10")).await.len(), many);
}

#[tokio::test]
async fn the_task_wakes_for_a_time_for_changed_definitions_and_for_stop() {
    let mut bench = Bench::new().await;
    let (sender, receiver) = watch::channel(list(&[]));
    let (store, clock) = (bench.store.clone(), Arc::clone(&bench.clock));
    let scheduler = Scheduler::start(store, clock, 1, Arc::clone(&bench.fake), receiver);
    sender.send_replace(list(&[Scheduled { missed_runs: MissedRuns::All, ..hourly("news") }]));
    // The first wait may have been without any definition.
    while bench.waits.recv().await.expect("the scheduler waits") != Some(at("01:00")) {}
    bench.clock.now.send_replace(at("01:00"));
    assert_eq!(bench.told.recv().await, Some(slot("news", "01:00")));
    bench.clock.now.send_replace(at("02:00"));
    assert_eq!(bench.told.recv().await, Some(slot("news", "02:00")));
    // Without anybody to change them, the definitions stay in force.
    drop(sender);
    bench.clock.now.send_replace(at("03:00"));
    assert_eq!(bench.told.recv().await, Some(slot("news", "03:00")));
    scheduler.stop().await;
}

#[tokio::test]
async fn the_user_sees_what_will_come_and_what_has_been() {
    let mut bench = Bench::new().await;
    let off = Scheduled { enabled: false, timezone: None, ..hourly("off") };
    let manual = Scheduled { cron: None, ..hourly("manual") };
    let definitions = [hourly("news"), off, manual];
    let mut rounds = bench.process(1, &definitions);
    bench.started(&mut rounds, at("00:30")).await;
    bench.started(&mut rounds, at("01:00")).await;
    let views = views(&bench.store, &definitions, at("01:10")).await.expect("read");
    assert_eq!(views.len(), 2, "what has no schedule is not in the list");
    let news = &views[0];
    assert_eq!((news.name.as_str(), news.description.as_str()), ("NEWS", "Every hour, UTC"));
    assert_eq!(
        news.next,
        (2..=6).map(|h| format!("2026-05-04T0{h}:00:00.000Z")).collect::<Vec<_>>()
    );
    assert_eq!(news.last_slot.as_deref(), Some("2026-05-04T01:00:00.000Z"));
    assert_eq!((news.last_result, news.started), (Some(SlotResult::Started), 1));
    assert!(news.last_run.is_some());
    assert_eq!((views[1].next.len(), views[1].last_slot.as_deref()), (0, None));
}

#[test]
fn a_schedule_is_shown_while_it_is_written() {
    let shown = preview("0 7 * * mon-fri", Some("Australia/Sydney"), at("00:30")).expect("right");
    assert_eq!(shown.description, "At 07:00 on weekdays, Sydney time");
    assert_eq!(shown.next[0], "2026-05-04T21:00:00.000Z");
    assert_eq!(shown.next.len(), SHOWN);
    let wrong = preview("@daily", Some("Australia/Sidney"), 0).expect_err("wrong");
    assert_eq!(wrong.hint.as_deref(), Some("Did you mean `Australia/Sydney`?"));
    assert_eq!(preview("61 * * * *", None, 0).expect_err("wrong").code, ErrorCode::Invalid);
}
