//! To validate a definition changes nothing and asks for nothing: a process that may open no file and
//! no connection, without a home, comes to the same result as any other.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test that cannot go on has failed, and its second process prints its result"
)]

use std::{fs, net::TcpListener, path::Path, process::Command};

use quaero_app::App;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Set in the second process.
const POISONED: &str = "QUAERO_POISONED";
const MARK: &str = "result: ";

/// The bad inputs, and everything that comes with Quaero.
fn inputs() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let table = fs::read_to_string(root.join("tests/attacks/definitions.toml")).unwrap();
    let table: toml::Table = toml::from_str(&table).unwrap();
    let rows = table["case"].as_array().unwrap().iter();
    let mut inputs: Vec<(String, String)> = rows
        .filter_map(|row| {
            let text = row.get("text")?.as_str()?.to_owned();
            Some((row["name"].as_str()?.to_owned(), text))
        })
        .collect();
    for folder in ["job-definitions", "job-templates"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                inputs.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    inputs
}

/// From now on this process can open nothing.
fn poison() {
    let none = Rlimit { current: Some(3), maximum: Some(3) };
    setrlimit(Resource::Nofile, none).unwrap();
    assert!(fs::File::open("/dev/null").is_err(), "files can still be opened");
    assert!(TcpListener::bind("127.0.0.1:0").is_err(), "connections can still be made");
}

fn result(inputs: &[(String, String)]) -> String {
    let results = inputs.iter().map(|(name, text)| {
        let problems = App::validate("x.toml", text.as_bytes());
        let view = App::inspect("x.toml", text.as_bytes());
        format!("{name}: {problems:?} {view:?}")
    });
    blake3_of(&results.collect::<Vec<_>>().join("\n"))
}

fn blake3_of(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[test]
fn validation_opens_nothing_and_needs_no_home() {
    let inputs = inputs();
    assert!(inputs.len() > 100, "the inputs are complete: {}", inputs.len());
    if std::env::var_os(POISONED).is_some() {
        poison();
        println!("{MARK}{}", result(&inputs));
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let name = "validation_opens_nothing_and_needs_no_home";
    let output = Command::new(program)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env_clear()
        .env(POISONED, "1")
        .env("HOME", "/nonexistent")
        .env("TZ", "Mars/Base")
        .current_dir(place.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let poisoned = said.lines().find_map(|line| line.split_once(MARK)).unwrap().1;
    assert_eq!(poisoned, result(&inputs), "it depends on what is around it");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "it has left something behind");
}
