//! Indexing folders.

use std::{collections::BTreeSet, fs};

use quaero_tests::{
    data,
    folders::{self, word},
};

use super::{Place, completed_at_least, counts, index};

#[test]
fn a_mixed_folder_is_read_whole_once_and_found_again() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("mixed"), place.quaero());
    let expected = folders::mixed(&folder).expect("a folder");

    let first = quaero.ask(index(&folder)).expect(0).finished();
    let count = u64::try_from(expected.documents.len()).expect("few");
    assert_eq!(counts(&first), (count, 0, 0), "{first}");
    assert_eq!(first["jobs"]["failed"], expected.unreadable, "{first}");
    let warnings = first["warnings"].to_string();
    for word in ["larger than", "huge.txt", "not valid text"] {
        assert!(warnings.contains(word), "no warning says `{word}`: {warnings}");
    }
    assert_eq!(data::sources(quaero.data_dir()), expected.documents);

    for (phrase, path) in expected.phrases.iter().rev().step_by(11) {
        let hits = quaero.ask(["docs", "search", phrase, "--json"]).expect(0).json();
        let found: Vec<&str> = hits
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|hit| hit["source_id"].as_str())
            .collect();
        assert_eq!(found, [path.to_string_lossy()], "{phrase}");
    }

    let before = data::documents(quaero.data_dir());
    let second = quaero.ask(index(&folder)).expect(0).finished();
    assert_eq!(counts(&second), (0, 0, count), "nothing is rewritten: {second}");
    assert_eq!(data::documents(quaero.data_dir()), before);
    data::assert_whole(quaero.data_dir());
}

#[test]
fn a_second_run_reads_only_what_has_changed() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("docs"), place.quaero());
    folders::plain(&folder, 30).expect("a folder");
    let first = quaero.ask(index(&folder)).expect(0).finished();
    assert_eq!(counts(&first), (30, 0, 0), "{first}");

    fs::write(folder.join("0/0.md"), "# File 0\n\nNow it tells of a rhinoceros.\n")
        .expect("written");
    fs::remove_file(folder.join("2/2.txt")).expect("removed");
    fs::write(folder.join("new.md"), "# New\n\nAn okapi.\n").expect("written");
    let second = quaero.ask(index(&folder)).expect(0).finished();
    assert_eq!(counts(&second), (1, 1, 28), "{second}");

    let found = |query: &str| {
        quaero.ask(["docs", "search", query, "--json"]).expect(0).json().as_array().map(Vec::len)
    };
    assert_eq!(found("rhinoceros"), Some(1));
    assert_eq!(found(&word(0)), Some(0), "the old text is gone");
    assert_eq!(found("okapi"), Some(1));
    assert_eq!(
        found(&word(2)),
        Some(1),
        "a document stays when its file goes: the drive may only be unplugged"
    );
}

#[test]
fn a_folder_that_is_gone_fails_the_run_and_says_so() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("docs"), place.quaero());
    folders::plain(&folder, 3).expect("a folder");
    quaero.ask(index(&folder)).expect(0);

    fs::remove_dir_all(&folder).expect("removed");
    let finished = quaero.ask(index(&folder)).expect(1).finished();
    assert_eq!(
        (&finished["status"], &finished["error"]["code"]),
        (&"failed".into(), &"folder_not_found".into())
    );
    let message = finished["error"]["message"].as_str().expect("a sentence");
    assert!(
        message.contains(&*folder.to_string_lossy()) && message.contains("does not exist"),
        "{message}"
    );
    assert_eq!(data::sources(quaero.data_dir()).len(), 3, "what was collected stays");
    data::assert_whole(quaero.data_dir());
}

#[test]
fn a_folder_that_vanishes_on_the_way_ends_the_run_in_a_defined_state() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("docs"), place.quaero());
    folders::plain(&folder, 400).expect("a folder");
    let mut process = quaero.start(index(&folder));
    let id = process.run_id();
    process.wait_for("progress", |line| completed_at_least(line, 5));
    fs::rename(&folder, folder.with_extension("elsewhere")).expect("moved");
    let answer = process.finish();
    let finished = answer.finished();
    assert!([Some(0), Some(1)].contains(&answer.code()), "{answer}");
    let show = quaero.ask(["runs", "show", &id, "--json"]).expect(0).json();
    assert_eq!(show["status"], finished["status"]);
    let mut codes = BTreeSet::new();
    errors(&show["tree"], &mut codes);
    assert!(codes.is_subset(&BTreeSet::from(["not_found".to_owned()])), "{codes:?}");
    assert_eq!(finished["jobs"]["failed"] == 0, codes.is_empty(), "{finished}");
    data::assert_whole(quaero.data_dir());
}

/// The codes of every failure in a tree of jobs.
fn errors(tree: &serde_json::Value, codes: &mut BTreeSet<String>) {
    for job in tree.as_array().into_iter().flatten() {
        if job["type"] != "local_dir" {
            codes.extend(job["error"]["code"].as_str().map(str::to_owned));
        }
        errors(&job["children"], codes);
    }
}
