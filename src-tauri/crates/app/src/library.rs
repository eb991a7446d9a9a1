//! The definitions that can be run by id: those that come with Quaero, and the files in the user's
//! folder. The files are the truth: they are read again at every call.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use quaero_contract::{DefinitionSummary, DefinitionView, Origin, Problem, Severity};
use quaero_engine::{
    definition::{Checked, LIMITS, check},
    work::Registry,
};

/// The folder in the data folder where the user's definitions are.
pub const FOLDER: &str = "definitions";
/// More files than this are not looked at.
const MAX_FILES: usize = 1000;

/// What comes with Quaero: file name and text. A test compares this with the folder.
const SHIPPED: &[(&str, &str)] = &[
    ("crawl-site.toml", include_str!("../../../../job-definitions/crawl-site.toml")),
    ("index-folder.toml", include_str!("../../../../job-definitions/index-folder.toml")),
];

/// The shipped definitions and those in one folder.
#[derive(Clone, Debug)]
pub struct Library {
    folder: PathBuf,
}

impl Library {
    /// The library whose user files are in `data_dir`. Nothing is read yet.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join(FOLDER) }
    }

    /// Where the user's files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every definition: the user's first, each part in the order of the names. A file that is
    /// broken or cannot be read is in the list with its problems.
    ///
    /// # Errors
    /// If the folder is there but cannot be listed.
    pub fn all(&self, registry: &Registry) -> io::Result<Vec<DefinitionView>> {
        let mut views = Vec::new();
        let mut ids = HashSet::new();
        for path in self.files()? {
            views.push(user_file(&path, registry, &mut ids));
        }
        for (file, text) in SHIPPED {
            let shipped =
                view(Origin::Shipped, format!("job-definitions/{file}"), text.as_bytes(), registry);
            // The user's own file of that id stands for it, even if it is broken: that is what
            // the user wants to work on.
            if !ids.contains(&shipped.summary.id) {
                views.push(shipped);
            }
        }
        views.sort_by_cached_key(|view| {
            (
                view.summary.origin == Origin::Shipped,
                view.summary.name.to_lowercase(),
                view.summary.id.clone(),
            )
        });
        Ok(views)
    }

    /// The definition with this id.
    ///
    /// # Errors
    /// If the folder is there but cannot be listed.
    pub fn get(&self, id: &str, registry: &Registry) -> io::Result<Option<DefinitionView>> {
        Ok(self.all(registry)?.into_iter().find(|view| view.summary.id == id))
    }

    /// The user's files in the order of their names.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let hidden =
                path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            let known = path.extension().is_some_and(|ending| ending == "toml" || ending == "json");
            // A link to nowhere is told as a file that cannot be read.
            let openable = fs::metadata(&path).map_or(true, |found| found.is_file());
            if known && !hidden && openable {
                files.push(path);
            }
        }
        files.sort();
        if files.len() > MAX_FILES {
            tracing::warn!(folder = %self.folder.display(), "Only the first {MAX_FILES} definitions are used.");
            files.truncate(MAX_FILES);
        }
        Ok(files)
    }
}

fn user_file(path: &Path, registry: &Registry, ids: &mut HashSet<String>) -> DefinitionView {
    let file = path.to_string_lossy().into_owned();
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let mut view = view(Origin::User, file, b"", registry);
            view.problems = vec![unreadable(path, &error)];
            return counted(view);
        }
    };
    let mut view = view(Origin::User, file, &bytes, registry);
    if !ids.insert(view.summary.id.clone()) {
        let message = format!("Another file in this folder has the id `{}` too.", view.summary.id);
        view.problems
            .insert(0, problem("duplicate_id", message, "Give one of the two another id."));
        // Its id leads to the other file, so this one goes by its name.
        view.summary.id = name_of(path);
    }
    counted(view)
}

/// The problem of a file that cannot be read.
#[must_use]
pub fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let message = format!("{} cannot be read: {error}.", path.display());
    problem("unreadable", message, "Check that the file exists and that you may read it.")
}

/// A definition's file, of which at most one byte more than a definition may have: enough for the
/// check to refuse it.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMITS.bytes as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A definition's text with everything that can be said of it.
pub(crate) fn view(
    origin: Origin,
    file: String,
    bytes: &[u8],
    registry: &Registry,
) -> DefinitionView {
    let name = name_of(Path::new(&file));
    let Checked { definition, problems, header } = check(&name, bytes, registry);
    counted(DefinitionView {
        summary: DefinitionSummary {
            id: header.id,
            name: header.name,
            description: header.description,
            origin,
            file,
            step_types: header.step_types,
            inputs: definition.map(|definition| definition.inputs(registry)).unwrap_or_default(),
            errors: 0,
            warnings: 0,
        },
        text: String::from_utf8_lossy(bytes).into_owned(),
        problems,
    })
}

fn counted(mut view: DefinitionView) -> DefinitionView {
    let errors = view.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    view.summary.errors = count(errors);
    view.summary.warnings = count(view.problems.len() - errors);
    view
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A problem of the file as a whole.
fn problem(code: &str, message: String, fix: &str) -> Problem {
    Problem {
        code: code.to_owned(),
        severity: Severity::Error,
        message,
        line: 1,
        column: 1,
        start: 0,
        end: 0,
        step: None,
        fix: Some(fix.to_owned()),
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(
                stem,
                Some(view.summary.id.as_str()),
                "a shipped file is named after its id"
            );
            assert!(
                !view.summary.description.is_empty(),
                "{} needs a description",
                view.summary.file
            );
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
        let _socket = std::os::unix::net::UnixListener::bind(library.folder().join("b.toml"))
            .expect("a socket");
        std::os::unix::fs::symlink("gone", library.folder().join("c.toml")).expect("a link");
        assert_eq!(listed(&library), ["a A 0", "c.toml c.toml 1"]);
    }

    #[test]
    fn of_two_files_with_one_id_the_later_is_wrong() {
        let (_dir, library) = library(&[
            ("1.toml", &definition("same", "One")),
            ("2.toml", &definition("same", "Two")),
        ]);
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
}
