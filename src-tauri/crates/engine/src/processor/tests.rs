//! What the processor keeps in memory, without tasks.

use quaero_store::Access;

use super::*;
use crate::clock::SystemClock;

async fn processor(folder: &tempfile::TempDir) -> Processor {
    let store = Store::open(folder.path(), Access::Write, 0).await.unwrap();
    let waiting = Waiting::new(broadcast::channel(8).0);
    let mut processor = Processor::new(
        store,
        Registry::default(),
        Arc::new(SystemClock),
        1,
        Threads::Shared,
        waiting,
    );
    processor.adopt(JobId(7), 0, None);
    processor
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut processor = processor(&folder).await;
    processor.seen_ms = 9_000_000;
    let ready = Change::Ready { run: JobId(7), lane: "lane".to_owned(), at_ms: 9_000_500 };
    processor.notice(&[ready, Change::Wake { run: JobId(7), at_ms: Some(9_000_700) }]);
    let usage = LaneUse { last_start_ms: 9_000_000, ..LaneUse::default() };
    processor.lanes.insert("lane".to_owned(), usage);
    processor.follow_clock(1_000_000);
    assert_eq!(processor.set_back_ms, 8_000_000, "what is stored has yet to follow");
    assert_eq!(processor.next_look(), Some(1_000_500));
    assert_eq!(processor.runs[&JobId(7)].wake_ms, Some(1_000_700));
    assert_eq!(processor.lanes["lane"].last_start_ms, 1_000_000);
}

#[tokio::test]
async fn commits_that_were_missed_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut processor = processor(&folder).await;
    let (sender, mut changes) = broadcast::channel(1);
    for lane in ["missed", "told"] {
        let ready = Change::Ready { run: JobId(7), lane: lane.to_owned(), at_ms: 0 };
        sender.send(Arc::from([ready])).unwrap();
    }
    processor.catch_up(&mut changes);
    assert!(processor.runs[&JobId(7)].lanes.contains_key("told"));
    assert!(processor.lost, "the lane that was missed");
}

#[tokio::test]
async fn runs_take_turns_lane_by_lane_and_a_higher_priority_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut processor = processor(&folder).await;
    processor.width = 8;
    processor.adopt(JobId(8), 0, None);
    processor.adopt(JobId(9), 5, None);
    for (run, lane) in [(7, "a"), (7, "b"), (7, "c"), (8, "x"), (9, "y"), (9, "z")] {
        let (run, lane) = (JobId(run), lane.to_owned());
        processor.notice(&[Change::Ready { run, lane, at_ms: 0 }]);
    }
    processor.last_served = JobId(7);
    let order: Vec<String> = processor
        .candidates(&HashMap::new(), 10)
        .into_iter()
        .map(|c| format!("{}{}", c.run, c.lane))
        .collect();
    assert_eq!(order, ["9y", "9z", "8x", "7a", "7b", "7c"]);
}

#[tokio::test]
async fn a_lane_whose_tasks_cannot_be_claimed_is_left_alone_until_something_happens_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut processor = processor(&folder).await;
    let ready = |lane: &str| Change::Ready { run: JobId(7), lane: lane.to_owned(), at_ms: 0 };
    processor.notice(&[ready("bad"), ready("good")]);
    processor.set_aside(JobId(7), "bad");
    let lanes = |processor: &Processor| -> Vec<String> {
        processor.candidates(&HashMap::new(), 10).into_iter().map(|c| c.lane).collect()
    };
    assert_eq!(lanes(&processor), ["good"]);
    processor.notice(&[ready("bad")]);
    assert_eq!(lanes(&processor), ["bad", "good"]);
}

/// Has a task of this run work for ever.
fn occupy(processor: &mut Processor, run: JobId, number: i64) {
    let abort = processor.tasks.spawn(pending());
    processor.working.insert(
        abort.id(),
        Working {
            since_ms: 0,
            run,
            lane: "busy".to_owned(),
            task_type: "test".to_owned(),
            name: "it".to_owned(),
            lease: Lease { job: JobId(100 + number), attempt: 1 },
            over: Arc::default(),
            cancelled: CancellationToken::new(),
            abort,
            overdue_ms: NEVER,
        },
    );
}

#[tokio::test]
async fn a_task_that_only_waits_for_its_commit_takes_no_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut processor = processor(&folder).await;
    processor.width = 2;
    processor.notice(&[Change::Ready { run: JobId(7), lane: "lane".to_owned(), at_ms: 0 }]);
    for number in 0..5 {
        occupy(&mut processor, JobId(7), number);
    }
    assert_eq!(processor.plan(0).free, 0);
    let mut ended = processor.working.values();
    ended.by_ref().take(2).for_each(|working| working.over.store(true, Relaxed));
    assert_eq!(processor.plan(0).free, 0, "three still work");
    processor.working.values().for_each(|working| working.over.store(true, Relaxed));
    assert_eq!(processor.plan(0).free, 0, "no more results are held than tasks may work");
    for id in processor.working.keys().copied().take(2).collect::<Vec<_>>() {
        processor.working.remove(&id);
    }
    assert_eq!(processor.plan(0).free, 1);
    let last = *processor.working.keys().next().unwrap();
    processor.working.remove(&last);
    assert_eq!(processor.plan(0).free, 2);
    processor.suspects = true;
    assert_eq!(processor.plan(0).free, 0, "what is suspected runs alone");
}

#[tokio::test]
async fn where_all_places_are_taken_a_run_of_which_nothing_runs_may_start_one_task() {
    let folder = tempfile::tempdir().unwrap();
    let mut processor = processor(&folder).await;
    processor.width = SPARE;
    processor.seen_ms = 0;
    processor.adopt(JobId(8), 0, None);
    processor.adopt(JobId(9), 0, Some(0));
    let ready = |run, at_ms| Change::Ready { run: JobId(run), lane: "lane".to_owned(), at_ms };
    processor.notice(&[ready(7, 0), ready(9, 0)]);
    for number in 0..6 {
        occupy(&mut processor, JobId(7), number);
    }
    assert!(processor.plan(0).candidates.is_empty(), "neither of them may");
    assert_eq!(processor.next_look(), None);
    processor.notice(&[ready(8, 500)]);
    assert!(processor.plan(0).candidates.is_empty(), "its time has not come");
    assert_eq!(processor.next_look(), Some(500));
    let round = processor.plan(500);
    let runs: Vec<JobId> = round.candidates.iter().map(|candidate| candidate.run).collect();
    assert_eq!((runs, round.free, round.by_run[&JobId(8)]), (vec![JobId(8)], 1, 1));
    occupy(&mut processor, JobId(8), 6);
    processor.adopt(JobId(10), 0, None);
    processor.notice(&[ready(10, 800)]);
    assert!(processor.plan(800).candidates.is_empty(), "the spare place is taken, too");
    processor.seen_ms = 700;
    assert_eq!(processor.next_look(), None);
}
