//! `database_maintenance`.

use std::{collections::BTreeSet, path::Path};

use quaero_contract::JobStatus;
use quaero_store::faults::Outside;
use quaero_tests::{data, folders};

use super::Desk;

fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|e| e.expect("listed").file_name().to_string_lossy().into_owned()).collect()
}

fn index(folder: &Path) -> String {
    format!("[step.index]\ntype = \"local_dir\"\npath = \"{}\"\n", folder.display())
}

fn maintain(operations: &str) -> String {
    format!("[step.care]\ntype = \"database_maintenance\"\noperations = [{operations}]\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_looked_after_while_other_runs_work() {
    let desk = Desk::with(&[]).await;
    let folder = desk.dir.path().join("docs");
    folders::plain(&folder, 400).expect("a folder");
    let all = "\"backup\", \"integrity_check\", \"vacuum\", \"analyze\", \"optimize_search\", \
               \"prune\", \"checkpoint\"";
    let (steps, care) = (index(&folder), format!("{}keep_runs = 100\n", maintain(all)));
    let (indexed, first) = tokio::join!(desk.run(&steps), desk.run(&care));
    let (again, second) = tokio::join!(desk.run(&steps), desk.run(&care));
    for ended in [&first, &second] {
        assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
        assert_eq!(ended.step().jobs.completed, 7, "{ended:?}");
    }
    assert_eq!((indexed.counts(), again.counts()), ((400, 0, 0), (0, 0, 400)));
    let expected = [
        "Copied the database to",
        "as they should be",
        "The database had",
        "planned by",
        "Merged the parts",
        "Forgot 0 runs",
        "the write-ahead log",
    ];
    first.says(expected[6]).await;
    let done = first.log().await;
    // The first line tells of the start.
    for (line, words) in done.iter().skip(1).zip(expected) {
        assert!(line.contains(words), "in the order of the list: {done:?}");
    }

    // The copies are databases as they were at one moment.
    let backups = desk.data_dir().join("backups");
    assert_eq!(names(&backups).len(), 2);
    for name in names(&backups) {
        let restored = tempfile::tempdir().expect("a folder");
        std::fs::copy(backups.join(&name), restored.path().join("quaero.db")).expect("copied");
        data::assert_consistent(restored.path());
        let documents = data::documents(restored.path());
        assert!(documents.len() <= 400);
        data::assert_whole(restored.path());
    }
    desk.close().await;
}

#[tokio::test]
async fn the_newest_copies_are_kept_and_nothing_else_is_touched() {
    let desk = Desk::with(&[]).await;
    let backups = desk.data_dir().join("backups");
    std::fs::create_dir(&backups).expect("made");
    for name in ["mine.db", "quaero-3-1700000000000.db", "backup-notes.txt"] {
        std::fs::write(backups.join(name), "x").expect("written");
    }
    // Of a process that has died.
    std::fs::write(backups.join("backup-unfinished.partial"), "half").expect("written");
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        let ended = desk.run(&format!("{}keep_backups = 2\n", maintain("\"backup\""))).await;
        assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
        seen.extend(names(&backups));
    }
    let left = names(&backups);
    let copies: Vec<&String> =
        left.iter().filter(|n| n.starts_with("backup-") && n.ends_with(".db")).collect();
    assert_eq!(copies.len(), 2, "{left:?}");
    for name in ["mine.db", "quaero-3-1700000000000.db", "backup-notes.txt"] {
        assert!(left.contains(name), "{name} in {left:?}");
    }
    assert!(!left.contains("backup-unfinished.partial"), "{left:?}");
    assert_eq!(
        seen.iter().filter(|n| n.ends_with("Z.db")).count(),
        4,
        "none is overwritten: {seen:?}"
    );
    desk.close().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_leaves_no_half_copy() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("data");
    std::fs::create_dir(&path).expect("made");
    let Some(disk) = folders::Disk::mount(path.clone(), "size=64m") else { return };
    let docs = tempfile::tempdir().expect("a folder");
    for number in 0..100 {
        let text = format!("{} ", folders::word(number)).repeat(8_000);
        folders::write(docs.path(), format!("{number}.txt").as_ref(), text.as_bytes())
            .expect("written");
    }
    let desk = Desk::opened_in(dir, &[], |_| {}).await;
    let ended = desk.run(&index(docs.path())).await;
    assert_eq!(ended.counts(), (100, 0, 0), "{ended:?}");
    let room = usize::try_from(disk.free()).expect("a size").saturating_sub(2 << 20);
    std::fs::write(path.join("filler"), vec![0; room]).expect("written");
    let ended = desk.run(&maintain("\"backup\"")).await;
    assert_eq!(ended.step().status, JobStatus::Failed, "{ended:?}");
    ended.says("not enough room").await;
    // One that cannot be done keeps none of the others from being done.
    let ended = desk.run(&maintain("\"backup\", \"integrity_check\"")).await;
    ended.says("as they should be").await;
    ended.says("not enough room").await;
    assert_eq!(names(&path.join("backups")), BTreeSet::new());
    std::fs::remove_file(path.join("filler")).expect("removed");
    let ended = desk.run(&maintain("\"backup\"")).await;
    assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
    assert_eq!(names(&path.join("backups")).len(), 1);
    desk.app.clone().close().await;
    data::assert_whole(&path);
    drop(disk);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_takes_no_more_files_stops_only_what_needs_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("data");
    std::fs::create_dir(&path).expect("made");
    let Some(disk) = folders::Disk::mount(path.clone(), "size=64m,nr_inodes=1000") else { return };
    let docs = tempfile::tempdir().expect("a folder");
    folders::plain(docs.path(), 50).expect("a folder");
    let desk = Desk::opened_in(dir, &[], |_| {}).await;
    // What a run needs is open by then.
    desk.run(&index(&docs.path().join("none"))).await;
    disk.change(&format!("nr_inodes={}", disk.files()));
    assert!(std::fs::write(path.join("one-more"), "").is_err(), "no file can be made");
    let ended = desk.run(&index(docs.path())).await;
    assert_eq!(ended.counts(), (50, 0, 0), "{ended:?}");
    let ended = desk.run(&maintain("\"backup\"")).await;
    assert_eq!(ended.step().status, JobStatus::Failed, "{ended:?}");
    ended.says("No space left").await;
    disk.change("nr_inodes=1000");
    let ended = desk.run(&maintain("\"backup\"")).await;
    assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
    assert_eq!(names(&path.join("backups")).len(), 1);
    desk.app.clone().close().await;
    data::assert_whole(&path);
    drop(disk);
}

#[tokio::test]
async fn a_document_that_is_not_as_it_was_saved_is_named() {
    let desk = Desk::with(&[]).await;
    let folder = desk.dir.path().join("docs");
    // More than are read at a time.
    folders::plain(&folder, 230).expect("a folder");
    desk.run(&index(&folder)).await;
    let check = maintain("\"integrity_check\"");
    assert_eq!(desk.run(&check).await.step().status, JobStatus::Completed);

    // One letter each; the search index follows, so nothing contradicts anything else.
    let other = Outside::open(&desk.data_dir()).expect("opened");
    let sources: Vec<String> = desk.documents().into_keys().collect();
    let letters = [("markdown", 0), ("title", 115), ("metadata", 229)];
    for (count, (column, source)) in (1..).zip(letters) {
        let source = &sources[source];
        assert_eq!(other.change_letter(column, source).expect("changed"), 1, "{source}");
        let ended = desk.run(&check).await;
        assert_eq!(ended.step().status, JobStatus::Failed, "{column}: {ended:?}");
        ended.says(&format!("({source}) is not as it was saved")).await;
        ended.says(&format!("in {count} places")).await;
        ended.says("Restore a copy").await;
    }
    other.change_letter("title", "*").expect("changed");
    desk.run(&check).await.says("210 more documents are not").await;
    drop(other);
    desk.close().await;
}

#[tokio::test]
async fn old_runs_are_forgotten_and_their_documents_stay() {
    let desk = Desk::with(&[]).await;
    let folder = desk.dir.path().join("docs");
    folders::plain(&folder, 3).expect("a folder");
    for _ in 0..4 {
        desk.run(&index(&folder)).await;
    }
    let ended = desk.run(&format!("{}keep_runs = 2\n", maintain("\"prune\", \"vacuum\""))).await;
    ended.says("Forgot 3 runs").await;
    assert_eq!(desk.app.list_runs(None, 10).await.expect("listed").len(), 2);
    assert_eq!(desk.documents().len(), 3);
    desk.close().await;
}

#[test]
fn what_would_do_nothing_or_too_much_is_told() {
    for (text, problem) in [
        (maintain("\"prune\""), "keep_runs"),
        (format!("{}keep_runs = 3\n", maintain("\"backup\"")), "without the operation `prune`"),
        (maintain("\"defrag\""), "defrag"),
        (maintain(""), "operations"),
    ] {
        let text = format!("id = \"a\"\nname = \"A\"\n{text}");
        let problems = quaero_app::App::validate("a.toml", text.as_bytes());
        assert!(format!("{problems:?}").contains(problem), "{problem}: {problems:?}");
    }
}
