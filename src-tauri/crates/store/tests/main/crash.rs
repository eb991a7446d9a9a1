//! Every state that a killed process can leave behind is a good one.
//!
//! Between checkpoints the write-ahead log only grows, so every such state is a prefix of it: whole
//! transactions, perhaps with a torn last frame. The test records a run, cuts the log at every
//! commit and inside the frame behind it, and opens each.

use std::{fs, path::Path};

use quaero_contract::{JobError, JobId, JobStatus};
use quaero_store::{Access, Lease, Result, Store, Tx};
use sqlx::Connection;
use tempfile::{TempDir, tempdir};

use crate::{
    assert_consistent, claim, document,
    folder::{connect, settled},
    open, row, started,
};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

#[tokio::test]
async fn every_commit_boundary_is_a_consistent_state() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    // From here on the log only grows.
    let mut conn = connect(folder.path()).await;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await.unwrap();
    work(&store).await;
    let (database, log) = (folder.path().join("quaero.db"), folder.path().join("quaero.db-wal"));
    let (database, log) = (fs::read(database).unwrap(), fs::read(log).unwrap());
    conn.close().await.unwrap();
    drop(store);
    settled(folder.path()).await;

    let page = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    let frame = FRAME_HEADER + page;
    let commits: Vec<usize> = (HEADER..log.len().saturating_sub(frame) + 1)
        .step_by(frame)
        .filter(|at| log[at + 4..at + 8] != [0; 4])
        .map(|at| at + frame)
        .collect();
    assert!(commits.len() > 20, "{} commits are too few to prove anything", commits.len());
    for (n, end) in commits.iter().enumerate() {
        for torn in [0, frame / 2] {
            let state = tempdir().unwrap();
            fs::write(state.path().join("quaero.db"), &database).unwrap();
            fs::write(state.path().join("quaero.db-wal"), &log[..(end + torn).min(log.len())])
                .unwrap();
            fs::write(state.path().join("initialised"), "").unwrap();
            check(state.path(), n).await;
        }
    }
}

/// The files as a power failure leaves them now, if everything has reached the disk.
fn as_it_is(folder: &Path) -> TempDir {
    let copy = tempdir().unwrap();
    for name in ["quaero.db", "quaero.db-wal", "initialised"] {
        fs::copy(folder.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

/// Looks into a store whose process died: how many tasks of a run are pending again, and which
/// attempts the next claim makes.
async fn claimed_after(folder: &TempDir, run: JobId) -> (u32, Vec<i64>) {
    let store = open(folder).await;
    assert!(store.was_unclean());
    store.write(|tx| tx.void_dead_leases(9_000)).await.unwrap();
    let pending = store.list_runs(None, 10).await.unwrap()[0].jobs.pending;
    let claimed = store.write(move |tx| claim(tx, run, 10)).await.unwrap();
    assert_consistent(&store).await;
    store.close(9_000).await.unwrap();
    (pending, claimed.iter().map(|task| task.lease.attempt).collect())
}

#[tokio::test]
async fn a_claim_that_a_power_failure_takes_back_leaves_its_tasks_to_be_done() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let run = started(&store, &["a", "b"]).await.run;
    let before = as_it_is(folder.path());
    // Nobody waits for this one to reach the disk.
    store.write_light(move |tx| claim(tx, run, 10)).await.unwrap();
    let after = as_it_is(folder.path());
    // Whatever waits takes all before it along.
    started(&store, &["c"]).await;
    let last = as_it_is(folder.path());
    assert_eq!(claimed_after(&before, run).await, (2, vec![1, 1]), "as if nobody had claimed");
    assert_eq!(claimed_after(&after, run).await, (2, vec![2, 2]));
    let jobs = { open(&last).await.list_runs(None, 10).await.unwrap() };
    assert_eq!(jobs.iter().map(|run| run.jobs.running).collect::<Vec<_>>(), [0, 2]);
    store.close(9_000).await.unwrap();
}

async fn check(folder: &Path, n: usize) {
    let store = Store::open(folder, Access::Write, 9_000)
        .await
        .unwrap_or_else(|e| panic!("commit {n}: {e}"));
    assert!(store.was_unclean(), "commit {n}");
    assert_consistent(&store).await;
    store.write(|tx| tx.void_dead_leases(9_000)).await.unwrap();
    let running =
        store.list_runs(None, 10).await.unwrap().iter().map(|run| run.jobs.running).sum::<u32>();
    assert_eq!(running, 0, "commit {n}: a lease of a dead process was left");
    assert_consistent(&store).await;
    store.close(9_000).await.unwrap();
}

/// Claims, saves, spawns, fails, tries again, and cancels a second run half-way.
async fn work(store: &Store) {
    let place = started(store, &["a", "b", "c"]).await;
    let doomed = started(store, &["x", "y", "z"]).await;
    for round in 0..12 {
        for run in [place.run, doomed.run] {
            let claimed = store.write(move |tx| claim(tx, run, 2)).await.unwrap();
            for task in claimed {
                end(store, task.lease, task.name, round).await;
            }
        }
        if round == 3 {
            store
                .write(move |tx| {
                    tx.cancel_run(doomed.run, 3_000)?;
                    let state = tx.run_state(doomed.run)?.unwrap();
                    let drained = state.steps.iter().filter(|step| step.open == 0);
                    let drained: Vec<JobId> = drained.map(|step| step.id).collect();
                    end_steps(tx, drained, JobStatus::Cancelled)
                })
                .await
                .unwrap();
        }
    }
}

async fn end(store: &Store, lease: Lease, name: String, round: u32) {
    store
        .write(move |tx| {
            let Some(task) = tx.leased(lease)? else { return Ok(()) };
            let error = JobError { code: "test".to_owned(), message: "on purpose".to_owned() };
            if name.ends_with('b') && task.attempts_left > 0 {
                return tx.requeue(&task, Some(&error), 0, 3_000);
            }
            let id = format!("https://example.org/{name}");
            tx.save_document(task.below, &document(&id, &name, "text"), 3_000)?;
            if round < 2 && task.stop.is_none() {
                let children = [row(&format!("{name}a")), row(&format!("{name}b"))];
                tx.insert_tasks(task.below, &children, None, 3_000)?;
            }
            let drained = tx.end_task(lease.job, name.ends_with('b').then_some(&error), 3_000)?;
            end_steps(tx, drained, JobStatus::Completed)
        })
        .await
        .unwrap();
}

/// What the coordinator does for a run of one step.
fn end_steps(tx: &mut Tx, steps: impl IntoIterator<Item = JobId>, status: JobStatus) -> Result<()> {
    for step in steps {
        let run = tx.run_of(step)?;
        tx.move_job(step, status, None, 3_000)?;
        tx.move_job(run, status, None, 3_000)?;
    }
    Ok(())
}
