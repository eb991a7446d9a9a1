//! The definitions that can be run by id, and the job templates they use: those that come with
//! Quaero, and the files in the user's folders. The files are the truth: they are read again at
//! every call.

mod edit;
mod write;

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use quaero_contract::{DefinitionSummary, DefinitionView, Origin, Problem, Severity};
use quaero_engine::{
    definition::{self, Checked, LIMITS, LibraryFile, World, check, check_in, check_template},
    work::Registry,
};
use quaero_store::{rfc3339, text_hash};

use crate::settings::SettingsFile;

/// The folder in the data folder where the user's definitions are.
pub const FOLDER: &str = "definitions";
/// The folder in the data folder where the user's job templates are.
pub const TEMPLATES: &str = "templates";
/// The folder in the data folder where deleted definitions are.
pub const TRASH: &str = "trash";
/// More files than this are not looked at.
const MAX_FILES: usize = 1000;

/// What comes with Quaero: file name and text. A test compares this with the folder.
const SHIPPED: &[(&str, &str)] = &[
    ("asx-stocks.toml", include_str!("../../../../job-definitions/asx-stocks.toml")),
    ("crawl-site.toml", include_str!("../../../../job-definitions/crawl-site.toml")),
    ("crawl-topics.toml", include_str!("../../../../job-definitions/crawl-topics.toml")),
    ("index-folder.toml", include_str!("../../../../job-definitions/index-folder.toml")),
    ("sample-market.toml", include_str!("../../../../job-definitions/sample-market.toml")),
    ("search-web.toml", include_str!("../../../../job-definitions/search-web.toml")),
];

/// As [`SHIPPED`], for job templates.
const SHIPPED_TEMPLATES: &[(&str, &str)] =
    &[("crawl-topic.toml", include_str!("../../../../job-templates/crawl-topic.toml"))];

/// The shipped definitions and templates, and those in the folders of one data folder.
#[derive(Clone, Debug)]
pub struct Library {
    definitions: Shelf,
    templates: Shelf,
    data_dir: PathBuf,
}

/// Files of one kind: the user's, over those that come with Quaero.
#[derive(Clone, Debug)]
struct Shelf {
    folder: PathBuf,
    shipped: &'static [(&'static str, &'static str)],
    /// Where the shipped ones are in Quaero's own source.
    home: &'static str,
    /// Checks one of them.
    check: fn(&str, &[u8], &World<'_>) -> Checked,
}

/// The user's files as they were at one moment.
pub(crate) type Files = BTreeMap<PathBuf, Seen>;

/// A file of the user's as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its id in the list.
    pub(crate) id: String,
    /// Its text's hash; empty if it cannot be read.
    pub(crate) hash: String,
    /// The id in its text, or else its name.
    own_id: String,
    /// The id under which its text belongs in the history: while a text is broken, that of the one
    /// before.
    history_id: String,
}

/// A text that was not there at the moment before.
#[derive(Clone, Debug)]
pub(crate) struct NewText {
    pub(crate) path: PathBuf,
    pub(crate) history_id: String,
    pub(crate) text: String,
}

/// Every definition and job template as it is at one moment, for what leads to others.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    definitions: BTreeMap<String, LibraryFile>,
    templates: BTreeMap<String, LibraryFile>,
}

impl definition::Library for Snapshot {
    fn definition(&self, id: &str) -> Option<LibraryFile> {
        self.definitions.get(id).cloned()
    }

    fn template(&self, id: &str) -> Option<LibraryFile> {
        self.templates.get(id).cloned()
    }

    fn definition_ids(&self) -> Vec<String> {
        self.definitions.keys().cloned().collect()
    }

    fn template_ids(&self) -> Vec<String> {
        self.templates.keys().cloned().collect()
    }
}

impl Library {
    /// The library whose user files are in `data_dir`. Nothing is read yet.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            definitions: Shelf {
                folder: data_dir.join(FOLDER),
                shipped: SHIPPED,
                home: "job-definitions",
                check: check_in,
            },
            templates: Shelf {
                folder: data_dir.join(TEMPLATES),
                shipped: SHIPPED_TEMPLATES,
                home: "job-templates",
                check: check_template,
            },
            data_dir: data_dir.to_owned(),
        }
    }

    /// Where the user's files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.definitions.folder
    }

    /// Where the user's job templates are.
    #[must_use]
    pub fn templates_folder(&self) -> &Path {
        &self.templates.folder
    }

    /// Every definition: the user's first, each part in the order of the names. A file that is
    /// broken, leads nowhere or cannot be read is in the list with its problems.
    ///
    /// # Errors
    /// If a folder is there but cannot be listed.
    pub fn all(&self, registry: &Registry) -> io::Result<Vec<DefinitionView>> {
        self.views(&self.definitions, registry)
    }

    /// The definition with this id.
    ///
    /// # Errors
    /// If a folder is there but cannot be listed.
    pub fn get(&self, id: &str, registry: &Registry) -> io::Result<Option<DefinitionView>> {
        Ok(self.all(registry)?.into_iter().find(|view| view.summary.id == id))
    }

    /// Every job template, as [`Library::all`].
    ///
    /// # Errors
    /// If a folder is there but cannot be listed.
    pub fn templates(&self, registry: &Registry) -> io::Result<Vec<DefinitionView>> {
        self.views(&self.templates, registry)
    }

    /// The text of every definition and job template that has an id, right or wrong.
    ///
    /// # Errors
    /// If a folder is there but cannot be listed.
    pub fn snapshot(&self) -> io::Result<Snapshot> {
        Ok(Snapshot { definitions: self.definitions.by_id()?, templates: self.templates.by_id()? })
    }

    fn views(&self, shelf: &Shelf, registry: &Registry) -> io::Result<Vec<DefinitionView>> {
        let snapshot = self.snapshot()?;
        let settings = SettingsFile::new(&self.data_dir).load().values;
        shelf.all(&World { registry, settings: &settings, library: Some(&snapshot) })
    }

    /// The definitions' files now, and the texts that differ from `known`.
    pub(crate) fn look(
        &self,
        known: &Files,
        registry: &Registry,
    ) -> io::Result<(Files, Vec<NewText>)> {
        self.definitions.look(known, registry)
    }

    /// The templates' files now.
    pub(crate) fn look_at_templates(
        &self,
        known: &Files,
        registry: &Registry,
    ) -> io::Result<Files> {
        Ok(self.templates.look(known, registry)?.0)
    }

    /// The folders in which a change may be one of a definition or a template: those of the files
    /// and, where links lead elsewhere or a folder is missing, those where that can change.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        let mut places = Vec::new();
        let mut follow = |path: &Path| {
            if let Ok(target) = fs::read_link(path) {
                let target = path.parent().unwrap_or(path).join(target);
                places.extend(target.parent().and_then(|folder| folder.canonicalize().ok()));
                places
                    .extend(target.canonicalize().ok().and_then(|t| Some(t.parent()?.to_owned())));
            }
        };
        for shelf in [&self.definitions, &self.templates] {
            follow(&shelf.folder);
            for file in shelf.files().unwrap_or_default() {
                follow(&file);
            }
        }
        for shelf in [&self.definitions, &self.templates] {
            let folder = shelf.folder.canonicalize().ok().filter(|folder| folder.is_dir());
            if folder.is_none() || shelf.folder.is_symlink() {
                places.push(self.data_dir.clone());
            }
            places.extend(folder);
        }
        places.sort();
        places.dedup();
        places
    }

    /// Whether a change of this path in one of the [`Library::places`] can matter. The database
    /// changes all the time, and editors write files that are hidden until they get their names.
    pub(crate) fn concerns(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return true };
        let busy = path.parent() == Some(&self.data_dir)
            && (name.starts_with("quaero.db") || name.starts_with("logs"));
        !busy && !name.starts_with('.')
    }
}

impl Shelf {
    fn home_of(&self, file: &str) -> String {
        format!("{}/{file}", self.home)
    }

    fn all(&self, world: &World<'_>) -> io::Result<Vec<DefinitionView>> {
        let mut views = Vec::new();
        let mut ids = HashSet::new();
        for path in self.files()? {
            views.push(self.user_file(&path, world, &mut ids));
        }
        for (file, text) in self.shipped {
            let checked = (self.check)(file, text.as_bytes(), world);
            let file = self.home_of(file);
            let shipped = view(Origin::Shipped, file, text.as_bytes(), checked, world.registry);
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

    /// The texts by their id; of two with the same one, that which is listed under it.
    fn by_id(&self) -> io::Result<BTreeMap<String, LibraryFile>> {
        let mut by_id = BTreeMap::new();
        for path in self.files()? {
            let Some(text) = read(&path).ok().and_then(|bytes| text_of(&bytes)) else { continue };
            let name = path.to_string_lossy().into_owned();
            // A broken text may still say its id; reading it takes longer.
            let id = match edit::values(&name, &text) {
                Some(values) => edit::id_of(&values).map(str::to_owned),
                None => Some(check(&name, text.as_bytes(), &Registry::default()).header.id),
            };
            if let Some(id) = id {
                by_id.entry(id).or_insert(LibraryFile { name, text });
            }
        }
        for (file, text) in self.shipped {
            let values = edit::values(file, text).unwrap_or_default();
            let id = edit::id_of(&values).expect("a test reads what is shipped").to_owned();
            let file = LibraryFile { name: self.home_of(file), text: (*text).to_owned() };
            by_id.entry(id).or_insert(file);
        }
        Ok(by_id)
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
            tracing::warn!(folder = %self.folder.display(), "Only the first {MAX_FILES} files are used.");
            files.truncate(MAX_FILES);
        }
        Ok(files)
    }

    fn user_file(
        &self,
        path: &Path,
        world: &World<'_>,
        ids: &mut HashSet<String>,
    ) -> DefinitionView {
        let file = path.to_string_lossy().into_owned();
        let (bytes, unreadable) = match read(path) {
            Ok(bytes) => (bytes, None),
            Err(error) => (Vec::new(), Some(unreadable(path, &error))),
        };
        let checked = (self.check)(&name_of(path), &bytes, world);
        let mut view = view(Origin::User, file, &bytes, checked, world.registry);
        view.summary.modified = modified_ms(path).map(rfc3339);
        if let Some(problem) = unreadable {
            view.problems = vec![problem];
            view.summary.hash = String::new();
            return counted(view);
        }
        if !ids.insert(view.summary.id.clone()) {
            let message =
                format!("Another file in this folder has the id `{}` too.", view.summary.id);
            view.problems
                .insert(0, problem("duplicate_id", message, "Give one of the two another id."));
            // Its id leads to the other file, so this one goes by its name.
            view.summary.id = name_of(path);
        }
        counted(view)
    }

    fn look(&self, known: &Files, registry: &Registry) -> io::Result<(Files, Vec<NewText>)> {
        let mut files = Files::new();
        let mut texts = Vec::new();
        let mut ids = HashSet::new();
        for path in self.files()? {
            let name = name_of(&path);
            let old = known.get(&path);
            let bytes = read(&path).ok();
            let hash = bytes.as_deref().map(hash_of).unwrap_or_default();
            let own_id = match (&bytes, old) {
                (Some(_), Some(old)) if old.hash == hash => old.own_id.clone(),
                (Some(bytes), _) => (self.check)(&name, bytes, &World::new(registry)).header.id,
                (None, _) => name.clone(),
            };
            let id = if ids.insert(own_id.clone()) { own_id.clone() } else { name.clone() };
            let history_id = match old {
                Some(old) if own_id == name => old.history_id.clone(),
                _ => id.clone(),
            };
            if old.is_none_or(|old| old.hash != hash)
                && let Some(text) = bytes.as_deref().and_then(text_of)
            {
                texts.push(NewText { path: path.clone(), history_id: history_id.clone(), text });
            }
            files.insert(path, Seen { id, hash, own_id, history_id });
        }
        Ok((files, texts))
    }
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

/// What a file holds as text, without a byte order mark; none if it is no text or too large.
fn text_of(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok().filter(|_| bytes.len() <= LIMITS.bytes)?;
    Some(edit::without_mark(text).to_owned())
}

/// The hash of a file's text: the one under which a run with it is pinned.
fn hash_of(bytes: &[u8]) -> String {
    text_hash(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// A definition's text with everything that can be said of it alone.
pub(crate) fn inspect(file: String, bytes: &[u8], registry: &Registry) -> DefinitionView {
    let checked = check(&name_of(Path::new(&file)), bytes, registry);
    view(Origin::User, file, bytes, checked, registry)
}

/// A definition's text with everything that can be said of it.
fn view(
    origin: Origin,
    file: String,
    bytes: &[u8],
    checked: Checked,
    registry: &Registry,
) -> DefinitionView {
    let name = name_of(Path::new(&file));
    let Checked { definition, problems, header } = checked;
    let text = String::from_utf8_lossy(bytes).into_owned();
    let values = match &definition {
        Some(_) => None,
        // What a broken definition says of its schedule is shown as well.
        None => edit::values(&name, &text),
    };
    let value = |key: &str| values.as_ref().and_then(|values| values.get(key));
    let (enabled, schedule) = match &definition {
        Some(definition) => (definition.enabled, definition.schedule.clone()),
        None => (
            value("enabled").and_then(|value| value.as_bool()).unwrap_or(true),
            value("schedule").and_then(|value| value.as_str()).map(str::to_owned),
        ),
    };
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
            enabled,
            schedule,
            hash: hash_of(bytes),
            modified: None,
        },
        text,
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

/// When a file was last written, in milliseconds since 1970.
fn modified_ms(path: &Path) -> Option<i64> {
    let time = fs::metadata(path).and_then(|found| found.modified()).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
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
mod tests;
