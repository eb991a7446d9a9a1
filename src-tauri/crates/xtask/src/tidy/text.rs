//! Rules for the text of files.

use std::collections::BTreeMap;

use super::{Source, assert_none, rust_text, sources};

/// Above this a file is probably two things.
const MAX_LINES: usize = 600;

const CODE: [&str; 4] = [".rs", ".ts", ".tsx", ".mjs"];

/// Written by a program.
const GENERATED: &str = "ui/src/bindings.ts";

#[test]
fn a_file_says_what_it_is_for() {
    let begins_well = |source: &Source| {
        // What is tested says what the tests are for.
        if source.path.ends_with("/tests.rs") || source.path.contains(".test.ts") {
            return true;
        }
        if source.path.ends_with(".rs") {
            return source.text.starts_with("//!");
        }
        // Before the first thing that is exported, imports aside.
        let head = source.text.lines().take_while(|line| !line.starts_with("export"));
        head.into_iter().any(|line| line.starts_with("//") || line.starts_with("/*"))
    };
    let found: Vec<String> = sources(&CODE)
        .iter()
        .filter(|source| !begins_well(source))
        .map(|source| source.path.clone())
        .collect();
    assert_none("These files do not begin with a comment that says what they are for:", &found);
}

#[test]
fn no_file_is_two_things() {
    let found: Vec<String> = sources(&CODE)
        .iter()
        .filter(|source| source.path != GENERATED)
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(source, lines)| format!("{}: {lines} lines", source.path))
        .collect();
    assert_none(&format!("These files have more than {MAX_LINES} lines:"), &found);
}

#[test]
fn nothing_unfinished_is_kept() {
    // Written apart so that this file does not find itself.
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let mut found = Vec::new();
    for source in sources(&[".rs", ".ts", ".tsx", ".mjs", ".css", ".sql", ".toml", ".html"]) {
        for (number, line) in source.text.lines().enumerate() {
            let mut tokens = line.split(|c: char| !c.is_alphanumeric());
            if tokens.any(|token| words.contains(&token)) {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_none("Unfinished work belongs in an issue:", &found);
}

#[test]
fn one_place_renders_html() {
    let word = concat!("dangerously", "SetInnerHTML");
    let found: Vec<String> = sources(&[".ts", ".tsx"])
        .into_iter()
        .filter(|source| source.text.contains(word))
        .map(|source| source.path)
        .collect();
    assert!(
        found.len() <= 1,
        "HTML is put into the page in more than one file: {}",
        found.join(", ")
    );
}

#[test]
fn only_the_backend_folder_knows_the_desktop() {
    let mut found = Vec::new();
    for source in sources(&[".ts", ".tsx"]) {
        if source.path == GENERATED || source.path.starts_with("ui/src/backend/") {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            if line.contains("@tauri-apps") {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_none("The desktop's interface is reached through ui/src/backend:", &found);
}

#[test]
fn only_the_bridge_emits_to_the_window() {
    let mut found = Vec::new();
    for source in sources(&[".rs"]) {
        if !source.path.starts_with("src-tauri/src/") || source.path.ends_with("/bridge.rs") {
            continue;
        }
        for (number, line) in rust_text::split(&source.text).code.lines().enumerate() {
            if [".emit(", ".emit_to(", ".emit_filter(", ".emit_str("]
                .iter()
                .any(|call| line.contains(call))
            {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_none("Events for the window go through bridge.rs:", &found);
}

/// Each release of tauri-specta works with exactly one of the other two.
#[test]
fn the_specta_libraries_are_pinned_together() {
    let manifest = include_str!("../../../../../Cargo.toml");
    let manifest: toml::Table = manifest.parse().expect("Cargo.toml is TOML");
    let dependencies = manifest["workspace"]["dependencies"].as_table().expect("a table");
    let version = |name: &str| {
        let dependency = &dependencies[name];
        dependency
            .as_str()
            .or_else(|| dependency.get("version")?.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let found: BTreeMap<&str, String> =
        ["tauri-specta", "specta", "specta-typescript", "libsqlite3-sys"]
            .into_iter()
            .map(|name| (name, version(name)))
            .filter(|(_, version)| !version.starts_with('='))
            .collect();
    assert!(found.is_empty(), "these need an exact version (`=`): {found:?}");
}

/// A crate that forgets this line is checked by nobody.
#[test]
fn every_crate_keeps_the_lints() {
    let found: Vec<String> = sources(&["Cargo.toml"])
        .into_iter()
        // Workspaces of their own, which the project's lints cannot reach.
        .filter(|source| !source.path.starts_with("tests/bench/peers/"))
        .filter(|source| {
            let manifest: toml::Table = source.text.parse().expect("Cargo.toml is TOML");
            manifest.get("lints").and_then(|lints| lints.get("workspace"))
                != Some(&toml::Value::Boolean(true))
        })
        .map(|source| source.path)
        .collect();
    assert_none("These crates do not take over the workspace's lints:", &found);
}
