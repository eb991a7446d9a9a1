//! Disks that are full or cannot be written. They are file systems of the test's own, which only
//! the administrator may mount.

#![cfg(target_os = "linux")]

use quaero_tests::{
    data,
    folders::{self, Disk},
};

use super::{Place, counts, index};

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
