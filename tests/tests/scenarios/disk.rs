//! Disks that are full or cannot be written. They are file systems of the test's own, which only
//! the administrator may mount.

#![cfg(target_os = "linux")]

use quaero_tests::{
    data,
    folders::{self, Disk},
};

use super::{Place, completed_at_least, counts, index};

#[test]
fn a_full_disk_stops_nothing_for_good() {
    let place = Place::new();
    let folder = place.folder("docs");
    let quaero = place.quaero();
    let Some(disk) = Disk::mount(place.folder("data"), "size=8m") else { return };
    // Text that is larger than the disk by far.
    for number in 0..120 {
        let text: String = (0..4_000)
            .map(|line| format!("{} ", folders::word(number * 37 + line % 9_999)))
            .collect();
        folders::write(&folder, format!("{number}.txt").as_ref(), text.as_bytes())
            .expect("written");
    }
    let mut process = quaero.start(index(&folder));
    let id = process.run_id();
    let waits = process.wait_for("a word of the full disk", |line| line["type"] == "storage_wait");
    let why = waits["error"].to_string();
    assert!(why.contains("full") && why.contains("Make room"), "it says why and what to do: {why}");
    let show = quaero.ask(["runs", "show", &id, "--json"]).expect(0).json();
    assert_eq!(show["status"], "running", "what there is can be read: {show}");

    disk.change("size=200m");
    process.wait_for("a word that it goes on", |line| {
        line["type"] == "storage_wait" && line["error"].is_null()
    });
    let finished = process.finish().expect(0).finished();
    assert_eq!(counts(&finished), (120, 0, 0), "{finished}");
    assert_eq!(data::sources(quaero.data_dir()).len(), 120);
    data::assert_whole(quaero.data_dir());
}

#[test]
fn a_disk_without_room_for_a_start_is_told() {
    let place = Place::new();
    let folder = place.folder("docs");
    folders::plain(&folder, 1).expect("a folder");
    let Some(_disk) = Disk::mount(place.folder("data"), "size=64k") else { return };
    let answer = place.quaero().ask(index(&folder)).expect(1);
    assert!(answer.stderr.contains("full") && answer.stderr.contains("data"), "{answer}");
}

#[test]
fn a_disk_that_cannot_be_written_is_told_and_nothing_is_lost() {
    let place = Place::new();
    let folder = place.folder("docs");
    let quaero = place.quaero();
    folders::plain(&folder, 5).expect("a folder");
    let Some(disk) = Disk::mount(place.folder("data"), "size=16m") else { return };
    quaero.ask(index(&folder)).expect(0);
    disk.change("ro");
    let written = quaero.ask(index(&folder)).expect(1);
    assert!(written.stderr.contains("Read-only"), "it says why: {written}");
    // SQLite needs to write beside the database even to read it.
    let read = quaero.ask(["runs", "list", "--json"]).expect(1);
    assert!(read.stderr.contains("can be written"), "it says what to do: {read}");
    disk.change("rw");
    let list = quaero.ask(["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
}

#[test]
fn a_disk_that_takes_no_more_files_is_told() {
    let place = Place::new();
    let folder = place.folder("docs");
    folders::plain(&folder, 1).expect("a folder");
    let Some(disk) = Disk::mount(place.folder("data"), "nr_inodes=3") else { return };
    let quaero = place.quaero();
    let answer = quaero.ask(index(&folder)).expect(1);
    assert!(answer.stderr.contains("data"), "it names the place: {answer}");
    disk.change("nr_inodes=1000");
    quaero.ask(index(&folder)).expect(0);
    data::assert_whole(quaero.data_dir());
}

#[test]
fn a_log_that_cannot_be_written_stops_no_run() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("docs"), place.quaero());
    folders::plain(&folder, 30).expect("a folder");
    let logs = place.folder("data/logs");
    let Some(disk) = Disk::mount(logs.clone(), "size=8k") else { return };
    // With every line that there is, it is full within the first run.
    let ask = || quaero.start_after("export QUAERO_LOG=trace", index(&folder)).finish().expect(0);
    assert_eq!(counts(&ask().finished()), (30, 0, 0));
    assert_eq!(disk.free(), 0, "the disk of the log is full");
    disk.change("ro");
    assert_eq!(counts(&ask().finished()), (0, 0, 30));
    disk.change("rw,size=32m");
    let before = std::fs::metadata(logs.join("quaero.log")).expect("there").len();
    ask();
    let after = std::fs::metadata(logs.join("quaero.log")).expect("there").len();
    assert!(after > before, "it is written again: {before} and {after} bytes");
    data::assert_whole(quaero.data_dir());
}

#[test]
fn an_export_to_a_full_disk_leaves_what_was_there() {
    let place = Place::new();
    let (quaero, stick) = (place.quaero(), place.folder("stick"));
    let Some(disk) = Disk::mount(stick.clone(), "size=16k") else { return };
    let file = stick.join("kept.toml");
    let target = file.to_string_lossy().into_owned();
    let export = ["definitions", "export", "index-folder", &target, "--replace"];
    quaero.ask(export).expect(0);
    let before = std::fs::read(&file).expect("exported");
    // Takes what there is, and says that it was not enough.
    assert!(std::fs::write(stick.join("filler"), [0; 64 << 10]).is_err());
    assert_eq!(disk.free(), 0);
    let answer = quaero.ask(export).expect(1);
    assert!(
        answer.stderr.contains("No space left") && answer.stderr.contains("kept.toml"),
        "{answer}"
    );
    assert_eq!(std::fs::read(&file).expect("still there"), before);
    assert_eq!(std::fs::read_dir(&stick).expect("listed").count(), 2, "nothing is left behind");
}

#[test]
fn a_write_ahead_log_that_only_grows_is_told_by_the_doctor() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("docs"), place.quaero());
    folders::plain(&folder, 1).expect("a folder");
    quaero.ask(index(&folder)).expect(0);
    let wal = std::fs::File::create(quaero.data_dir().join("quaero.db-wal")).expect("made");
    for (bytes, told) in [(200 << 20, false), (300 << 20, true)] {
        wal.set_len(bytes).expect("it takes no room");
        let answer = quaero.ask(["doctor"]);
        assert_eq!(answer.text().contains("Write-ahead log"), told, "{bytes} bytes: {answer}");
        assert_eq!(answer.text().contains("314 MB"), told, "{answer}");
    }
}

#[test]
fn a_process_that_runs_out_of_files_goes_on_when_it_may_open_more() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("docs"), place.quaero());
    folders::plain(&folder, 1_000).expect("a folder");
    let mut process = quaero.start(index(&folder));
    process.wait_for("progress", |line| completed_at_least(line, 20));
    process.limit_files(3);
    process.wait_for("a complaint", |line| line.to_string().contains("Too many open files"));
    process.limit_files(1_000);
    let finished = process.finish().expect(0).finished();
    assert_eq!(counts(&finished), (1_000, 0, 0), "{finished}");
    assert_eq!(finished["jobs"]["failed"], 0, "{finished}");
    data::assert_whole(quaero.data_dir());
}

#[test]
fn a_process_that_may_open_few_files_ends_in_a_defined_state() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("docs"), place.quaero());
    folders::plain(&folder, 200).expect("a folder");
    let few = quaero.start_with_files(40, index(&folder)).finish();
    assert!([Some(0), Some(1)].contains(&few.code()), "{few}");
    assert!(!few.text().contains("panicked"), "{few}");
    // With enough of them everything is read after all.
    quaero.ask(index(&folder)).expect(0);
    assert_eq!(data::sources(quaero.data_dir()).len(), 200);
    data::assert_whole(quaero.data_dir());
}
