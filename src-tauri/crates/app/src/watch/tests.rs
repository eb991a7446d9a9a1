//! What is done to the files outside of Quaero is noticed. Every test waits for the event.

use std::{fs, path::Path, time::Duration};

use quaero_engine::SystemClock;
use quaero_store::Access;
use tempfile::TempDir;

use super::*;
use crate::{App, AppOptions, Role, library, registry};

fn text(id: &str, name: &str) -> String {
    format!("id = \"{id}\"\nname = \"{name}\"\n[step.rebuild]\ntype = \"reindex\"\n")
}

/// An open application that has looked once, and its events.
struct Desk {
    data: TempDir,
    elsewhere: TempDir,
    app: App,
    events: broadcast::Receiver<AppEvent>,
}

impl Desk {
    /// `prepare` gets the data folder, and a folder outside of it.
    async fn new(prepare: impl FnOnce(&Path, &Path)) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::tempdir().expect("a folder");
        prepare(data.path(), elsewhere.path());
        let options = AppOptions { data_dir: data.path().to_owned(), role: Role::Engine };
        let app = App::open(options).await.expect("opened");
        let events = app.events();
        let mut known = app.core.watch.hold().await;
        app.core.watch.look(&mut known, None).await.expect("looked");
        drop(known);
        Self { data, elsewhere, app, events }
    }

    fn folder(&self) -> PathBuf {
        self.data.path().join(library::FOLDER)
    }

    fn write(&self, file: &str, id: &str, name: &str) {
        fs::write(self.folder().join(file), text(id, name)).expect("written");
    }

    async fn next(&mut self) -> DefinitionsChanged {
        let next = async {
            loop {
                if let AppEvent::Definitions(changed) = self.events.recv().await.expect("open") {
                    return changed;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), next).await.expect("nothing was told")
    }

    /// Waits until a change of this definition is told.
    async fn told(&mut self, id: &str) {
        while !self.next().await.ids.iter().any(|changed| changed == id) {}
    }

    /// The kept texts' reasons and names, newest first.
    async fn history(&self, id: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for version in self.app.definition_history(id).await.expect("read") {
            let view = self.app.definition_version(id, version.version).await.expect("read");
            let name = view.text.lines().nth(1).unwrap_or_default().replace("name = ", "");
            lines.push(format!("{} {name}", version.why.as_str()));
        }
        lines
    }
}

#[tokio::test]
async fn a_file_that_is_added_changed_renamed_or_removed_is_told() {
    let mut desk = Desk::new(|_, _| {}).await;
    let mut changes = desk.app.definitions_changed();
    desk.write("a.toml", "a", "One");
    desk.told("a").await;
    assert!(changes.has_changed().expect("open"), "whoever waits is woken");
    changes.mark_unchanged();
    desk.write("a.toml", "a", "Two");
    desk.told("a").await;
    fs::rename(desk.folder().join("a.toml"), desk.folder().join("b.toml")).expect("renamed");
    desk.told("a").await;
    fs::remove_file(desk.folder().join("b.toml")).expect("removed");
    desk.told("a").await;
    assert_eq!(desk.history("a").await, ["found_on_disk \"Two\"", "found_on_disk \"One\""]);
    desk.app.close().await;
}

#[tokio::test]
async fn an_editor_that_saves_by_renaming_is_noticed() {
    let mut desk = Desk::new(|data, _| {
        fs::create_dir(data.join(library::FOLDER)).expect("created");
        fs::write(data.join(library::FOLDER).join("a.toml"), text("a", "One")).expect("written");
    })
    .await;
    for (n, temporary) in ["4913", ".a.toml.swp", "a.toml~"].into_iter().enumerate() {
        let path = desk.folder().join(temporary);
        fs::write(&path, text("a", &n.to_string())).expect("written");
        fs::rename(&path, desk.folder().join("a.toml")).expect("renamed");
        desk.told("a").await;
    }
    assert_eq!(desk.history("a").await.len(), 4, "what was there first and three more");
    desk.app.close().await;
}

#[tokio::test]
async fn a_folder_that_is_removed_and_made_again_is_watched_again() {
    let mut desk = Desk::new(|_, _| {}).await;
    desk.write("a.toml", "a", "One");
    desk.told("a").await;
    fs::remove_dir_all(desk.folder()).expect("removed");
    desk.told("a").await;
    fs::create_dir(desk.folder()).expect("created");
    desk.write("b.toml", "b", "One");
    desk.told("b").await;
    desk.write("b.toml", "b", "Two");
    desk.told("b").await;
    // Another folder under the same name, with the first one still there.
    fs::rename(desk.folder(), desk.data.path().join("old")).expect("renamed");
    desk.told("b").await;
    fs::create_dir(desk.folder()).expect("created");
    desk.write("c.toml", "c", "One");
    desk.told("c").await;
    desk.app.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_is_a_link_is_watched_where_it_is() {
    use std::os::unix::fs::symlink;
    let mut desk = Desk::new(|data, elsewhere| {
        fs::create_dir(elsewhere.join("real")).expect("created");
        symlink(elsewhere.join("real"), data.join(library::FOLDER)).expect("linked");
    })
    .await;
    let real = desk.elsewhere.path().join("real");
    fs::write(real.join("a.toml"), text("a", "One")).expect("written");
    desk.told("a").await;
    fs::remove_dir_all(&real).expect("removed");
    desk.told("a").await;
    fs::create_dir(&real).expect("created");
    fs::write(real.join("b.toml"), text("b", "One")).expect("written");
    desk.told("b").await;
    // The link leads to another folder.
    let other = desk.elsewhere.path().join("other");
    fs::create_dir(&other).expect("created");
    fs::write(other.join("c.toml"), text("c", "One")).expect("written");
    fs::remove_file(desk.folder()).expect("unlinked");
    symlink(&other, desk.folder()).expect("linked");
    desk.told("c").await;
    fs::write(other.join("c.toml"), text("c", "Two")).expect("written");
    desk.told("c").await;
    desk.app.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_a_link_is_watched_where_it_is() {
    let mut desk = Desk::new(|data, elsewhere| {
        fs::write(elsewhere.join("far.toml"), text("far", "One")).expect("written");
        fs::create_dir(data.join(library::FOLDER)).expect("created");
        let link = data.join(library::FOLDER).join("near.toml");
        std::os::unix::fs::symlink(elsewhere.join("far.toml"), link).expect("linked");
    })
    .await;
    fs::write(desk.elsewhere.path().join("far.toml"), text("far", "Two")).expect("written");
    desk.told("far").await;
    assert_eq!(desk.history("far").await, ["found_on_disk \"Two\"", "found_on_disk \"One\""]);
    desk.app.close().await;
}

#[tokio::test]
async fn a_text_that_is_broken_for_a_while_stays_in_the_history_of_its_definition() {
    let mut desk = Desk::new(|_, _| {}).await;
    desk.write("a.toml", "a", "One");
    desk.told("a").await;
    fs::write(desk.folder().join("a.toml"), "id = \nname = \"Broken\"\n").expect("written");
    desk.told("a.toml").await;
    fs::write(desk.folder().join("a.toml"), b"\xff\xfe").expect("written");
    desk.told("a.toml").await;
    desk.write("a.toml", "a", "Two");
    desk.told("a").await;
    assert_eq!(
        desk.history("a").await,
        ["found_on_disk \"Two\"", "found_on_disk \"Broken\"", "found_on_disk \"One\""]
    );
    assert_eq!(desk.history("a.toml").await, [""; 0]);
    desk.app.close().await;
}

#[tokio::test]
async fn quaeros_own_changes_are_told_once_and_keep_their_reason() {
    let mut desk = Desk::new(|_, _| {}).await;
    desk.app.create_definition(None, text("a", "One")).await.expect("created");
    assert_eq!(desk.next().await.ids, ["a"]);
    desk.write("b.toml", "b", "One");
    assert_eq!(desk.next().await.ids, ["b"], "the watch has nothing to add");
    assert_eq!(desk.history("a").await, ["saved \"One\""]);
    desk.app.close().await;
}

#[tokio::test]
async fn templates_are_watched_as_well() {
    let mut desk = Desk::new(|_, _| {}).await;
    let folder = desk.data.path().join(library::TEMPLATES);
    fs::write(folder.join("t.toml"), text("t", "One")).expect("written");
    let expected = DefinitionsChanged { ids: Vec::new(), templates: vec!["t".to_owned()] };
    assert_eq!(desk.next().await, expected);
    assert_eq!(desk.history("t").await, [""; 0], "the history is one of definitions");
    desk.app.close().await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_noticed_on_demand() {
    let data = tempfile::tempdir().expect("a folder");
    let library = Library::new(data.path());
    fs::create_dir(library.folder()).expect("created");
    let store = Store::open(data.path(), Access::Write, 1).await.expect("opened");
    let (events, mut told) = broadcast::channel(16);
    let watch = DefinitionWatch::new(
        library.clone(),
        registry().clone(),
        store.clone(),
        Arc::new(SystemClock),
        events,
        &CancellationToken::new(),
    );
    watch.look_unless_watching().await;
    fs::write(library.folder().join("a.toml"), text("a", "One")).expect("written");
    watch.look_unless_watching().await;
    let Ok(AppEvent::Definitions(changed)) = told.try_recv() else { panic!("nothing was told") };
    assert_eq!(changed.ids, ["a"]);
    assert_eq!(store.definition_versions("a").await.expect("read").len(), 1);
    store.close(2).await.expect("closed");
}

#[test]
fn noise_is_no_reason_to_look() {
    let data = tempfile::tempdir().expect("a folder");
    let library = Library::new(data.path());
    let rows = [
        ("quaero.db-wal", false),
        ("logs.db-wal", false),
        ("definitions", true),
        ("templates", true),
        ("definitions/a.toml", true),
        ("definitions/.a.toml.swp", false),
        ("definitions/.quaero-x.partial", false),
    ];
    for (path, expected) in rows {
        assert_eq!(library.concerns(&data.path().join(path)), expected, "{path}");
    }
}
