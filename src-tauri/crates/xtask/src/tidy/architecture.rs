//! What may depend on what, and what may stand where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{assert_none, rust_text, sources};
use crate::process::cargo;

/// What each of our crates may use of the others. A crate that is not listed may use none.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("quaero-contract", &[]),
    ("quaero-store", &["quaero-contract"]),
    ("quaero-engine", &["quaero-contract", "quaero-store"]),
    ("quaero-net", &["quaero-contract"]),
    ("quaero-llm", &["quaero-contract", "quaero-net"]),
    (
        "quaero-workers",
        &["quaero-contract", "quaero-store", "quaero-engine", "quaero-net", "quaero-llm"],
    ),
    (
        "quaero-app",
        &[
            "quaero-contract",
            "quaero-store",
            "quaero-engine",
            "quaero-net",
            "quaero-llm",
            "quaero-workers",
        ],
    ),
    // Of `workers`, the desktop program only starts the child that reads PDF files.
    ("quaero", &["quaero-contract", "quaero-app", "quaero-workers"]),
    // Tests look at everything but the desktop program, which they drive from outside.
    (
        "quaero-tests",
        &[
            "quaero-contract",
            "quaero-store",
            "quaero-engine",
            "quaero-net",
            "quaero-llm",
            "quaero-workers",
            "quaero-app",
        ],
    ),
    ("xtask", &[]),
];

/// Libraries that belong to one crate each, and their kin by the same prefix.
const ONLY_IN: [(&str, &[&str]); 8] = [
    ("tauri", &["quaero"]),
    ("sqlx", &["quaero-store"]),
    ("libsqlite3-sys", &["quaero-store"]),
    ("rusqlite", &["quaero-store"]),
    ("reqwest", &["quaero-net"]),
    ("hyper", &["quaero-net", "quaero-tests"]),
    ("lettre", &["quaero-workers"]),
    // Only one function renders untrusted Markdown.
    ("ammonia", &["quaero-workers"]),
];

/// Our packages, each with the names of what it depends on, for tests too.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .output()
        .expect("cargo can be started");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("cargo metadata gave no JSON ({error}): {}", String::from_utf8_lossy(&output.stderr))
    });
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item["name"].as_str())
            .map(Into::into)
            .collect()
    };
    metadata["packages"]
        .as_array()
        .expect("metadata lists the packages")
        .iter()
        .map(|package| {
            (
                package["name"].as_str().expect("a package has a name").to_owned(),
                names(&package["dependencies"]),
            )
        })
        .collect()
}

#[test]
fn dependencies_point_in_one_direction() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    let mut found = Vec::new();
    for (package, dependencies) in &packages {
        let allowed = MAY_USE
            .iter()
            .find(|(name, _)| name == package)
            .map_or([].as_slice(), |(_, uses)| *uses);
        for dependency in dependencies.iter().map(String::as_str).filter(|name| ours.contains(name))
        {
            if dependency != package && !allowed.contains(&dependency) {
                found.push(format!("{package} uses {dependency}"));
            }
        }
    }
    assert_none("contract ← store ← engine ← workers ← app ← the desktop program:", &found);
}

#[test]
fn some_libraries_have_one_home() {
    let mut found = Vec::new();
    for (package, dependencies) in packages() {
        for (library, homes) in ONLY_IN {
            let uses = |name: &String| name == library || name.starts_with(&format!("{library}-"));
            if dependencies.iter().any(uses) && !homes.contains(&package.as_str()) {
                found.push(format!("{package} depends on {library}, which only {homes:?} may use"));
            }
        }
    }
    assert_none("The engine knows no window, one crate stores and one crate fetches:", &found);
}

#[test]
fn only_the_store_contains_sql() {
    let mut found = Vec::new();
    for source in sources(&[".rs"]) {
        // What the benchmark compares stands on SQLite without the store.
        let may = ["src-tauri/crates/store/", "src-tauri/crates/xtask/", "tests/bench/peers/"];
        if may.iter().any(|folder| source.path.starts_with(folder)) {
            continue;
        }
        for (line, text) in rust_text::split(&source.text).strings {
            if looks_like_sql(&text) {
                found.push(format!("{}:{line}: {text}", source.path));
            }
        }
    }
    assert_none("SQL stands outside the store:", &found);
}

/// A statement in capitals, as SQL is written here.
fn looks_like_sql(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    match words.first().copied() {
        Some("SELECT") => has("FROM") || words.len() == 2,
        Some("INSERT" | "REPLACE") => has("INTO"),
        Some("UPDATE") => has("SET"),
        Some("DELETE") => has("FROM"),
        Some("CREATE" | "DROP" | "ALTER") => {
            has("TABLE") || has("INDEX") || has("TRIGGER") || has("VIEW")
        }
        Some("BEGIN") => has("IMMEDIATE") || has("TRANSACTION"),
        Some("PRAGMA" | "VACUUM") => true,
        Some("WITH") => has("AS") && has("SELECT"),
        _ => false,
    }
}

#[test]
fn sql_is_recognised() {
    for sql in [
        "SELECT 1",
        "SELECT id FROM jobs",
        "\n  INSERT INTO t VALUES (1)",
        "PRAGMA user_version",
        "BEGIN IMMEDIATE",
    ] {
        assert!(looks_like_sql(sql), "{sql}");
    }
    for text in [
        "Select a folder from the list",
        "UPDATE available",
        "SELECT",
        "CREATE it first",
        "with AS",
    ] {
        assert!(!looks_like_sql(text), "{text}");
    }
}

/// Calls that ask the world for the time or for chance, which the core gets from injected sources.
#[test]
fn time_and_chance_are_injected() {
    const CALLS: [&str; 8] = [
        "SystemTime::now(",
        "Instant::now(",
        "Utc::now(",
        "Local::now(",
        "Timestamp::now(",
        "Zoned::now(",
        "rand::random",
        "thread_rng(",
    ];
    let mut found = Vec::new();
    for source in sources(&[".rs"]) {
        let core = ["contract", "store", "engine", "workers"];
        if !core
            .iter()
            .any(|name| source.path.starts_with(&format!("src-tauri/crates/{name}/src/")))
        {
            continue;
        }
        let code = rust_text::split(&source.text).code;
        let tests = code.find("#[cfg(test)]").unwrap_or(code.len());
        for (line, text) in code[..tests].lines().enumerate() {
            let allowed = source.path.ends_with("/clock.rs") || source.path.ends_with("/tests.rs");
            if !allowed && CALLS.iter().any(|call| text.contains(call)) {
                found.push(format!("{}:{}: {}", source.path, line + 1, text.trim()));
            }
        }
    }
    assert_none("The core reads a clock or a source of chance that no test can hold:", &found);
}
