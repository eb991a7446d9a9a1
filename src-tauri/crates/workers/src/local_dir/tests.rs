//! What the walk takes, what it leaves out, and what becomes of a file.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    walk::{Summary, Walk},
    *,
};

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("can be made");
        fs::write(path, content).expect("can be written");
    }
    folder
}

fn config(folder: &Path, settings: Value) -> LocalDirConfig {
    let mut all = json!({ "path": folder });
    let (Value::Object(all), Value::Object(settings)) = (&mut all, settings) else {
        unreachable!("both are objects")
    };
    all.extend(settings);
    serde_json::from_value(Value::Object(all.clone())).expect("the test's settings fit")
}

/// The files found, sorted, and what the walk says.
fn walk(folder: &Path, settings: Value) -> (Vec<String>, Summary) {
    let config = config(folder, settings);
    let mut found = Vec::new();
    let root = config.root().expect("the folder is there");
    let summary = Walk::new(root, &config)
        .expect("the patterns are valid")
        .run(2, |chunk| {
            assert!(chunk.len() <= 2, "chunks are bounded");
            found.extend(chunk.iter().map(|file| slashed(&file.path)));
            true
        })
        .expect("it can be walked");
    (found, summary)
}

const TREE: &[(&str, &[u8])] = &[
    (".gitignore", b"*.tmp\n/private/\n"),
    (".hidden/note.md", b"hidden"),
    ("README.md", b"# Read me"),
    ("a/b/c.txt", b"deep"),
    ("a/b/scratch.tmp", b"ignored"),
    ("a/code.rs", b"fn main() {}"),
    ("a/empty.txt", b""),
    ("a/large.txt", &[b'x'; 5000]),
    ("a/page.html", b"<p>page</p>"),
    ("a/photo.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
    ("a/unknown", b"text without a name that says so"),
    ("node_modules/x/index.js", b"built"),
    ("private/secret.md", b"ignored"),
    ("target/debug/out.txt", b"built"),
];

#[test]
fn the_walk_takes_what_people_expect() {
    let folder = folder(TREE);
    let usual = ["README.md", "a/b/c.txt", "a/code.rs", "a/large.txt", "a/page.html", "a/unknown"];
    for (settings, expected) in [
        (json!({}), &usual[..]),
        (json!({"include": ["*.md"]}), &["README.md"]),
        (json!({"include": ["a/*"]}), &["a/code.rs", "a/large.txt", "a/page.html", "a/unknown"]),
        (json!({"include": ["a/**/*.txt"]}), &["a/b/c.txt", "a/large.txt"]),
        (json!({"exclude": ["a"]}), &["README.md"]),
        (json!({"exclude": ["b", "*.html", "large.*"]}), &["README.md", "a/code.rs", "a/unknown"]),
        (json!({"extensions": ["MD", ".rs"]}), &["README.md", "a/code.rs"]),
        (
            json!({"max_file_size": 4999}),
            &["README.md", "a/b/c.txt", "a/code.rs", "a/page.html", "a/unknown"],
        ),
        (
            json!({"hidden": true, "include": ["*.md", ".gitignore"]}),
            &[".gitignore", ".hidden/note.md", "README.md"],
        ),
        (
            json!({"respect_gitignore": false, "exclude": ["a"]}),
            &["README.md", "node_modules/x/index.js", "private/secret.md", "target/debug/out.txt"],
        ),
    ] {
        assert_eq!(walk(folder.path(), settings.clone()).0, expected, "{settings}");
    }
}

#[test]
fn the_run_says_what_was_left_out_and_why() {
    let folder = folder(TREE);
    let (_, summary) = walk(folder.path(), json!({"max_file_size": 4999}));
    assert_eq!(summary.skipped().as_deref(), Some("Left out: 1 not text, 1 empty."));
    let warnings = summary.warnings();
    assert!(
        warnings[0].contains("a/large.txt") && warnings[0].contains("max_file_size"),
        "{warnings:?}"
    );

    let (found, summary) = walk(folder.path(), json!({"max_files": 3}));
    assert_eq!(found.len(), 3);
    assert!(summary.warnings()[0].contains("max_files"), "{:?}", summary.warnings());

    let (_, summary) = walk(folder.path(), json!({"extensions": ["md"]}));
    assert_eq!((summary.skipped(), summary.warnings()), (None, Vec::new()), "nothing was missed");
}

#[cfg(unix)]
#[test]
fn links_are_never_followed() {
    let outside = folder(&[("secret.md", b"secret")]);
    let inside = folder(&[("a/own.md", b"own")]);
    let link = |to: &Path, name: &str| {
        std::os::unix::fs::symlink(to, inside.path().join(name)).expect("can be linked")
    };
    link(outside.path(), "folder");
    link(&outside.path().join("secret.md"), "file.md");
    link(inside.path(), "loop");
    let (found, summary) = walk(inside.path(), json!({}));
    assert_eq!(found, ["a/own.md"]);
    assert_eq!(summary.skipped().as_deref(), Some("Left out: 3 links, which are not followed."));

    // A link that takes a file's or a folder's place after the walk leads nowhere either.
    let root = inside.path().canonicalize().expect("it is there");
    for path in ["file.md", "folder/secret.md"] {
        assert!(file::read(&root, &root.join(path), 1000).is_err(), "{path}");
    }
    assert!(file::read(&root, &root.join("a/own.md"), 1000).expect("can be read").is_some());
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_becomes_a_link_at_the_worst_moment_leads_nowhere() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let outside = folder(&[("note.md", b"secret")]);
    let inside = folder(&[("a/note.md", b"own")]);
    let root = inside.path().canonicalize().expect("it is there");
    let (own, link) = (root.join("a"), root.join("b"));
    std::os::unix::fs::symlink(outside.path(), &link).expect("can be linked");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                renameat_with(CWD, &own, CWD, &link, RenameFlags::EXCHANGE).expect("swapped");
            }
        });
        let leaked = (0..20_000).any(|_| {
            let read = file::read(&root, &own.join("note.md"), 1000).ok().flatten();
            read.is_some_and(|source| source.bytes == b"secret")
        });
        done.store(true, Relaxed);
        assert!(!leaked, "a file outside the folder was read");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_gitignore_that_is_no_small_file_is_not_read() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let files = ["pipe/a.md", "large/b.md", "device/c.md", "usual/d.md"];
    let folder = folder(&files.map(|path| (path, &b"text"[..])));
    let ignore = |name: &str| folder.path().join(name).join(".gitignore");
    mknodat(CWD, ignore("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    fs::File::create(ignore("large")).and_then(|file| file.set_len(1 << 30)).expect("a hole");
    std::os::unix::fs::symlink("/dev/null", ignore("device")).expect("can be linked");
    fs::write(ignore("usual"), "*.tmp\n").expect("can be written");
    let (found, summary) = walk(folder.path(), json!({}));
    assert_eq!(found, ["usual/d.md"]);
    assert!(summary.warnings()[0].contains(".gitignore"), "{:?}", summary.warnings());
    let (found, _) = walk(folder.path(), json!({"respect_gitignore": false}));
    assert_eq!(found.len(), 4, "{found:?}");

    let pipe = config(&folder.path().join("pipe"), json!({}));
    let error = Walk::new(pipe.root().expect("it is there"), &pipe).err().expect("not readable");
    assert!(error.message.contains("respect_gitignore"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_text_is_no_obstacle() {
    use std::os::unix::ffi::OsStrExt;
    let name = OsStr::from_bytes(b"caf\xe9.md");
    let folder = folder(&[]);
    if fs::write(folder.path().join(name), "# Menu").is_err() {
        return; // a file system that allows only text
    }
    let (found, summary) = walk(folder.path(), json!({}));
    assert_eq!(found, ["caf\u{fffd}.md"]);
    assert!(summary.warnings()[0].contains("caf\u{fffd}.md"), "{:?}", summary.warnings());
    let kept: PathText =
        serde_json::from_value(json!(PathText::new(Path::new(name)))).expect("survives JSON");
    assert_eq!(kept.path(), Path::new(name));
}

#[test]
fn a_folder_that_cannot_be_read_is_told_apart() {
    let folder = folder(&[("file.txt", b"text")]);
    let code =
        |path: &Path| config(path, json!({})).root().expect_err("it must fail").code.into_owned();
    assert_eq!(code(&folder.path().join("gone")), "folder_not_found");
    assert_eq!(code(&folder.path().join("file.txt")), "not_a_folder");
    // Whose working directory would it be below, after a restart?
    assert_eq!(code(Path::new("src")), "relative_folder");
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_told_apart() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder(&[("closed/file.txt", b"text")]);
    let closed = folder.path().join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("it is ours");
    if fs::read_dir(&closed).is_ok() {
        return; // the superuser may read everything
    }
    let error = config(&closed, json!({})).root().expect_err("it must fail");
    assert_eq!(error.code, "permission_denied");
}

#[test]
fn what_is_no_regular_file_of_bounded_size_is_not_read() {
    let folder = folder(&[("a.txt", b"12345")]);
    let root = folder.path().canonicalize().expect("it is there");
    let read = |name: &str, max| file::read(&root, &root.join(name), max);
    assert_eq!(read("a.txt", 5).expect("fits").map(|source| source.bytes), Some(b"12345".to_vec()));
    assert!(read("a.txt", 4).expect("no error").is_none(), "it is too large");
    assert!(read("", 10).is_err(), "a folder is no file");
    let error = file::file_error("a.txt", &read("gone.txt", 10).err().expect("it is gone"));
    assert_eq!(error.code, "not_found");
}

#[test]
fn bytes_become_what_their_name_and_beginning_say() {
    for (name, bytes, format, title, markdown) in [
        ("a.md", &b"# T\n"[..], "markdown", "T", "# T\n"),
        ("LICENSE", b"Be free.", "text", "LICENSE", "Be free.\n"),
        ("a.py", b"x = 1\n", "python", "a.py", "```python\nx = 1\n```\n"),
        (
            "a.html",
            b"<title>T</title><p>Caf\xe9 <a href=b.html>au lait</a>",
            "html",
            "T",
            "Café [au lait](file:///d/b.html)\n",
        ),
        ("a.txt", b"\xff\xfea\0b\0", "text", "a.txt", "ab\n"),
        ("a.pdf", b"no PDF at all", "text", "a.pdf", "no PDF at all\n"),
    ] {
        let known = file::format(name, bytes).expect("it is text");
        assert_eq!(known.name(), format, "{name}");
        let content = file::content(bytes, Path::new("/d").join(name).as_path(), name, known)
            .expect("it is text");
        let shown = if content.title.is_empty() { name } else { &content.title };
        assert_eq!((shown, content.markdown.as_str()), (title, markdown), "{name}");
    }
    assert_eq!(
        file::format("a.txt", b"%PDF-1.7"),
        Some(crate::extract::Format::Pdf),
        "the bytes know better"
    );
    assert_eq!(file::format("a.txt", b"\0\x01\x02"), None);
}

#[test]
fn every_file_becomes_one_keyed_task() {
    let folder = folder(TREE);
    let settings = config(folder.path(), json!({}));
    let mut tasks = Vec::new();
    let root = settings.root().expect("the folder is there");
    let walk = Walk::new(root.clone(), &settings).expect("valid");
    walk.run(CHUNK, |chunk| {
        tasks.extend(chunk.into_iter().filter_map(task));
        true
    })
    .expect("can be walked");
    assert_eq!(tasks.len(), 6);
    let readme = &tasks[0];
    assert_eq!(
        (readme.task_type, readme.name.as_str(), readme.key.as_deref()),
        (FILE, "README.md", Some("README.md"))
    );
    let payload: FileTask = serde_json::from_value(readme.payload.clone()).expect("fits");
    assert_eq!(payload.root.path().join(payload.path.path()), root.join("README.md"));
}

#[test]
fn the_first_task_is_the_walk_and_the_schema_is_closed() {
    let step = StepStart { name: "files".to_owned(), config: json!({"path": "/data"}) };
    let tasks = LocalDirManager.first_tasks(&step).expect("fits");
    assert_eq!((tasks.len(), tasks[0].task_type), (1, SCAN));
    let schema = serde_json::to_value(LocalDirManager.schema()).expect("is JSON");
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["required"], json!(["path"]));
    for (name, property) in schema["properties"].as_object().expect("has properties") {
        assert!(
            property["title"].is_string() && property["description"].is_string(),
            "{name}: {property}"
        );
    }
    assert_eq!(schema["properties"]["path"]["format"], json!("folder"));
    assert_eq!(
        schema["properties"]["exclude"]["items"],
        json!({"type": "string", "format": "glob"})
    );
    assert_eq!(schema["properties"]["max_files"]["default"], json!(100_000));
}
