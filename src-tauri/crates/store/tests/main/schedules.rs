//! A slot is dealt with once, in the transaction that accepts its run.

use quaero_contract::{JobId, SlotResult};
use quaero_store::{ScheduleState, Settled, Slot, Store};
use tempfile::tempdir;

use crate::{new_run, open};

fn slot(at_ms: i64) -> Slot {
    Slot { definition_id: "news".to_owned(), at_ms, note: String::new() }
}

async fn set(store: &Store, schedules: &[(&str, &str)], now_ms: i64) -> Vec<ScheduleState> {
    let schedules: Vec<(String, String)> =
        schedules.iter().map(|(id, cron)| ((*id).to_owned(), (*cron).to_owned())).collect();
    store.write(move |tx| tx.set_schedules(&schedules, now_ms)).await.unwrap()
}

async fn settle(store: &Store, at_ms: i64, settled: Settled) -> bool {
    store.write(move |tx| tx.settle_slot(&slot(at_ms), settled)).await.unwrap()
}

/// Accepts the run of a slot, as whoever starts runs does.
async fn start(store: &Store, at_ms: i64) -> (JobId, bool) {
    store
        .write(move |tx| {
            let slot = slot(at_ms);
            let (run, new) = tx.create_run(&new_run(&slot.request_id()), at_ms)?;
            tx.settle_slot(&slot, Settled::Started(run))?;
            Ok((run, new))
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_slot_starts_one_run_even_if_the_clock_was_set_back() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    set(&store, &[("news", "@daily")], 10).await;
    let (run, new) = start(&store, 20).await;
    assert!(new);
    assert_eq!(start(&store, 20).await, (run, false), "the same slot again");
    assert!(!settle(&store, 20, Settled::Skipped).await, "it has been dealt with");
    assert!(!settle(&store, 15, Settled::Missed).await, "and so has everything before it");
    let expected = ScheduleState {
        definition_id: "news".to_owned(),
        settled_ms: 20,
        last_slot_ms: Some(20),
        last_result: Some(SlotResult::Started),
        last_run: Some(run),
        note: String::new(),
        started: 1,
        skipped: 0,
    };
    assert_eq!(store.schedules().await.unwrap(), [expected]);

    store.write(|tx| tx.rewind_schedule("news", 5, "The clock was wrong.")).await.unwrap();
    assert_eq!(start(&store, 20).await, (run, false), "its run exists");
    assert_eq!(store.list_runs(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_became_of_each_slot_is_kept_through_a_restart() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    set(&store, &[("news", "@daily")], 10).await;
    start(&store, 20).await;
    for (at_ms, settled, result) in [
        (30, Settled::Skipped, SlotResult::Skipped),
        (40, Settled::Missed, SlotResult::Missed),
        (50, Settled::Failed, SlotResult::Failed),
        (60, Settled::Skipped, SlotResult::Skipped),
    ] {
        assert!(settle(&store, at_ms, settled).await);
        let state = store.schedules().await.unwrap().remove(0);
        assert_eq!((state.last_result, state.last_run), (Some(result), None));
    }
    let before = store.schedules().await.unwrap();
    store.close(70).await.unwrap();
    let store = open(&folder).await;
    assert_eq!(store.schedules().await.unwrap(), before);
    assert_eq!((before[0].settled_ms, before[0].started, before[0].skipped), (60, 1, 2));
}

#[tokio::test]
async fn a_schedule_that_changed_or_was_off_begins_now() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let settled = |states: Vec<ScheduleState>| states[0].settled_ms;
    assert_eq!(settled(set(&store, &[("news", "@daily")], 10).await), 10, "new");
    assert_eq!(settled(set(&store, &[("news", "@daily")], 20).await), 10, "as before");
    assert_eq!(settled(set(&store, &[("news", "@hourly")], 30).await), 30, "changed");
    set(&store, &[("other", "@daily")], 40).await;
    assert_eq!(settled(set(&store, &[("news", "@hourly")], 50).await), 50, "was off");
    assert_eq!(settled(set(&store, &[("news", "@daily")], 40).await), 50, "nothing is repeated");
    assert_eq!(set(&store, &[], 60).await, []);
    assert_eq!(store.schedules().await.unwrap().len(), 2, "what happened is not forgotten");
}

#[tokio::test]
async fn a_definition_without_a_schedule_settles_nothing() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    assert!(!settle(&store, 20, Settled::Missed).await);
    assert_eq!(store.schedules().await.unwrap(), []);
}
