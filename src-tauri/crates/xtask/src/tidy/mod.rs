//! The architecture's rules, as tests. Each names the rule it keeps; what it finds is listed with
//! file and line.

mod architecture;
mod desktop;
mod rust_text;
mod secrets;
mod text;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::process::root;

/// A file of the project.
struct Source {
    /// From the project's folder, with `/` on every system.
    path: String,
    text: String,
}

/// The project's own files with one of these endings, in order.
fn sources(endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for top in ["src-tauri", "tests", "ui", "job-definitions", "job-templates"] {
        collect(&root().join(top), endings, &mut found);
    }
    assert!(!found.is_empty(), "the project has no {endings:?} files: the search is wrong");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(dir: &Path, endings: &[&str], found: &mut Vec<Source>) {
    const NOT_OURS: [&str; 6] = ["node_modules", "dist", "dist-fake", "target", "gen", "data"];

    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !NOT_OURS.contains(&name.as_str()) || is_source_folder(&path) {
                collect(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let path = path.strip_prefix(root()).expect("it was found below the root");
            found.push(Source { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// `ui/src/data` is code; a folder of the same name elsewhere is not.
fn is_source_folder(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|parent| parent == "src")
}

/// Fails with everything that breaks a rule.
#[track_caller]
fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}\n  {}\n", found.join("\n  "));
}
