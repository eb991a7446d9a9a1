//! Changing the user's definitions. Every change leaves whole files, stays inside the definitions'
//! folder and never touches what comes with Quaero.
//!
//! A lock file keeps two processes from changing files at the same time; an editor, which knows
//! nothing of it, is noticed by the text's hash.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use quaero_contract::{
    ApiError, DefinitionView, DeletedDefinition, ErrorCode, ImportDefinition, ImportedDefinition,
    Origin, SaveDefinition,
};
use quaero_engine::{definition::LIMITS, work::Registry};
use quaero_store::rfc3339;
use serde_json::{Map, Value, json};

use super::{Library, MAX_FILES, TRASH, edit, name_of, read, text_of};
use crate::{error, whole_file};

const LOCK: &str = "definitions.lock";
/// Deleted definitions that are kept.
const MAX_TRASH: usize = 200;
/// Names that Windows keeps for devices, whatever their ending.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "com", "lpt"];

impl Library {
    /// The definition with this id, or the user's in a file of this name.
    pub(crate) fn find(&self, id: &str, registry: &Registry) -> Result<DefinitionView, ApiError> {
        let all = self.listed(registry)?;
        let by_id = all.iter().position(|view| view.summary.id == id);
        let of_user = |view: &DefinitionView| view.summary.origin == Origin::User;
        let found =
            by_id.or_else(|| all.iter().position(|view| of_user(view) && file_name(view) == id));
        found.and_then(|at| all.into_iter().nth(at)).ok_or_else(|| error::no_definition(id))
    }

    /// Replaces a definition's text if it is still the one that was edited.
    pub(crate) fn save(
        &self,
        request: &SaveDefinition,
        registry: &Registry,
    ) -> Result<DefinitionView, ApiError> {
        let _lock = self.lock()?;
        let old = self.of_user(&request.id, registry)?;
        if old.summary.hash != request.expected_hash {
            let message =
                format!("{} was changed meanwhile. Nothing was written.", old.summary.file);
            return Err(ApiError::new(ErrorCode::Conflict, message)
                .with_hint("Look at what it says now, and save again with the changes you want."));
        }
        self.put(&old, &request.text, registry)
    }

    /// Writes a new definition; `file` is the name its file should have, else its id is taken.
    pub(crate) fn create(
        &self,
        file: Option<&str>,
        text: &str,
        registry: &Registry,
    ) -> Result<DefinitionView, ApiError> {
        let _lock = self.lock()?;
        self.add(file, text, registry)
    }

    /// Writes a copy of a definition under another id. A copy that would run by itself beside the
    /// first one is disabled.
    pub(crate) fn copy(
        &self,
        id: &str,
        new_id: &str,
        registry: &Registry,
    ) -> Result<DefinitionView, ApiError> {
        let _lock = self.lock()?;
        let from = self.find(id, registry)?;
        let file = file_name(&from);
        let mut text = with_id(&file, &from.text, new_id).map_err(|e| e.of(&from))?;
        self.must_be_free(new_id, registry)?;
        let name = format!("{} (copy)", from.summary.name);
        text = edit::set(&file, &text, "name", &json!(name)).ok_or_else(|| Uneditable.of(&from))?;
        let values = edit::values(&file, &text).unwrap_or_default();
        let starts = values.get("auto_start").and_then(Value::as_bool) == Some(true);
        if starts || from.summary.schedule.is_some() {
            text = edit::set(&file, &text, "enabled", &json!(false))
                .ok_or_else(|| Uneditable.of(&from))?;
        }
        self.add(Some(&in_format_of(&file, new_id)), &text, registry)
    }

    /// Lets the schedule and the start of the program run a definition, or not.
    pub(crate) fn set_enabled(
        &self,
        id: &str,
        enabled: bool,
        registry: &Registry,
    ) -> Result<DefinitionView, ApiError> {
        let _lock = self.lock()?;
        let old = self.of_user(id, registry)?;
        if old.summary.enabled == enabled && old.summary.errors == 0 {
            return Ok(old);
        }
        let text = edit::set(&file_name(&old), &old.text, "enabled", &json!(enabled))
            .ok_or_else(|| Uneditable.of(&old))?;
        self.put(&old, &text, registry)
    }

    /// Takes a definition from elsewhere, disabled.
    pub(crate) fn import(
        &self,
        request: &ImportDefinition,
        registry: &Registry,
    ) -> Result<ImportedDefinition, ApiError> {
        within_limits(&request.text)?;
        let _lock = self.lock()?;
        let file = name_of(Path::new(&request.file));
        let given = super::inspect(file.clone(), request.text.as_bytes(), registry);
        let mut text = request.text.clone();
        if let Some(new_id) = &request.new_id {
            text = with_id(&file, &text, new_id).map_err(|e| e.of(&given))?;
        }
        text = edit::set(&file, &text, "enabled", &json!(false))
            .ok_or_else(|| Uneditable.of(&given))?;
        let values = edit::values(&file, &text).unwrap_or_default();
        let wish = match edit::id_of(&values) {
            Some(id) => {
                self.must_be_free(id, registry)?;
                in_format_of(&file, id)
            }
            None => file,
        };
        let definition = self.add(Some(&wish), &text, registry)?;
        let mut profiles = Vec::new();
        let mut allow_hosts = Vec::new();
        gather(&values, &["authentication", "auth_id"], &mut profiles);
        gather(&values, &["allow_hosts"], &mut allow_hosts);
        Ok(ImportedDefinition { definition, profiles, allow_hosts })
    }

    /// Puts a text in the place of a definition's, or makes the file again if it was deleted.
    pub(crate) fn restore(
        &self,
        id: &str,
        text: &str,
        registry: &Registry,
    ) -> Result<DefinitionView, ApiError> {
        let _lock = self.lock()?;
        let old = match self.of_user(id, registry) {
            Ok(old) => old,
            Err(error) if error.code == ErrorCode::NotFound => {
                return self.add(None, text, registry);
            }
            Err(error) => return Err(error),
        };
        let file = file_name(&old);
        if edit::is_json(&file, &old.text) != edit::is_json("", text) {
            let message = format!("This version is not in the format of {}.", old.summary.file);
            return Err(ApiError::new(ErrorCode::Conflict, message).with_hint(
                "Delete the definition, which keeps it in the trash, and restore the version then.",
            ));
        }
        self.put(&old, text, registry)
    }

    /// Writes a definition's text to a file of the user's choice: into a folder under its own name.
    pub(crate) fn export(
        &self,
        id: &str,
        path: &Path,
        replace: bool,
        registry: &Registry,
    ) -> Result<PathBuf, ApiError> {
        let view = self.find(id, registry)?;
        let path = if path.is_dir() { path.join(file_name(&view)) } else { path.to_owned() };
        let text = view.text.as_bytes();
        let written = if replace {
            whole_file::replace(&path, text)
        } else {
            whole_file::create(&path, text)
        };
        match written {
            Ok(()) => Ok(path),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(ApiError::new(
                ErrorCode::Conflict,
                format!("{} exists already. Nothing was written.", path.display()),
            )
            .with_hint("Choose another name, or say that it shall be replaced.")),
            Err(e) => Err(error::other_file(&format!("{} cannot be written", path.display()), &e)),
        }
    }

    /// Moves a definition's file to the trash.
    pub(crate) fn delete(
        &self,
        id: &str,
        now_ms: i64,
        registry: &Registry,
    ) -> Result<DeletedDefinition, ApiError> {
        let _lock = self.lock()?;
        let old = self.of_user(id, registry)?;
        let path = PathBuf::from(&old.summary.file);
        let (entry, target) = self.place_in_trash(&name_of(&path), now_ms)?;
        whole_file::move_away(&path, &target)
            .map_err(|e| error::file(&format!("{} cannot be deleted", path.display()), &e))?;
        self.empty_trash();
        Ok(deleted(&entry).expect("it was named just now"))
    }

    /// What is in the trash, the newest first.
    pub(crate) fn trash(&self) -> Result<Vec<DeletedDefinition>, ApiError> {
        let folder = self.data_dir.join(TRASH);
        let names = match fs::read_dir(&folder) {
            Ok(entries) => entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<String>>>(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        };
        let names = names
            .map_err(|e| error::file(&format!("{} cannot be listed", folder.display()), &e))?;
        let mut all: Vec<DeletedDefinition> =
            names.iter().filter_map(|name| deleted(name)).collect();
        all.sort_by_key(|entry| std::cmp::Reverse((moment(&entry.entry), entry.entry.clone())));
        Ok(all)
    }

    /// Puts a file from the trash back among the definitions, under its own name if that is free.
    pub(crate) fn undelete(
        &self,
        entry: &str,
        registry: &Registry,
    ) -> Result<DefinitionView, ApiError> {
        let _lock = self.lock()?;
        let found = self.trash()?.into_iter().find(|deleted| deleted.entry == entry);
        let Some(DeletedDefinition { entry, file, .. }) = found else {
            return Err(ApiError::new(
                ErrorCode::NotFound,
                format!("There is no `{entry}` in the trash."),
            ));
        };
        let path = self.data_dir.join(TRASH).join(entry);
        let bytes = read(&path)
            .map_err(|e| error::file(&format!("{} cannot be read", path.display()), &e))?;
        let text = text_of(&bytes).ok_or_else(|| {
            ApiError::new(
                ErrorCode::Invalid,
                format!("{} is too large or not a text.", path.display()),
            )
            .with_hint("Take it out of that folder yourself.")
        })?;
        let view = self.add(Some(&file), &text, registry)?;
        // It is back; that it is in the trash as well does no harm.
        let _ = fs::remove_file(&path);
        Ok(view)
    }

    /// Writes a new text of a file of the user's.
    fn put(
        &self,
        old: &DefinitionView,
        text: &str,
        registry: &Registry,
    ) -> Result<DefinitionView, ApiError> {
        within_limits(text)?;
        let path = self.inside(Path::new(&old.summary.file))?;
        let cannot = |e| error::file(&format!("{} cannot be written", path.display()), &e);
        let bytes = read(&path).map_err(cannot)?;
        if super::hash_of(&bytes) != old.summary.hash {
            let message = format!("{} is being changed by another program.", path.display());
            return Err(ApiError::new(ErrorCode::Conflict, message).with_hint("Try again."));
        }
        if text_of(&bytes).is_none() {
            // The history holds texts only, so what is lost here goes to the trash.
            let (_, target) =
                self.place_in_trash(&name_of(&path), super::modified_ms(&path).unwrap_or(0))?;
            fs::copy(&path, &target).map_err(cannot)?;
        }
        whole_file::replace(&path, text.as_bytes()).map_err(cannot)?;
        self.in_file(&old.summary.file, registry)
    }

    /// Writes a new file, and never over another one.
    fn add(
        &self,
        file: Option<&str>,
        text: &str,
        registry: &Registry,
    ) -> Result<DefinitionView, ApiError> {
        within_limits(text)?;
        let named = file.unwrap_or_default();
        let values = edit::values(named, text).unwrap_or_default();
        if let Some(id) = edit::id_of(&values) {
            let taken = self.listed(registry)?.into_iter().map(|view| view.summary);
            if let Some(other) =
                taken.into_iter().find(|other| other.origin == Origin::User && other.id == id)
            {
                return Err(id_taken(id, &other.file));
            }
        }
        let folder = self.folder();
        let cannot =
            |what: &Path, e| error::file(&format!("{} cannot be written", what.display()), &e);
        fs::create_dir_all(folder).map_err(|e| cannot(folder, e))?;
        let count = self.definitions.files().map_err(|e| cannot(folder, e))?.len();
        if count >= MAX_FILES {
            let message = format!(
                "{} has {count} definitions already, the most it can have.",
                folder.display()
            );
            return Err(ApiError::new(ErrorCode::Conflict, message)
                .with_hint("Delete some that you do not need."));
        }
        let (stem, ending) = match named.rsplit_once('.') {
            Some((stem, ending @ ("toml" | "json"))) => (stem, ending),
            _ if edit::is_json(named, text) => (named, "json"),
            _ => (named, "toml"),
        };
        let stem = if stem.is_empty() { edit::id_of(&values).unwrap_or_default() } else { stem };
        let stem = safe_name(stem);
        for n in 1..=MAX_FILES + 1 {
            let name =
                if n == 1 { format!("{stem}.{ending}") } else { format!("{stem}-{n}.{ending}") };
            let path = folder.join(name);
            match whole_file::create(&path, text.as_bytes()) {
                Ok(()) => return self.in_file(&path.to_string_lossy(), registry),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(cannot(&path, e)),
            }
        }
        Err(ApiError::new(
            ErrorCode::Conflict,
            format!("Every name like {stem}.{ending} is taken."),
        )
        .with_hint("Choose another name."))
    }

    fn listed(&self, registry: &Registry) -> Result<Vec<DefinitionView>, ApiError> {
        self.all(registry).map_err(|e| error::no_list(self.folder(), &e))
    }

    /// The user's own definition with this id.
    fn of_user(&self, id: &str, registry: &Registry) -> Result<DefinitionView, ApiError> {
        let view = self.find(id, registry)?;
        match view.summary.origin {
            Origin::User => Ok(view),
            Origin::Shipped => Err(ApiError::new(
                ErrorCode::Conflict,
                format!("`{id}` comes with Quaero and is not changed."),
            )
            .with_hint(format!(
                "Make a copy of your own first: quaero definitions copy {id} NEW-ID"
            ))),
        }
    }

    /// The definition in this file of the user's.
    fn in_file(&self, file: &str, registry: &Registry) -> Result<DefinitionView, ApiError> {
        let all = self.listed(registry)?;
        all.into_iter().find(|view| view.summary.file == file).ok_or_else(|| {
            ApiError::new(ErrorCode::Conflict, format!("{file} was written, and then removed."))
        })
    }

    fn must_be_free(&self, id: &str, registry: &Registry) -> Result<(), ApiError> {
        let all = self.listed(registry)?;
        let other = all.iter().find(|view| view.summary.id == id);
        other.map_or(Ok(()), |other| Err(id_taken(id, &other.summary.file)))
    }

    /// Where a file of the user's really is: in the definitions' folder, or nowhere.
    fn inside(&self, path: &Path) -> Result<PathBuf, ApiError> {
        let real = |path: &Path| {
            path.canonicalize()
                .map_err(|e| error::file(&format!("{} cannot be found", path.display()), &e))
        };
        let (folder, file) = (real(self.folder())?, real(path)?);
        if file.parent() == Some(&folder) {
            return Ok(file);
        }
        let message = format!("{} is a link to {}.", path.display(), file.display());
        Err(ApiError::new(ErrorCode::Conflict, message).with_hint(
            "Only files in the definitions' folder are written. Change that file itself.",
        ))
    }

    /// One process at a time changes files.
    fn lock(&self) -> Result<File, ApiError> {
        let path = self.data_dir.join(LOCK);
        let open = || {
            fs::create_dir_all(&self.data_dir)?;
            OpenOptions::new().create(true).truncate(false).write(true).open(&path)
        };
        let locked = open().and_then(|file| file.lock().map(|()| file));
        locked.map_err(|e| error::file(&format!("{} cannot be locked", path.display()), &e))
    }

    /// A free name in the trash, and its path.
    fn place_in_trash(&self, file: &str, now_ms: i64) -> Result<(String, PathBuf), ApiError> {
        let folder = self.data_dir.join(TRASH);
        fs::create_dir_all(&folder)
            .map_err(|e| error::file(&format!("{} cannot be made", folder.display()), &e))?;
        // Only a process with the lock adds to it.
        let free = (now_ms.max(0)..).map(|moment| format!("{moment}-{file}")).find_map(|entry| {
            let path = folder.join(&entry);
            (!path.exists()).then_some((entry, path))
        });
        Ok(free.expect("there are more numbers than files"))
    }

    fn empty_trash(&self) {
        for old in self.trash().unwrap_or_default().into_iter().skip(MAX_TRASH) {
            // The next time it is tried again.
            let _ = fs::remove_file(self.data_dir.join(TRASH).join(old.entry));
        }
    }
}

/// A text in which a value cannot be set.
struct Uneditable;

impl Uneditable {
    fn of(self, view: &DefinitionView) -> ApiError {
        let mut error = match view.summary.errors {
            0 => ApiError::new(ErrorCode::Invalid, "the value is written in an unexpected way."),
            _ => error::problems(&view.summary.file, &view.problems),
        };
        error.message = format!("{} cannot be edited here: {}", file_name(view), error.message);
        error.hint.get_or_insert_with(|| "Correct the text by hand first.".to_owned());
        error
    }
}

/// Why a text cannot get another id.
enum NoNewId {
    Bad(String),
    Text(Uneditable),
}

impl NoNewId {
    fn of(self, view: &DefinitionView) -> ApiError {
        match self {
            Self::Bad(id) => ApiError::new(ErrorCode::Invalid, format!("`{id}` is not an id."))
                .with_hint("An id has 1 to 64 of the characters a-z, 0-9, - and _."),
            Self::Text(text) => text.of(view),
        }
    }
}

fn with_id(file: &str, text: &str, id: &str) -> Result<String, NoNewId> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !(1..=64).contains(&id.len()) || !id.chars().all(fits) {
        return Err(NoNewId::Bad(id.chars().take(100).collect()));
    }
    edit::set(file, text, "id", &json!(id)).ok_or(NoNewId::Text(Uneditable))
}

fn id_taken(id: &str, file: &str) -> ApiError {
    ApiError::new(ErrorCode::Conflict, format!("There is a definition `{id}` already, in {file}."))
        .with_hint("Choose another id.")
}

fn within_limits(text: &str) -> Result<(), ApiError> {
    if text.len() <= LIMITS.bytes {
        return Ok(());
    }
    let message = format!(
        "The text has {} bytes; at most {} are allowed. Nothing was written.",
        text.len(),
        LIMITS.bytes
    );
    Err(ApiError::new(ErrorCode::Invalid, message)
        .with_hint("Move long lists and texts out of the definition."))
}

fn file_name(view: &DefinitionView) -> String {
    name_of(Path::new(&view.summary.file))
}

/// A file name for `id` with the ending of `file`.
fn in_format_of(file: &str, id: &str) -> String {
    format!("{id}.{}", if edit::is_json(file, "") { "json" } else { "toml" })
}

/// A file's name without its ending that every system takes.
fn safe_name(wish: &str) -> String {
    let name: String = wish
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(64)
        .collect();
    let name = name.trim_matches('-');
    let device = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if name.is_empty() {
        "definition".to_owned()
    } else if DEVICES.contains(&device) {
        format!("definition-{name}")
    } else {
        name.to_owned()
    }
}

/// Every text, and every text in a list, under one of these keys, at any depth.
fn gather(values: &Map<String, Value>, keys: &[&str], found: &mut Vec<String>) {
    let mut add = |value: &Value| {
        if let Some(text) = value.as_str()
            && !text.is_empty()
            && !found.iter().any(|known| known == text)
        {
            found.push(text.to_owned());
        }
    };
    for (_, value) in values.iter().filter(|(key, _)| keys.contains(&key.as_str())) {
        add(value);
        value.as_array().into_iter().flatten().for_each(&mut add);
    }
    for value in values.values() {
        let below = std::iter::once(value).chain(value.as_array().into_iter().flatten());
        for table in below.filter_map(Value::as_object) {
            gather(table, keys, found);
        }
    }
}

/// The time in the name of something in the trash, in milliseconds since 1970.
fn moment(entry: &str) -> Option<i64> {
    entry.split_once('-')?.0.parse().ok()
}

fn deleted(entry: &str) -> Option<DeletedDefinition> {
    let (_, file) = entry.split_once('-')?;
    Some(DeletedDefinition {
        entry: entry.to_owned(),
        file: file.to_owned(),
        deleted: rfc3339(moment(entry)?),
    })
}
