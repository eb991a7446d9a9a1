//! Changing definitions through the use cases, on real folders.

use std::{fs, path::Path};

use quaero_contract::{ErrorCode, Origin, RunRequest};

use super::*;
use crate::{AppOptions, Role, library, tests::Bench};

fn text(id: &str, name: &str) -> String {
    format!(
        "# mine\nid = \"{id}\"\nname = \"{name}\" # as it is\n\n[step.rebuild]\ntype = \"reindex\"\n"
    )
}

async fn reasons(app: &App, id: &str) -> Vec<&'static str> {
    let history = app.definition_history(id).await.expect("read");
    history.iter().map(|version| version.why.as_str()).collect()
}

fn folder(bench: &Bench) -> PathBuf {
    bench.data.path().join(library::FOLDER)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("listed");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn save(view: &DefinitionView, text: &str) -> SaveDefinition {
    SaveDefinition {
        id: view.summary.id.clone(),
        text: text.to_owned(),
        expected_hash: view.summary.hash.clone(),
    }
}

#[tokio::test]
async fn a_saved_text_is_there_whole_and_the_old_one_is_kept() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let one = app.create_definition(None, text("a", "One")).await.expect("created");
    assert_eq!(files(&folder(&bench)), ["a.toml"]);
    assert!(one.summary.modified.is_some() && one.summary.enabled, "{:?}", one.summary);
    let two = app.save_definition(save(&one, &text("a", "Two"))).await.expect("saved");
    assert_eq!((two.summary.name.as_str(), two.problems.len()), ("Two", 0));

    // Written since by somebody else: nothing of theirs is lost.
    let late = app.save_definition(save(&one, "mine")).await.expect_err("too late");
    assert_eq!(late.code, ErrorCode::Conflict, "{late}");
    let path = folder(&bench).join("a.toml");
    fs::write(&path, text("a", "Three")).expect("written");
    let late = app.save_definition(save(&two, "mine")).await.expect_err("too late");
    assert_eq!(late.code, ErrorCode::Conflict, "{late}");
    assert_eq!(fs::read_to_string(&path).expect("read"), text("a", "Three"));

    // A text with problems is kept and shown, and can be saved again.
    let three = app.get_definition("a").await.expect("found");
    let broken = app.save_definition(save(&three, "id = ")).await.expect("saved");
    assert_eq!((broken.summary.id.as_str(), broken.summary.errors > 0), ("a.toml", true));
    let four = app.save_definition(save(&broken, &text("a", "Four"))).await.expect("saved");
    assert_eq!(four.summary.errors, 0);
    assert_eq!(reasons(&app, "a").await, ["saved", "saved", "found_on_disk", "saved", "saved"]);

    let large = "#".repeat(300_000);
    let refused = app.save_definition(save(&four, &large)).await.expect_err("too large");
    assert_eq!(refused.code, ErrorCode::Invalid, "{refused}");
    let unknown = SaveDefinition { id: "none".to_owned(), ..save(&four, "") };
    assert_eq!(app.save_definition(unknown).await.expect_err("unknown").code, ErrorCode::NotFound);
    assert_eq!(fs::read_to_string(&path).expect("read"), text("a", "Four"));
    assert_eq!(files(&folder(&bench)), ["a.toml"], "nothing is left behind");
    app.close().await;
}

#[tokio::test]
async fn a_new_file_has_a_safe_name_of_its_own() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let rows = [
        (None, text("plain", "x"), "plain.toml"),
        (Some("../../etc/x.toml"), text("b", "x"), "etc-x.toml"),
        (Some("Größe 📁.toml"), text("c", "x"), "gr--e.toml"),
        (Some("con.toml"), text("d", "x"), "definition-con.toml"),
        (Some("com1"), text("e", "x"), "definition-com1.toml"),
        (Some("plain.toml"), text("f", "x"), "plain-2.toml"),
        (Some("a:b"), text("i", "x"), "a-b.toml"),
        (Some("two\nlines\r\0"), text("j", "x"), "two-lines.toml"),
        (Some("<script>alert(1)</script>"), text("k", "x"), "script-alert-1---script.toml"),
        (Some(&"long".repeat(125)), text("l", "x"), &format!("{}.toml", "long".repeat(16))),
        (Some(".hidden.json"), "{\"id\":\"g\"}".to_owned(), "hidden.json"),
        (None, "{\"id\":\"../h\"}".to_owned(), "h.json"),
        (None, "not TOML at all".to_owned(), "definition.toml"),
        (None, String::new(), "definition-2.toml"),
    ];
    for (wish, text, expected) in rows {
        let view = app.create_definition(wish.map(str::to_owned), text).await.expect(expected);
        assert_eq!(Path::new(&view.summary.file), folder(&bench).join(expected));
    }
    let taken = app.create_definition(None, text("plain", "y")).await.expect_err("taken");
    assert_eq!(taken.code, ErrorCode::Conflict, "{taken}");
    assert!(taken.message.contains("plain.toml"), "{taken}");
    app.close().await;
}

#[tokio::test]
async fn what_comes_with_quaero_is_copied_and_never_changed() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let shipped = app.get_definition("crawl-site").await.expect("shipped");
    app.create_definition(None, "id = \"old\"\n".to_owned()).await.expect("created");
    for refused in [
        app.save_definition(save(&shipped, "x")).await.map(|_| ()),
        app.set_enabled("crawl-site", false).await.map(|_| ()),
        app.delete_definition("crawl-site").await.map(|_| ()),
    ] {
        let error = refused.expect_err("refused");
        assert_eq!(error.code, ErrorCode::Conflict);
        assert!(
            error.hint.as_ref().is_some_and(|hint| hint.contains("definitions copy")),
            "{error}"
        );
    }
    let copy = app.copy_definition("crawl-site", "mine").await.expect("copied");
    assert_eq!(
        (copy.summary.origin, copy.problems.len()),
        (Origin::User, 0),
        "{:?}",
        copy.problems
    );
    assert_eq!(copy.summary.name, "Crawl a site (copy)");
    let diff = crate::diff_texts(&shipped.text, &copy.text).expect("compared");
    assert_eq!((diff.removed, diff.added), (2, 2), "only the id and the name: {}", copy.text);
    for (id, new_id, code) in [
        ("crawl-site", "mine", ErrorCode::Conflict),
        ("crawl-site", "index-folder", ErrorCode::Conflict),
        ("crawl-site", "Not an id", ErrorCode::Invalid),
        ("crawl-site", "", ErrorCode::Invalid),
        ("none", "new", ErrorCode::NotFound),
    ] {
        let error = app.copy_definition(id, new_id).await.expect_err(new_id);
        assert_eq!(error.code, code, "{id} as {new_id}: {error}");
    }
    app.close().await;
}

#[tokio::test]
async fn enabling_changes_one_value_and_nothing_else() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let original = text("a", "One");
    app.create_definition(None, original.clone()).await.expect("created");
    let off = app.set_enabled("a", false).await.expect("disabled");
    assert!(!off.summary.enabled);
    assert_eq!(off.text, original.replace("# as it is\n", "# as it is\nenabled = false\n"));
    let on = app.set_enabled("a", true).await.expect("enabled");
    assert_eq!(on.text, original.replace("# as it is\n", "# as it is\nenabled = true\n"));
    let version = app.definition_history("a").await.expect("read").len();
    app.set_enabled("a", true).await.expect("it is already");
    assert_eq!(app.definition_history("a").await.expect("read").len(), version);

    let json = "{\n  \"id\": \"j\",\n  \"name\": \"J\",\n  \"step\": {\"x\": {\"type\": \"reindex\"}}\n}\n";
    app.create_definition(None, json.to_owned()).await.expect("created");
    let off = app.set_enabled("j", false).await.expect("disabled");
    assert_eq!(off.text, json.replace("\"J\",", "\"J\",\n  \"enabled\": false,"));

    fs::write(folder(&bench).join("broken.toml"), "id = ").expect("written");
    let broken = app.set_enabled("broken.toml", false).await.expect_err("cannot be edited");
    assert_eq!(broken.code, ErrorCode::Invalid, "{broken}");
    assert!(broken.place.is_some() && broken.message.contains("broken.toml"), "{broken}");
    app.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_written_through_a_link_out_of_the_folder() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let outside = bench.documents.path().join("outside.toml");
    fs::write(&outside, text("out", "One")).expect("written");
    let link = folder(&bench).join("link.toml");
    std::os::unix::fs::symlink(&outside, &link).expect("linked");
    let view = app.get_definition("out").await.expect("read through the link");
    for refused in [
        app.save_definition(save(&view, &text("out", "Two"))).await.map(|_| ()),
        app.set_enabled("out", false).await.map(|_| ()),
    ] {
        let error = refused.expect_err("refused");
        assert_eq!(error.code, ErrorCode::Conflict);
        assert!(error.message.contains("outside.toml"), "{error}");
    }
    let deleted = app.delete_definition("out").await.expect("only the link goes");
    assert_eq!(fs::read_to_string(&outside).expect("still there"), text("out", "One"));
    assert!(!link.is_symlink());
    assert_eq!(
        app.undelete_definition(&deleted.entry).await.expect("back").text,
        text("out", "One")
    );
    assert!(!link.is_symlink(), "it is a file of its own now");

    // A link to another file of the folder is one of them.
    std::os::unix::fs::symlink("b.toml", folder(&bench).join("a.toml")).expect("linked");
    fs::write(folder(&bench).join("b.toml"), text("b", "One")).expect("written");
    let view = app.get_definition("b").await.expect("found");
    app.save_definition(save(&view, &text("b", "Two"))).await.expect("saved");
    assert!(folder(&bench).join("a.toml").is_symlink());
    assert_eq!(fs::read_to_string(folder(&bench).join("b.toml")).expect("read"), text("b", "Two"));
    app.close().await;
}

#[tokio::test]
async fn a_deleted_definition_can_come_back_in_two_ways() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    app.create_definition(None, text("a", "One")).await.expect("created");
    let deleted = app.delete_definition("a").await.expect("deleted");
    assert_eq!(deleted.file, "a.toml");
    assert_eq!(app.get_definition("a").await.expect_err("gone").code, ErrorCode::NotFound);
    assert_eq!(app.deleted_definitions().await.expect("listed"), std::slice::from_ref(&deleted));

    let back = app.undelete_definition(&deleted.entry).await.expect("back");
    assert_eq!((back.summary.id.as_str(), back.text.as_str()), ("a", text("a", "One").as_str()));
    assert_eq!(app.deleted_definitions().await.expect("listed"), []);
    let gone = app.undelete_definition(&deleted.entry).await.expect_err("it is not there any more");
    assert_eq!(gone.code, ErrorCode::NotFound);
    assert_eq!(app.undelete_definition("../x").await.expect_err("no").code, ErrorCode::NotFound);

    app.delete_definition("a").await.expect("deleted");
    let restored = app.restore_version("a", 1).await.expect("restored");
    assert_eq!(restored.text, text("a", "One"));
    let entry = app.deleted_definitions().await.expect("listed").remove(0).entry;
    let taken = app.undelete_definition(&entry).await.expect_err("its id is taken");
    assert_eq!(taken.code, ErrorCode::Conflict);
    assert_eq!(app.deleted_definitions().await.expect("listed").len(), 1, "it stays in the trash");
    app.close().await;
}

#[tokio::test]
async fn versions_are_compared_and_put_back() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let one = app.create_definition(None, text("a", "One")).await.expect("created");
    app.save_definition(save(&one, &text("a", "Two"))).await.expect("saved");
    // Not seen by anybody but the restore itself.
    fs::write(folder(&bench).join("a.toml"), text("a", "Unseen")).expect("written");
    let back = app.restore_version("a", 1).await.expect("restored");
    assert_eq!(back.text, text("a", "One"));
    assert_eq!(reasons(&app, "a").await, ["restored", "found_on_disk", "saved", "saved"]);
    let unseen = app.definition_version("a", 3).await.expect("kept");
    assert_eq!(unseen.text, text("a", "Unseen"));
    for (old, new, changed) in [(1, Some(2), 1), (1, Some(4), 0), (2, None, 1), (1, None, 0)] {
        let diff = app.diff_versions("a", old, new).await.expect("compared");
        assert_eq!((diff.removed, diff.added), (changed, changed), "{old} to {new:?}");
    }
    for missing in [
        app.definition_version("a", 9).await.map(|_| ()),
        app.diff_versions("a", 1, Some(9)).await.map(|_| ()),
        app.restore_version("a", 9).await.map(|_| ()),
        app.restore_version("none", 1).await.map(|_| ()),
        app.diff_runs(JobId(1), JobId(2)).await.map(|_| ()),
    ] {
        assert_eq!(missing.expect_err("missing").code, ErrorCode::NotFound);
    }
    app.close().await;
}

#[tokio::test]
async fn the_definitions_of_two_runs_are_compared() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let view = app.create_definition(None, text("a", "One")).await.expect("created");
    let mut runs = Vec::new();
    for request_id in ["one", "two"] {
        let request = RunRequest {
            request_id: request_id.to_owned(),
            definition_id: "a".to_owned(),
            set: Vec::new(),
            anyway: false,
        };
        let run = app.run_definition(request).await.expect("accepted");
        app.wait_run(run).await.expect("ended");
        runs.push(run);
        if request_id == "one" {
            app.save_definition(save(&view, &text("a", "Two"))).await.expect("saved");
        }
    }
    let diff = app.diff_runs(runs[0], runs[1]).await.expect("compared");
    assert_eq!((diff.removed, diff.added), (1, 1), "{diff:?}");
    app.close().await;
}

#[tokio::test]
async fn what_is_imported_is_disabled_and_says_what_it_would_use() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let text = "id = \"far\"\nname = \"Far\"\nenabled = true\nschedule = \"0 8 * * *\"\nauthentication = \"work\"\n\n[config]\nallow_hosts = [\"10.0.0.1\"]\n\n[step.crawl]\ntype = \"crawl\"\nstart_urls = [\"http://localhost/\"]\nallow_hosts = [\"localhost\", \"10.0.0.1\"]\n";
    let import = |file: &str, new_id: Option<&str>| ImportDefinition {
        file: file.to_owned(),
        text: text.to_owned(),
        new_id: new_id.map(str::to_owned),
    };
    let imported =
        app.import_definition(import("C:/x/Far away.toml", None)).await.expect("imported");
    assert!(!imported.definition.summary.enabled);
    assert_eq!(imported.definition.summary.schedule.as_deref(), Some("0 8 * * *"));
    assert_eq!(imported.definition.text, text.replace("= true", "= false"));
    assert_eq!(imported.profiles, ["work"]);
    assert_eq!(imported.allow_hosts, ["10.0.0.1", "localhost"]);
    let taken = app.import_definition(import("x.toml", None)).await.expect_err("taken");
    assert_eq!(taken.code, ErrorCode::Conflict);
    let other = app.import_definition(import("x.toml", Some("other"))).await.expect("imported");
    assert_eq!(other.definition.summary.id, "other");
    let shadow = import("x.toml", Some("crawl-site"));
    assert_eq!(app.import_definition(shadow).await.expect_err("no").code, ErrorCode::Conflict);
    let broken = ImportDefinition { text: "id = ".to_owned(), ..import("b.toml", None) };
    let broken = app.import_definition(broken).await.expect_err("no TOML");
    assert_eq!((broken.code, broken.place.is_some()), (ErrorCode::Invalid, true), "{broken}");

    let copy = app.copy_definition("far", "near").await.expect("copied");
    assert!(!copy.summary.enabled, "two would run at the same time");

    // Out and in again.
    let out = bench.documents.path().join("out.toml");
    let written = app.export_definition("other", out.clone(), false).await.expect("exported");
    assert_eq!((&written, fs::read_to_string(&out).expect("read")), (&out, other.definition.text));
    let again = app.export_definition("other", out.clone(), false).await.expect_err("it is there");
    assert_eq!(again.code, ErrorCode::Conflict);
    app.export_definition("far", out.clone(), true).await.expect("replaced");
    let dir = bench.documents.path().to_owned();
    let shipped = app.export_definition("crawl-site", dir.clone(), false).await.expect("exported");
    assert_eq!(shipped, dir.join("crawl-site.toml"));
    let nowhere = app.export_definition("far", dir.join("no/such"), false).await.expect_err("no");
    assert_eq!(nowhere.code, ErrorCode::Storage, "{nowhere}");
    let back = app.import_definition_file(out, Some("back".to_owned())).await.expect("imported");
    assert_eq!(back.definition.summary.id, "back");
    fs::write(dir.join("bad.toml"), b"id = \"\xff\"").expect("written");
    for (file, code) in [("bad.toml", ErrorCode::Invalid), ("none.toml", ErrorCode::Storage)] {
        let error = app.import_definition_file(dir.join(file), None).await.expect_err(file);
        assert_eq!(error.code, code, "{error}");
    }
    app.close().await;
}

#[tokio::test]
async fn a_file_that_is_no_text_is_kept_when_it_is_overwritten() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let path = folder(&bench).join("latin.toml");
    fs::write(&path, b"id = \"latin\"\nname = \"Gr\xf6\xdfe\"\n").expect("written");
    let view = app.get_definition("latin.toml").await.expect("listed with its problem");
    app.save_definition(save(&view, &text("latin", "Größe"))).await.expect("saved");
    let kept = app.deleted_definitions().await.expect("listed");
    assert_eq!(kept.iter().map(|entry| entry.file.as_str()).collect::<Vec<_>>(), ["latin.toml"]);
    let bytes =
        fs::read(bench.data.path().join(library::TRASH).join(&kept[0].entry)).expect("read");
    assert!(bytes.contains(&0xf6), "as it was");
    app.close().await;
}

#[tokio::test]
async fn another_process_can_change_files_beside_the_engine() {
    let bench = Bench::new();
    let engine = bench.open(Role::Engine).await;
    let mut changes = engine.definitions_changed();
    engine.create_definition(None, text("a", "One")).await.expect("created");
    changes.mark_unchanged();
    let options = AppOptions { data_dir: bench.data.path().to_owned(), role: Role::Reader };
    let reader = App::open(options).await.expect("opened");
    reader.set_enabled("a", false).await.expect("disabled");
    changes.changed().await.expect("the engine notices");
    assert_eq!(reasons(&reader, "a").await, ["found_on_disk", "saved"]);
    reader.restore_version("a", 1).await.expect("restored");
    changes.changed().await.expect("the engine notices");
    assert_eq!(engine.get_definition("a").await.expect("found").text, text("a", "One"));
    reader.close().await;
    engine.close().await;
}
