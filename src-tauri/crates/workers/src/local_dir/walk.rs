//! Which files of a folder are read.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::{DirEntry, WalkBuilder, overrides::OverrideBuilder};
use quaero_engine::work::TaskError;

use super::{LocalDirConfig, file};
use crate::extract::{Format, format_of, looks_binary};

/// Folders that tools make and can make again.
const BUILD_FOLDERS: &[&str] = &[
    "__pycache__",
    "__pypackages__",
    ".bundle",
    ".cache",
    ".eggs",
    ".gradle",
    ".idea",
    ".mypy_cache",
    ".next",
    ".nox",
    ".nuxt",
    ".pytest_cache",
    ".ruff_cache",
    ".svelte-kit",
    ".terraform",
    ".tox",
    ".venv",
    ".vs",
    "bower_components",
    "build",
    "DerivedData",
    "dist",
    "node_modules",
    "target",
    "venv",
];
/// The stores of version control: never documents, whatever the settings say.
const REPOSITORIES: &[&str] = &[".git", ".hg", ".svn", ".jj", ".bzr"];
/// How much of a file with an unknown name is looked at.
const SNIFF: u64 = 8192;
/// Bytes of a `.gitignore` that is read.
const MAX_IGNORE: u64 = 256 * 1024;

/// A file to read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) root: Arc<Path>,
    /// Below the root.
    pub(super) path: PathBuf,
    pub(super) pdf: bool,
}

/// What the walk left out, and why.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) found: u32,
    binary: u32,
    empty: u32,
    links: u32,
    too_large: u32,
    first_too_large: Option<String>,
    max_file_size: u64,
    unreadable: u32,
    first_unreadable: Option<String>,
    lossy: u32,
    first_lossy: Option<String>,
    bad_ignore: Option<PathBuf>,
    stopped_at: Option<u32>,
}

impl Summary {
    /// What nobody expects to be read, in one line.
    pub(super) fn skipped(&self) -> Option<String> {
        let parts: Vec<String> = [
            (self.binary, "not text"),
            (self.empty, "empty"),
            (self.links, "links, which are not followed"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
        (!parts.is_empty()).then(|| format!("Left out: {}.", parts.join(", ")))
    }

    /// What somebody may miss.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(first) = &self.first_too_large {
            warnings.push(format!(
                "{} files are larger than {} bytes and were left out, such as {first}. Raise max_file_size to read them.",
                self.too_large, self.max_file_size
            ));
        }
        if let Some(first) = &self.first_unreadable {
            warnings.push(format!(
                "{} files or folders could not be looked at, such as {first}.",
                self.unreadable
            ));
        }
        if let Some(first) = &self.first_lossy {
            warnings.push(format!(
                "{} files have names that are not valid text; they are shown with \u{fffd} in place of what cannot be \
                 written, such as {first}.",
                self.lossy
            ));
        }
        if let Some(folder) = &self.bad_ignore {
            warnings.push(format!(
                "Folders whose .gitignore is not a usual file of at most {MAX_IGNORE} bytes were left out, such as {}. \
                 Set respect_gitignore = false to read them.",
                folder.display()
            ));
        }
        if let Some(most) = self.stopped_at {
            warnings.push(format!(
                "The walk stopped after {most} files. Raise max_files to read the rest."
            ));
        }
        warnings
    }
}

/// A walk that has not begun.
pub(super) struct Walk<'a> {
    root: Arc<Path>,
    config: &'a LocalDirConfig,
    include: Option<GlobSet>,
    builder: WalkBuilder,
    /// The first folder with a `.gitignore` that is not read.
    bad_ignore: Arc<OnceLock<PathBuf>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: PathBuf, config: &'a LocalDirConfig) -> Result<Self, TaskError> {
        let bad = |error: &dyn std::fmt::Display| {
            TaskError::permanent("invalid_config", format!("A file pattern is not valid: {error}."))
        };
        let mut exclude = OverrideBuilder::new(&root);
        for pattern in &config.exclude {
            exclude.add(&format!("!{pattern}")).map_err(|error| bad(&error))?;
        }
        let mut builder = WalkBuilder::new(&root);
        let tidy = config.respect_gitignore;
        if tidy && has_bad_ignore(&root) {
            return Err(TaskError::permanent(
                "unreadable",
                format!(
                    "The .gitignore of {} is not a usual file of at most {MAX_IGNORE} bytes. Set \
                     respect_gitignore = false to read the folder without it.",
                    root.display()
                ),
            ));
        }
        let bad_ignore = Arc::new(OnceLock::new());
        let first_bad = Arc::clone(&bad_ignore);
        builder
            .standard_filters(false)
            .git_ignore(tidy)
            // Also outside repositories; but an ignore file above the folder says nothing about it.
            .require_git(false)
            .parents(false)
            .hidden(!config.hidden)
            .follow_links(false)
            .sort_by_file_name(std::ffi::OsStr::cmp)
            .overrides(exclude.build().map_err(|error| bad(&error))?)
            .filter_entry(move |entry| {
                if entry.depth() == 0 {
                    return true;
                }
                if is_left_out(entry, tidy) {
                    return false;
                }
                let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
                let bad = tidy && is_folder && has_bad_ignore(entry.path());
                if bad {
                    first_bad.get_or_init(|| entry.path().to_owned());
                }
                !bad
            });
        Ok(Self {
            include: globs(&config.include).map_err(|error| bad(&error))?,
            root: root.into(),
            config,
            builder,
            bad_ignore,
        })
    }

    /// Walks, handing out files in chunks until `take` says no.
    pub(super) fn run(
        self,
        chunk_size: usize,
        mut take: impl FnMut(Vec<Found>) -> bool,
    ) -> Result<Summary, TaskError> {
        let mut summary =
            Summary { max_file_size: self.config.max_file_size, ..Summary::default() };
        let mut chunk = Vec::new();
        for entry in self.builder.build() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    summary.unreadable += 1;
                    summary.first_unreadable.get_or_insert_with(|| error.to_string());
                    continue;
                }
            };
            let Some((path, format)) = self.judge(&entry, &mut summary) else { continue };
            if summary.found >= self.config.max_files {
                summary.stopped_at = Some(self.config.max_files);
                break;
            }
            summary.found += 1;
            if path.to_str().is_none() {
                summary.lossy += 1;
                summary.first_lossy.get_or_insert_with(|| path.to_string_lossy().into_owned());
            }
            chunk.push(Found {
                root: Arc::clone(&self.root),
                path,
                pdf: format == Some(Format::Pdf),
            });
            if chunk.len() >= chunk_size && !take(std::mem::take(&mut chunk)) {
                return Ok(summary);
            }
        }
        if !chunk.is_empty() {
            take(chunk);
        }
        summary.bad_ignore = self.bad_ignore.get().cloned();
        Ok(summary)
    }

    /// The path below the root if the file is to be read.
    fn judge(&self, entry: &DirEntry, summary: &mut Summary) -> Option<(PathBuf, Option<Format>)> {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            return None;
        }
        let path = entry.path().strip_prefix(&self.root).ok()?.to_path_buf();
        let name = entry.file_name().to_string_lossy();
        if !self.is_wanted(&path, &name) {
            return None;
        }
        if kind.is_symlink() {
            summary.links += 1;
            return None;
        }
        if !kind.is_file() {
            return None;
        }
        let format = format_of(&name);
        match self.look(entry, format) {
            Ok(Look::Read) => Some((path, format)),
            Ok(Look::Empty) => {
                summary.empty += 1;
                None
            }
            Ok(Look::Binary) => {
                summary.binary += 1;
                None
            }
            Ok(Look::TooLarge) => {
                summary.too_large += 1;
                summary.first_too_large.get_or_insert_with(|| super::slashed(&path));
                None
            }
            // The file's own task will fail with its path and the reason.
            Err(_) => Some((path, format)),
        }
    }

    fn is_wanted(&self, path: &Path, name: &str) -> bool {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let extensions = &self.config.extensions;
        (extensions.is_empty()
            || extensions
                .iter()
                .any(|wanted| wanted.trim_start_matches('.').eq_ignore_ascii_case(extension)))
            && self.include.as_ref().is_none_or(|include| include.is_match(path))
    }

    fn look(&self, entry: &DirEntry, format: Option<Format>) -> std::io::Result<Look> {
        let size = entry.metadata().map_err(std::io::Error::other)?.len();
        if size == 0 {
            return Ok(Look::Empty);
        }
        if format.is_none() {
            let mut head = Vec::new();
            file::open(entry.path())?.take(SNIFF).read_to_end(&mut head)?;
            if looks_binary(&head) {
                return Ok(Look::Binary);
            }
        }
        Ok(if size > self.config.max_file_size { Look::TooLarge } else { Look::Read })
    }
}

enum Look {
    Read,
    Empty,
    Binary,
    TooLarge,
}

/// Whether a folder's `.gitignore` cannot be read without harm: a pipe never ends, neither does a
/// device, and a huge file fills the memory.
fn has_bad_ignore(folder: &Path) -> bool {
    std::fs::metadata(folder.join(".gitignore"))
        .is_ok_and(|found| !found.is_file() || found.len() > MAX_IGNORE)
}

fn is_left_out(entry: &DirEntry, tidy: bool) -> bool {
    let Some(name) = entry.file_name().to_str() else { return false };
    entry.file_type().is_some_and(|kind| kind.is_dir())
        && (REPOSITORIES.contains(&name) || tidy && BUILD_FOLDERS.contains(&name))
}

/// Patterns without a slash match at any depth, as in `.gitignore`.
fn globs(patterns: &[String]) -> Result<Option<GlobSet>, globset::Error> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let anchored = if pattern.contains('/') {
            pattern.trim_start_matches('/').to_owned()
        } else {
            format!("**/{pattern}")
        };
        set.add(GlobBuilder::new(&anchored).literal_separator(true).build()?);
    }
    set.build().map(Some)
}
