//! What a user does with the real program, without its window: each test starts it as a process of
//! its own and believes only what it prints, how it ends, and what is then on the disk.

mod attacks;
mod browser;
mod contract;
mod control;
mod disk;
mod folder;
mod kill;
mod pages;
mod secrets;
mod web;

use std::path::{Path, PathBuf};

use quaero_tests::{folders, program::Quaero, site::Site};
use serde_json::Value;
use tempfile::TempDir;

/// Folders that go away with the test.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A data folder that does not exist yet.
    fn quaero(&self) -> Quaero {
        self.quaero_in("data")
    }

    fn quaero_in(&self, name: &str) -> Quaero {
        Quaero::on(self.dir.path().join(name))
    }

    /// An empty folder.
    fn folder(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path).expect("created");
        path.canonicalize().expect("it was just made")
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        folders::write(self.dir.path(), name.as_ref(), text.as_bytes()).expect("written")
    }

    /// A definition that crawls a site on this computer from these paths on.
    fn crawl(&self, site: &Site, paths: &[&str], settings: &str) -> PathBuf {
        let start: Vec<String> = paths.iter().map(|path| site.url(path)).collect();
        let text = format!(
            "id = \"crawl\"\nname = \"Crawl\"\n[step.crawl]\ntype = \"crawl\"\nstart_urls = {start:?}\n\
             allow_hosts = [\"{}\"]\nmax_depth = 50\nmax_pages = 2000\non_error = \"fail\"\n{settings}\n",
            site.host()
        );
        self.file("crawl.toml", &text)
    }
}

/// The words that index a folder.
fn index(folder: &Path) -> Vec<String> {
    let set = format!("folder={}", folder.display());
    ["run", "index-folder", "--set", &set, "--json"].map(str::to_owned).to_vec()
}

/// The words that run a definition.
fn run(definition: &Path) -> Vec<String> {
    ["run", &definition.to_string_lossy(), "--json"].map(str::to_owned).to_vec()
}

/// `created, updated, unchanged` of the last line of a run.
fn counts(finished: &Value) -> (u64, u64, u64) {
    let documents = &finished["documents"];
    let count =
        |key: &str| documents[key].as_u64().unwrap_or_else(|| panic!("{key} in {finished}"));
    (count("created"), count("updated"), count("unchanged"))
}

/// Whether a line tells that so many tasks are completed.
fn completed_at_least(line: &Value, tasks: u64) -> bool {
    line["type"] == "progress" && line["run"]["jobs"]["completed"].as_u64() >= Some(tasks)
}
