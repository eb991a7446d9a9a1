//! Every state that a killed engine can leave behind is a good one, and leads to the same end.

use std::{path::Path, sync::Arc, time::Duration};

use quaero_contract::JobId;
use quaero_engine::{Clock, Engine, EngineOptions};
use quaero_store::{Access, LaneState, Store};
use quaero_tests::{
    crash::{
        kill::check_end,
        wal::{Cuts, Recording},
    },
    note,
    workers::{Conduct, Fast, Script, registry},
};
use tempfile::tempdir;

const CLOCK: Fast = Fast(20);

async fn open(folder: &Path) -> Store {
    let store = Store::open(folder, Access::Write, CLOCK.now_ms()).await;
    store.unwrap_or_else(|error| panic!("{} cannot be opened: {error}", folder.display()))
}

async fn start(store: &Store) -> Engine {
    let options = EngineOptions { width: 3, ..EngineOptions::default() };
    let workers = registry(Conduct::default());
    Engine::start(store.clone(), workers, Arc::new(CLOCK), options).await.expect("it starts")
}

/// Waits until every run of the store has ended.
async fn until_all_have_ended(engine: &Engine, store: &Store) {
    let mut events = engine.events();
    loop {
        let runs = store.list_runs(None, 1_000).await.expect("readable");
        if runs.iter().all(|run| run.status.is_terminal()) {
            return;
        }
        // Any event is a reason to look again; so is having missed some.
        let _ = events.recv().await;
    }
}

async fn close(engine: Engine, store: &Store) {
    engine.stop(Duration::ZERO).await;
    store.close(CLOCK.now_ms()).await.expect("closed");
}

/// A run that spawns in both ways, tries again and fails, and one that is cancelled half-way.
async fn record(script: &Script) -> (Cuts, JobId) {
    let folder = tempdir().expect("a folder");
    open(folder.path()).await.close(0).await.expect("closed");
    let recording = Recording::begin(folder.path());
    let store = open(folder.path()).await;
    let engine = start(&store).await;
    let doomed = Script { takes_ms: 5, ..Script::tree(2, 4) };
    let doomed = engine.submit(doomed.run("doomed")).await.expect("accepted");
    let run = engine.submit(script.run("kept")).await.expect("accepted");
    let mut events = engine.events();
    while store.run_progress(doomed).await.expect("readable").expect("accepted").jobs.completed < 3
    {
        let _ = events.recv().await;
    }
    engine.cancel(doomed).await.expect("cancelled");
    until_all_have_ended(&engine, &store).await;
    let cuts = recording.end();
    close(engine, &store).await;
    (cuts, run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_commit_of_an_engine_is_a_state_from_which_it_goes_on() {
    let script =
        Script { fail_every: 7, flaky_every: 5, early: true, takes_ms: 1, ..Script::tree(3, 2) };
    let (cuts, run) = record(&script).await;
    assert!(cuts.commits() > 20, "{} commits are too few to prove anything", cuts.commits());
    let mut gone_on = 0;
    for (number, cut) in cuts.all().enumerate() {
        let folder = cuts.folder(cut);
        let store = open(folder.path()).await;
        let found = store.inconsistencies().await.expect("readable");
        assert_eq!(found, [""; 0], "after {cut}");
        let accepted = store.run_progress(run).await.expect("readable").is_some();
        // To go on takes longer than to look.
        if accepted && number % 7 == 0 {
            let engine = start(&store).await;
            until_all_have_ended(&engine, &store).await;
            let found = store.inconsistencies().await.expect("readable");
            assert_eq!(found, [""; 0], "in the end, after {cut}");
            close(engine, &store).await;
            assert_eq!(check_end(folder.path(), run, &script), 0, "after {cut}");
            gone_on += 1;
        } else {
            store.close(0).await.expect("closed");
        }
    }
    note(&format!("{} commits; the engine went on from {gone_on} states", cuts.commits()));
    assert!(gone_on > 3, "{gone_on} are too few to prove anything");
}

#[tokio::test]
async fn a_change_that_takes_two_commits_is_found() {
    let folder = tempdir().expect("a folder");
    let store = open(folder.path()).await;
    let engine = start(&store).await;
    let run = Script { takes_ms: 60_000, ..Script::default() }.run("only");
    let run = engine.submit(run).await.expect("accepted");
    close(engine, &store).await;

    let recording = Recording::begin(folder.path());
    let store = open(folder.path()).await;
    let claim = store.write(move |tx| {
        tx.void_dead_leases(0)?;
        tx.claim(run, "local", LaneState::default(), &Vec::new(), 1, 0)
    });
    let task = claim.await.expect("claimed").pop().expect("a task waits").lease.job;
    // What becomes of its step would have to be decided in the same transaction.
    store.write(move |tx| tx.end_task(task, None, 0)).await.expect("written");
    let cuts = recording.end();
    store.close(0).await.expect("closed");

    let mut found = Vec::new();
    for cut in cuts.all() {
        let folder = cuts.folder(cut);
        let store = open(folder.path()).await;
        found.push(!store.inconsistencies().await.expect("readable").is_empty());
        store.close(0).await.expect("closed");
    }
    // Only the last commit, whole or with what follows it, is half a change.
    let (good, bad) = found.split_at(found.len() - 2);
    assert!(!good.contains(&true) && !bad.contains(&false), "{found:?}");
}
