use interprocess::local_socket::tokio::Stream;
use quaero_contract::{ErrorCode, RunStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::tests::Bench;

/// The engine of the folder in another "process": a second look at the same folder.
async fn there(bench: &Bench) -> Remote {
    match EngineAt::open(bench.data.path()).await.expect("found") {
        EngineAt::There(remote) => remote,
        EngineAt::Here(_) => panic!("the lock was free"),
    }
}

fn remote(data_dir: &Path) -> Remote {
    Remote { data_dir: data_dir.to_owned(), patience: ANSWER_TIME }
}

/// Follows to the end: how many events came, and the end.
async fn to_the_end(mut follow: Follow) -> (usize, Result<RunView, ApiError>) {
    let mut events = 0;
    while let Some(message) = follow.next().await {
        match message {
            Ok(Followed::Event(event)) => {
                assert_eq!(event.run_id(), Some(follow.run()));
                events += 1;
            }
            Ok(Followed::Ended(view)) => return (events, Ok(*view)),
            Err(error) => return (events, Err(error)),
        }
    }
    panic!("it ended without an end");
}

#[tokio::test]
async fn a_run_is_handed_over_and_followed_to_its_end() {
    let bench = Bench::new();
    let window = bench.open(Role::Engine).await;
    let remote = there(&bench).await;
    let follow = remote.run(bench.wish("one")).await.expect("accepted");
    let run = follow.run();
    let (events, ended) = to_the_end(follow).await;
    let ended = ended.expect("ended").summary;
    assert_eq!((ended.status, ended.documents.created), (RunStatus::Completed, 2));
    assert!(events > 0, "its events were told");
    assert_eq!(
        window.get_run(run).await.expect("it is the window's run").summary.status,
        RunStatus::Completed
    );

    let again = remote.run(bench.wish("one")).await.expect("accepted");
    assert_eq!(again.run(), run, "the same request is the same run");
    assert_eq!(to_the_end(again).await.1.expect("ended").summary.id, run);
    window.close().await;
}

#[tokio::test]
async fn errors_come_back_as_they_are() {
    let bench = Bench::new();
    let window = bench.open(Role::Engine).await;
    let remote = there(&bench).await;
    let unknown = JobId(77);
    assert_eq!(remote.cancel(unknown).await, window.cancel_run(unknown).await);
    assert_eq!(remote.resume(unknown).await.map(|_| ()), window.resume_run(unknown).await);
    let mut wish = bench.wish("one");
    wish.text = "id = ".to_owned();
    let here = window.run_text(wish.clone()).await.expect_err("refused");
    let there = remote.run(wish).await.map(|_| ()).expect_err("refused");
    assert_eq!(here, there);
    assert!(there.place.is_some());
    window.close().await;
}

#[tokio::test]
async fn a_cancel_reaches_the_run_of_the_other_process() {
    let bench = Bench::new();
    for n in 0..1000 {
        bench.write(&format!("{n}.md"), "# A page\n\nwith some text.\n");
    }
    let window = bench.open(Role::Engine).await;
    let remote = there(&bench).await;
    let follow = remote.run(bench.wish("one")).await.expect("accepted");
    let run = follow.run();
    remote.cancel(run).await.expect("cancelled");
    let ended = to_the_end(follow).await.1.expect("ended").summary;
    assert_eq!(ended.status, RunStatus::Cancelled);
    assert_eq!(remote.cancel(run).await.expect_err("it has ended").code, ErrorCode::Conflict);
    window.close().await;
}

#[tokio::test]
async fn followers_are_told_when_the_process_stops() {
    let bench = Bench::new();
    for n in 0..1000 {
        bench.write(&format!("{n}.md"), "# A page\n\nwith some text.\n");
    }
    let window = bench.open(Role::Engine).await;
    let follow = there(&bench).await.run(bench.wish("one")).await.expect("accepted");
    let run = follow.run();
    let (closed, (_, ended)) = tokio::join!(window.close(), to_the_end(follow));
    let () = closed;
    let error = ended.expect_err("it was interrupted");
    assert!(error.hint.is_some_and(|hint| hint.contains(&format!("quaero runs resume {run}"))));

    let EngineAt::Here(next) = EngineAt::open(bench.data.path()).await.expect("opened") else {
        panic!("the lock is free again");
    };
    let events = next.events();
    next.resume_run(run).await.expect("resumed");
    let ended = to_the_end(next.follow(run, events)).await.1.expect("ended").summary;
    assert_eq!((ended.status, ended.documents.created), (RunStatus::Completed, 1002));
    next.close().await;
}

#[tokio::test]
async fn a_run_that_was_handed_over_ends_even_if_nobody_follows_it() {
    let bench = Bench::new();
    for n in 0..300 {
        bench.write(&format!("{n}.md"), "# A page\n\nwith some text.\n");
    }
    let first = bench.open(Role::EngineForOwnRuns).await;
    let follow = there(&bench).await.run(bench.wish("one")).await.expect("accepted");
    let run = follow.run();
    drop(follow);
    first.handed_over_runs_ended().await;
    let ended = first.get_run(run).await.expect("found").summary;
    assert_eq!((ended.status, ended.documents.created), (RunStatus::Completed, 302));
    first.close().await;
}

#[tokio::test]
async fn nonsense_on_the_socket_is_refused_and_harms_nobody() {
    let bench = Bench::new();
    let window = bench.open(Role::Engine).await;
    let address = socket::Address::of(bench.data.path()).expect("an address");
    let endless = vec![b'x'; usize::try_from(MAX_REQUEST).expect("small") + 1];
    let rows: [&[u8]; 7] = [
        b"\n",
        b"{}\n",
        b"{\"cancel\":{\"run\":7}}\n",
        b"{\"cancel\":{\"run\":\"7\",\"more\":1}}\n",
        b"{\"eval\":\"x\"}\n",
        b"\xff\xfe\n",
        &endless,
    ];
    for row in rows {
        let mut stream = Stream::connect(address.name().expect("a name")).await.expect("connected");
        // The other side may stop reading before everything is sent.
        let _ = stream.write_all(row).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let shown = String::from_utf8_lossy(&row[..row.len().min(40)]).into_owned();
        if row.len() < 1000 {
            let Ok(Answer::Failed(error)) = serde_json::from_slice(&answer) else {
                panic!("{shown} was answered with {}", String::from_utf8_lossy(&answer));
            };
            assert_eq!(error.code, ErrorCode::Invalid, "{shown}");
        }
    }
    remote(bench.data.path()).ping().await.expect("still there");
    window.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_left_by_a_killed_process_is_no_obstacle() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let path = bench.data.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket that nobody listens on"));
    remote(bench.data.path()).ping().await.expect_err("nobody is there");
    let window = bench.open(Role::Engine).await;
    there(&bench).await.ping().await.expect("the new one listens");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for the user only");
    window.close().await;
    assert!(!path.exists(), "it is gone with the process");
}

#[tokio::test]
async fn a_process_that_was_suspended_is_not_waited_for() {
    let bench = Bench::new();
    let address = socket::Address::of(bench.data.path()).expect("an address");
    let _never_accepts = address.listen().expect("a socket");
    let remote = Remote { patience: Duration::from_millis(50), ..remote(bench.data.path()) };
    let answers = [remote.ping().await, remote.run(bench.wish("one")).await.map(drop)];
    for answer in answers {
        assert_eq!(answer.expect_err("nobody answers").code, ErrorCode::Busy);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_data_folder_with_a_very_long_path_works_too() {
    let root = tempfile::tempdir().expect("a folder");
    let deep = root.path().join("a-rather-long-name-for-a-folder/".repeat(6));
    std::fs::create_dir_all(&deep).expect("created");
    let options = AppOptions { data_dir: deep.clone(), role: Role::Engine };
    let window = App::open(options).await.expect("opened");
    let EngineAt::There(remote) = EngineAt::open(&deep).await.expect("found") else {
        panic!("the lock was free")
    };
    remote.ping().await.expect("it answers");
    window.close().await;
}
