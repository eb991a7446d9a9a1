//! What is in the library, and what is done to its files.

use super::*;
use crate::registry;

fn library(files: &[(&str, &str)]) -> (tempfile::TempDir, Library) {
    let dir = tempfile::tempdir().expect("a folder");
    let library = Library::new(dir.path());
    fs::create_dir(library.folder()).expect("created");
    for (name, text) in files {
        fs::write(library.folder().join(name), text).expect("written");
    }
    (dir, library)
}

fn definition(id: &str, name: &str) -> String {
    format!("id = \"{id}\"\nname = \"{name}\"\n[step.rebuild]\ntype = \"reindex\"\n")
}

/// `id name errors` for each of the user's definitions.
fn listed(library: &Library) -> Vec<String> {
    let views = library.all(registry()).expect("listed");
    let users = views.into_iter().map(|view| view.summary).filter(|s| s.origin == Origin::User);
    users.map(|s| format!("{} {} {}", s.id, s.name, s.errors)).collect()
}

#[test]
fn every_shipped_definition_is_included_and_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../job-definitions");
    let mut on_disk: Vec<String> = fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".toml") || name.ends_with(".json"))
        .collect();
    on_disk.sort();
    let included: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    assert_eq!(included, on_disk, "SHIPPED and job-definitions differ");

    let (_dir, library) = library(&[]);
    for view in library.all(registry()).expect("listed") {
        assert_eq!(view.problems, [], "{}", view.summary.file);
        let stem = Path::new(&view.summary.file).file_stem().and_then(|stem| stem.to_str());
        assert_eq!(stem, Some(view.summary.id.as_str()), "a shipped file is named after its id");
        assert!(!view.summary.description.is_empty(), "{} needs a description", view.summary.file);
    }
}

#[test]
fn a_broken_file_is_listed_with_its_problems() {
    let (_dir, library) = library(&[
        ("a.toml", "id = "),
        ("b.toml", &definition("b", "B")),
        ("c.txt", "x"),
        (".d.toml", "x"),
    ]);
    assert_eq!(listed(&library).len(), 2);
    let broken = library
        .get("a.toml", registry())
        .expect("listed")
        .or(library.get("a", registry()).expect("listed"));
    let broken = broken.expect("found by its file's name");
    assert!(broken.summary.errors > 0 && !broken.problems[0].message.is_empty());
    assert_eq!(broken.text, "id = ");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_opened() {
    let (_dir, library) = library(&[("a.toml", &definition("a", "A"))]);
    // As good as a pipe, for which the listing would wait for ever.
    let _socket =
        std::os::unix::net::UnixListener::bind(library.folder().join("b.toml")).expect("a socket");
    std::os::unix::fs::symlink("gone", library.folder().join("c.toml")).expect("a link");
    assert_eq!(listed(&library), ["a A 0", "c.toml c.toml 1"]);
}

#[test]
fn of_two_files_with_one_id_the_later_is_wrong() {
    let (_dir, library) =
        library(&[("1.toml", &definition("same", "One")), ("2.toml", &definition("same", "Two"))]);
    assert_eq!(listed(&library), ["same One 0", "2.toml Two 1"]);
    let second = library.get("2.toml", registry()).expect("listed").expect("found");
    assert_eq!(second.problems[0].code, "duplicate_id");
}

#[test]
fn the_users_file_stands_for_the_shipped_one() {
    let (_dir, library) = library(&[("mine.toml", &definition("index-folder", "Mine"))]);
    let found = library.get("index-folder", registry()).expect("listed").expect("found");
    assert_eq!((found.summary.name.as_str(), found.summary.origin), ("Mine", Origin::User));
    let same = library.all(registry()).expect("listed");
    assert_eq!(same.iter().filter(|view| view.summary.id == "index-folder").count(), 1);
}

#[test]
fn an_edit_counts_at_once() {
    let (_dir, library) = library(&[("a.toml", &definition("a", "Before"))]);
    assert_eq!(listed(&library), ["a Before 0"]);
    fs::write(library.folder().join("a.toml"), definition("a", "After")).expect("written");
    assert_eq!(listed(&library), ["a After 0"]);
    fs::remove_file(library.folder().join("a.toml")).expect("removed");
    assert_eq!(listed(&library), [""; 0]);
}

#[test]
fn a_huge_file_is_refused_without_being_read() {
    let (_dir, library) = library(&[]);
    let file = File::create(library.folder().join("huge.toml")).expect("created");
    file.set_len(10 << 30).expect("a file with a hole in it");
    let all = library.all(registry()).expect("listed");
    let huge = all.iter().find(|view| view.summary.origin == Origin::User).expect("listed");
    assert_eq!(huge.problems[0].code, "too_large");
}

#[test]
fn without_a_folder_there_are_the_shipped_ones() {
    let dir = tempfile::tempdir().expect("a folder");
    let all = Library::new(dir.path()).all(registry()).expect("listed");
    assert_eq!(all.len(), SHIPPED.len());
}

#[test]
fn a_summary_says_when_it_runs_and_how_its_text_is_known() {
    let scheduled =
        definition("s", "S").replace("[step", "enabled = false\nschedule = \"0 8 * * *\"\n[step");
    let (_dir, library) = library(&[
        ("s.toml", &scheduled),
        ("broken.toml", &scheduled.replace("id = \"s\"", "id = \"b\"\nunknown = 1")),
        ("bom.toml", &format!("\u{feff}{}", definition("bom", "B"))),
    ]);
    let find = |id: &str| library.get(id, registry()).expect("listed").expect(id).summary;
    for id in ["s", "b"] {
        let found = find(id);
        assert!(!found.enabled && found.modified.is_some(), "{found:?}");
        assert_eq!(found.schedule.as_deref(), Some("0 8 * * *"), "{id}");
    }
    assert_eq!(find("s").hash, text_hash(scheduled.as_bytes()));
    let bom = find("bom");
    assert_eq!(bom.hash, text_hash(definition("bom", "B").as_bytes()), "as a run pins it");
    let shipped = find("crawl-site");
    assert_eq!((shipped.modified, shipped.enabled), (None, true));
}

#[test]
fn every_shipped_template_is_included_and_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../job-templates");
    let mut on_disk: Vec<String> = fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".toml") || name.ends_with(".json"))
        .collect();
    on_disk.sort();
    let included: Vec<&str> = SHIPPED_TEMPLATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(included, on_disk, "SHIPPED_TEMPLATES and job-templates differ");
    let (_dir, library) = library(&[]);
    for view in library.templates(registry()).expect("listed") {
        assert_eq!(view.problems, [], "{}", view.summary.file);
    }
}

#[test]
fn what_leads_to_others_finds_them_by_the_id_in_their_text() {
    use quaero_engine::definition::Library as _;
    let broken = "id = \"index-folder\"\nname = ";
    let (_dir, library) = library(&[
        ("1.toml", &definition("same", "One")),
        ("2.toml", &definition("same", "Two")),
        ("3.toml", broken),
    ]);
    fs::create_dir(library.templates_folder()).expect("created");
    let template = definition("mine", "Mine {set:name}");
    fs::write(library.templates_folder().join("t.toml"), &template).expect("written");
    let found = library.snapshot().expect("read");
    let text = |file: Option<LibraryFile>| file.map(|file| file.text);
    assert_eq!(text(found.definition("same")), Some(definition("same", "One")));
    assert_eq!(
        text(found.definition("index-folder")).as_deref(),
        Some(broken),
        "not the shipped one"
    );
    assert!(found.definition("crawl-site").is_some());
    assert_eq!(text(found.template("mine")), Some(template));
    assert_eq!((found.definition("mine"), found.template("same")), (None, None));
    assert!(found.definition_ids().contains(&"same".to_owned()));
    assert!(found.template_ids().contains(&"mine".to_owned()));
    let listed = library.templates(registry()).expect("listed");
    let mine = listed.iter().find(|view| view.summary.id == "mine").expect("listed");
    assert_eq!(mine.problems, [], "`{{set:…}}` belongs into a template");
}

#[test]
fn a_listed_definition_is_checked_with_all_it_leads_to() {
    let text = definition("first", "First").replace("[step", "pre_jobs = [\"second\"]\n[step");
    let text = text + "description = \"{company}\"\n";
    let (dir, library) = library(&[("first.toml", &text)]);
    let errors = || {
        let view = library.get("first", registry()).expect("listed").expect("found");
        view.problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    assert!(errors().iter().any(|message| message.contains("second")), "{:?}", errors());
    fs::write(library.folder().join("second.toml"), definition("second", "S")).expect("written");
    let values = BTreeMap::from([("company".to_owned(), "Acme".to_owned())]);
    let settings = quaero_contract::Settings { values, ..Default::default() };
    SettingsFile::new(dir.path()).save(&settings).expect("saved");
    assert_eq!(errors(), [""; 0]);
}
