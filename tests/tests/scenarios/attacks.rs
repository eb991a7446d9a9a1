//! `attacks/filesystem.toml`: every row through one function.

#![cfg(unix)]

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, Permissions},
    io,
    os::unix::{
        ffi::OsStringExt,
        fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use quaero_tests::{
    data, not_tested,
    program::{Process, Quaero},
};
use serde::Deserialize;
use serde_json::Value;

use super::index;

/// The user without special rights that Unix systems have.
const NOBODY: u32 = 65_534;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default = "data_folder")]
    data: String,
    files: Vec<File>,
    /// The last file is repeated below this many folders.
    #[serde(default)]
    deep: usize,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    exit: i32,
    documents: Option<BTreeSet<String>>,
    #[serde(default)]
    codes: BTreeSet<String>,
    says: Option<String>,
}

fn data_folder() -> String {
    "data".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: Option<String>,
    hex: Option<String>,
    #[serde(default)]
    text: String,
    #[serde(default = "once")]
    times: usize,
    bytes: Option<String>,
    link: Option<PathBuf>,
    #[serde(default)]
    folder: bool,
    #[serde(default)]
    pipe: bool,
    mode: Option<String>,
}

const fn once() -> usize {
    1
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|pair| u8::from_str_radix(pair, 16).expect("two hex digits"))
        .collect()
}

impl File {
    fn path(&self) -> PathBuf {
        match (&self.path, &self.hex) {
            (Some(path), None) => PathBuf::from(path),
            (None, Some(hex)) => PathBuf::from(OsString::from_vec(bytes(hex))),
            _ => panic!("a file has either `path` or `hex`"),
        }
    }

    fn make(&self, at: &Path) -> io::Result<()> {
        fs::create_dir_all(at.parent().unwrap_or(at))?;
        if let Some(target) = &self.link {
            return symlink(target, at);
        }
        if self.folder {
            fs::create_dir_all(at)?;
        } else if self.pipe {
            rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, 0o600.into(), 0)?;
        } else {
            let content = self
                .bytes
                .as_ref()
                .map_or_else(|| self.text.repeat(self.times).into_bytes(), |hex| bytes(hex));
            fs::write(at, content)?;
        }
        Ok(())
    }
}

#[test]
fn odd_places_and_files_end_as_the_table_says() {
    let text = include_str!("../../attacks/filesystem.toml");
    let table: Table =
        toml::from_str(text).unwrap_or_else(|error| panic!("filesystem.toml: {error}"));
    let wrong: Vec<String> = table.row.iter().filter_map(|row| check(row).err()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n\n{}",
        wrong.len(),
        table.row.len(),
        wrong.join("\n\n")
    );
}

fn check(row: &Row) -> Result<(), String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let root = dir.path().canonicalize().expect("it was just made");
    let deep = vec!["d"; row.deep].join("/");
    for file in &row.files {
        file.make(&root.join(file.path())).unwrap_or_else(|error| panic!("{}: {error}", row.name));
    }
    if let (Some(file), 1..) = (row.files.last(), row.deep) {
        let name = file.path();
        let below = root.join("docs").join(&deep).join(name.file_name().expect("a name"));
        file.make(&below).unwrap_or_else(|error| panic!("{}: {error}", row.name));
    }
    let is_root = rustix::process::geteuid().is_root();
    if row.private && is_root {
        give_away(&root).expect("the administrator may");
    }
    for file in &row.files {
        if let Some(mode) = &file.mode {
            let mode = u32::from_str_radix(mode, 8).expect("octal");
            fs::set_permissions(root.join(file.path()), Permissions::from_mode(mode))
                .expect("allowed");
        }
    }

    let quaero = Quaero::on(root.join(&row.data));
    let process = if row.private && is_root {
        let started = quaero.start_as(NOBODY, index(&root.join("docs")));
        let Ok(process) = started else {
            not_tested(&format!("`{}`: another user may not start the program", row.name));
            return Ok(());
        };
        process
    } else {
        quaero.start(index(&root.join("docs")))
    };
    verdict(row, &root, &deep, &quaero, process)
}

/// Never what a link leads to: that may be anything.
fn give_away(path: &Path) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY))?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            give_away(&entry?.path())?;
        }
    }
    Ok(())
}

fn verdict(
    row: &Row,
    root: &Path,
    deep: &str,
    quaero: &Quaero,
    process: Process,
) -> Result<(), String> {
    let answer = process.finish();
    let must = |holds: bool, what: String| {
        if holds { Ok(()) } else { Err(format!("`{}`: {what}\n{answer}", row.name)) }
    };
    must(
        answer.code() == Some(row.exit),
        format!("it ended with {:?} in place of {}", answer.code(), row.exit),
    )?;
    let text = answer.text();
    must(!text.contains("panicked"), "it panicked".to_owned())?;
    if let Some(word) = &row.says {
        must(text.contains(word), format!("nothing says `{word}`"))?;
    }
    let finished = answer.lines.last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    let Some(id) = finished.as_ref().and_then(|line| line["run_id"].as_str()) else {
        must(row.documents.is_none() && row.codes.is_empty(), "there was no run".to_owned())?;
        return must(!answer.stderr.is_empty(), "it says nothing".to_owned());
    };

    let docs = root.join("docs").to_string_lossy().into_owned();
    if let Some(expected) = &row.documents {
        let expected: BTreeSet<String> = expected
            .iter()
            .map(|name| match name.strip_prefix("../") {
                Some(outside) => format!("{}/{outside}", root.display()),
                None => format!("{docs}/{}", name.replace("{deep}", deep)),
            })
            .collect();
        let found = data::sources(quaero.data_dir());
        must(found == expected, format!("it kept {found:?} in place of {expected:?}"))?;
    }
    let show = quaero.ask(["runs", "show", id, "--json"]).expect(0).json();
    let codes = codes(&show["tree"]);
    must(codes == row.codes, format!("its failures are {codes:?} in place of {:?}", row.codes))?;
    data::assert_whole(quaero.data_dir());
    Ok(())
}

/// The kinds of failures of the tasks in a tree of jobs.
fn codes(tree: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for job in tree.as_array().into_iter().flatten() {
        if job["kind"] == "task" {
            found.extend(job["error"]["code"].as_str().map(str::to_owned));
        }
        found.extend(codes(&job["children"]));
    }
    found
}
