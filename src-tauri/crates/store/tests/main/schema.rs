//! What the code gets wrong, the schema refuses.

use quaero_contract::{JobError, JobStatus};
use quaero_store::{
    Inserted, Lease, POISON_AFTER, Place, SUSPECT_AFTER, Store, StoreError, TaskRow, Tx,
};
use sqlx::Connection;
use tempfile::tempdir;

use crate::{
    assert_consistent, claim,
    folder::{connect, settled},
    open, row, started,
};

#[tokio::test]
async fn the_schema_and_the_code_allow_the_same_transitions() {
    let folder = tempdir().unwrap();
    open(&folder).await.close(0).await.unwrap();
    let mut conn = connect(folder.path()).await;
    for from in JobStatus::ALL {
        for to in JobStatus::ALL {
            let allowed: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM allowed_transitions WHERE from_status = ? AND to_status = ?)",
            )
            .bind(from.as_str())
            .bind(to.as_str())
            .fetch_one(&mut conn)
            .await
            .unwrap();
            assert_eq!(allowed, from.may_become(to), "{from} to {to}");
        }
    }
}

#[tokio::test]
async fn illegal_changes_are_refused() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    started(&store, &["a", "b"]).await;
    store.close(0).await.unwrap();
    let mut conn = connect(folder.path()).await;
    for (what, sql) in [
        (
            "a finished job cannot start again",
            "UPDATE jobs SET status = 'completed', finished_ms = 1 WHERE id = 3; UPDATE jobs SET status = 'pending', finished_ms = NULL WHERE id = 3",
        ),
        ("an end without a time", "UPDATE jobs SET status = 'failed' WHERE id = 3"),
        ("running without a lease", "UPDATE jobs SET status = 'running', attempt = 1 WHERE id = 3"),
        (
            "a parent before its children",
            "UPDATE jobs SET status = 'completed', finished_ms = 1 WHERE id = 1",
        ),
        ("a live job deleted", "DELETE FROM jobs WHERE id = 3"),
        ("a job that moves to another run", "UPDATE jobs SET run_id = 9 WHERE id = 3"),
        (
            "a job born running",
            "INSERT INTO jobs (run_id, parent_id, step_id, kind, type, name, status, lease_epoch, created_ms, changed_ms) VALUES (1, 2, 2, 'task', 't', 'n', 'running', 1, 1, 1)",
        ),
        ("too many attempts", "UPDATE jobs SET attempt = 99 WHERE id = 3"),
        ("an unknown status", "UPDATE jobs SET status = 'done' WHERE id = 3"),
        ("a tag in upper case", "INSERT INTO document_tags VALUES (1, 'Upper')"),
    ] {
        let mut tx = conn.begin().await.unwrap();
        let result = sqlx::raw_sql(sql).execute(&mut *tx).await;
        assert!(result.is_err(), "{what} was allowed");
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn a_task_is_handed_out_once() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a", "b", "c", "d", "e"]).await;
    let claims = (0..8).map(|_| store.write(move |tx| claim(tx, place.run, 1)));
    let claimed = futures::future::join_all(claims).await;
    let mut names: Vec<String> =
        claimed.into_iter().flat_map(Result::unwrap).map(|task| task.name).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_consistent(&store).await;
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let lease = store.write(move |tx| claim(tx, place.run, 1)).await.unwrap()[0].lease;
    let held = |lease: Lease| store.write(move |tx| tx.leased(lease));
    let task = held(lease).await.unwrap().expect("the lease holds");
    assert!(held(Lease { attempt: lease.attempt + 1, ..lease }).await.unwrap().is_none());
    store.write(move |tx| tx.requeue(&task, Some(&error("flaky")), 0, 2_000)).await.unwrap();
    assert!(held(lease).await.unwrap().is_none(), "a task in the queue is nobody's");
    let second = store.write(move |tx| claim(tx, place.run, 1)).await.unwrap()[0].lease;
    assert!(held(lease).await.unwrap().is_none(), "the first attempt is over");
    assert!(held(second).await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_is_used_once_in_a_step_and_a_step_has_a_bounded_number_of_tasks() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let insert = |keys: &'static [&'static str], most| {
        store.write(move |tx| {
            let rows: Vec<_> = keys.iter().map(|key| row(key)).collect();
            tx.insert_tasks(place, &rows, most, 2_000)
        })
    };
    let inserted = |written, left_out| Inserted { written, left_out, too_many: None };
    assert_eq!(insert(&["a", "b", "b"], None).await.unwrap(), inserted(1, 0));
    assert_eq!(insert(&["a", "c", "d", "e"], Some(4)).await.unwrap(), inserted(2, 1));
    assert_eq!(insert(&["f"], Some(4)).await.unwrap(), inserted(0, 1));
    assert_eq!(insert(&["a"], Some(4)).await.unwrap(), inserted(0, 0));
    // A task may not allow more than the step may have.
    let limit = "UPDATE steps SET max_tasks = 6";
    sqlx::query(limit).execute(&mut connect(folder.path()).await).await.unwrap();
    assert_eq!(insert(&["f", "a"], Some(100)).await.unwrap(), inserted(1, 0));
    assert_eq!(insert(&["a", "g"], None).await.unwrap(), inserted(1, 0));
    let refused = Inserted { written: 0, left_out: 0, too_many: Some(6) };
    assert_eq!(insert(&["h", "a"], None).await.unwrap(), refused);
    assert_consistent(&store).await;
}

#[tokio::test]
async fn a_key_that_was_undone_is_free_and_one_that_is_found_nearer_is_nearer() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let insert = move |keys: &'static [&'static str], depth| {
        let place = Place { depth, ..place };
        move |tx: &mut Tx| {
            let rows: Vec<_> = keys.iter().map(|key| row(key)).collect();
            tx.insert_tasks(place, &rows, None, 2_000).map(|inserted| inserted.written)
        }
    };
    let depths = async || {
        let rows = sqlx::query_as::<_, (String, i64)>(
            "SELECT task_key, depth FROM jobs WHERE kind = 'task' ORDER BY id",
        );
        rows.fetch_all(&mut connect(folder.path()).await).await.unwrap()
    };
    // All three may share a commit; only the second is undone.
    let (first, undone, last) = tokio::join!(
        store.write(insert(&["b"], 3)),
        store.write(move |tx| {
            insert(&["b", "c"], 1)(tx)?;
            Err::<(), _>(StoreError::Full)
        }),
        store.write(insert(&["b", "c"], 2)),
    );
    assert_eq!((first.unwrap(), undone.unwrap_err().may_pass(), last.unwrap()), (1, true, 1));
    let at = |key: &str, depth| (key.to_owned(), depth);
    assert_eq!(depths().await, [at("a", 0), at("b", 2), at("c", 2)]);
    for (keys, depth, expected) in [
        (&["b", "c"][..], 4, [0, 2, 2]),
        (&["c", "a"], 1, [0, 2, 1]),
        (&["c"], 1, [0, 2, 1]),
        (&["b", "c"], 1, [0, 1, 1]),
    ] {
        assert_eq!(store.write(insert(keys, depth)).await.unwrap(), 0);
        let found: Vec<i64> = depths().await.into_iter().map(|(_, depth)| depth).collect();
        assert_eq!(found, expected, "{keys:?} at {depth}");
    }
    assert_consistent(&store).await;
}

#[tokio::test]
async fn another_attempt_of_a_step_knows_no_keys() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let insert = |at_ms| {
        store.write(move |tx| {
            tx.insert_tasks(place, &[row("a"), row("b")], None, at_ms).map(|all| all.written)
        })
    };
    assert_eq!(insert(2_000).await.unwrap(), 1);
    assert_eq!(insert(2_000).await.unwrap(), 0);
    let again = store.write(move |tx| {
        let claimed = claim(tx, place.run, 9)?;
        let leases: Vec<Lease> = claimed.iter().map(|task| task.lease).collect();
        assert_eq!(tx.complete_tasks(&leases, 3_000)?.0, 2);
        tx.retry_step(place.step, None, 3_000, 3_000)?;
        tx.open_step(place.step, 3_000)
    });
    again.await.unwrap();
    assert_eq!(insert(3_000).await.unwrap(), 2);
    assert_eq!(insert(3_000).await.unwrap(), 0);
    assert_consistent(&store).await;
}

#[tokio::test]
async fn a_failed_command_undoes_itself_and_nothing_else() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let (good, bad, panicking) = tokio::join!(
        store.write(|tx| tx.create_run(&crate::new_run("good"), 1)),
        store.write(|tx| {
            tx.create_run(&crate::new_run("bad"), 1)?;
            Err::<(), _>(StoreError::Full)
        }),
        store.write(|tx| {
            tx.create_run(&crate::new_run("panicking"), 1)?;
            if true {
                panic!("on purpose");
            }
            Ok(())
        }),
    );
    assert!(good.is_ok());
    assert!(matches!(bad, Err(StoreError::Full)));
    assert!(matches!(panicking, Err(StoreError::Panicked(_))));
    assert_eq!(store.list_runs(None, 10).await.unwrap().len(), 1);
    // The next write works as if nothing had been.
    started(&store, &["a"]).await;
}

#[tokio::test]
async fn a_job_that_takes_the_process_down_again_and_again_is_set_aside() {
    let folder = tempdir().unwrap();
    let mut store = open(&folder).await;
    let place = started(&store, &["bomb", "good"]).await;
    for round in 1..=POISON_AFTER {
        let claimed = store.write(move |tx| claim(tx, place.run, 1)).await.unwrap();
        assert_eq!(claimed[0].name, "bomb", "round {round}");
        store = crash(store, &folder).await;
        store.write(|tx| tx.void_dead_leases(3_000)).await.unwrap();
        let runs = [place.run];
        let alone = store.write(move |tx| tx.has_suspects(&runs));
        let suspected = (SUSPECT_AFTER..POISON_AFTER).contains(&round);
        assert_eq!(alone.await.unwrap(), suspected, "round {round}");
    }
    let claimed = store.write(move |tx| claim(tx, place.run, 1)).await.unwrap();
    assert_eq!(claimed[0].name, "good");
    let progress = store.run_progress(place.run).await.unwrap().unwrap();
    assert_eq!((progress.jobs.failed, progress.jobs.running), (1, 1));
    assert_consistent(&store).await;
}

#[tokio::test]
async fn a_cancel_that_was_cut_off_is_finished_at_the_next_start() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["running", "waiting"]).await;
    store
        .write(move |tx| {
            claim(tx, place.run, 1)?;
            tx.cancel_run(place.run, 2_000)
        })
        .await
        .unwrap();
    let store = crash(store, &folder).await;
    let drained = store.write(|tx| tx.void_dead_leases(3_000)).await.unwrap();
    assert!(drained.contains(&place.run), "its step has to be ended");
    let progress = store.run_progress(place.run).await.unwrap().unwrap();
    assert_eq!(progress.jobs.cancelled, 2);
}

#[tokio::test]
async fn one_claim_keeps_the_limit_of_every_task_in_the_lane() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &[]).await;
    let claimed = store.write(move |tx| {
        let narrow = |key| TaskRow { lane_limit: 2, ..row(key) };
        let rows = [row("wide"), narrow("first"), narrow("second"), narrow("third")];
        tx.insert_tasks(place, &rows, None, 2_000)?;
        claim(tx, place.run, 8)
    });
    let names: Vec<String> = claimed.await.unwrap().into_iter().map(|task| task.name).collect();
    assert_eq!(names, ["wide", "first"]);
}

/// Drops the store as a killed process would.
async fn crash(store: Store, folder: &tempfile::TempDir) -> Store {
    drop(store);
    settled(folder.path()).await;
    open(folder).await
}

fn error(code: &str) -> JobError {
    JobError { code: code.to_owned(), message: "It did not work.".to_owned() }
}

#[tokio::test]
async fn one_claim_keeps_the_delay_of_the_lane() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &[]).await;
    let claimed = store.write(move |tx| {
        let slow = |key| TaskRow { lane_delay_ms: 1_000, ..row(key) };
        tx.insert_tasks(place, &[slow("a"), slow("b"), row("c")], None, 1_000)?;
        claim(tx, place.run, 3)
    });
    let names: Vec<String> = claimed.await.unwrap().into_iter().map(|task| task.name).collect();
    assert_eq!(names, ["a", "c"], "the second one waits for its time");
    store.close(0).await.unwrap();
}
