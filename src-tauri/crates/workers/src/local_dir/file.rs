//! One file as a document.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read},
    path::Path,
    time::UNIX_EPOCH,
};

use quaero_contract::LogLevel;
use quaero_engine::work::{JobContext, JobWorker, Outcome, TaskError};
use quaero_store::NewDocument;
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;
use url::Url;

use super::{FILE, FileTask, LocalDirConfig, slashed};
use crate::{
    extract::{self, ExtractError, Format, PageOptions, PdfExtractor},
    parsing,
};

/// Reads one file.
pub struct FileWorker {
    pdf: PdfExtractor,
}

impl FileWorker {
    /// A worker that reads PDF with `pdf`.
    #[must_use]
    pub const fn new(pdf: PdfExtractor) -> Self {
        Self { pdf }
    }
}

/// What was read.
pub(super) struct Source {
    pub(super) bytes: Vec<u8>,
    modified: Option<String>,
}

/// What became of it.
pub(super) struct Content {
    pub(super) title: String,
    pub(super) markdown: String,
    metadata: Map<String, Value>,
}

#[async_trait::async_trait]
impl JobWorker for FileWorker {
    fn task_type(&self) -> &'static str {
        FILE
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: LocalDirConfig = job.config()?;
        let task: FileTask = job.payload()?;
        let root = task.root.path();
        let path = root.join(task.path.path());
        let shown = path.display().to_string();
        let max = config.max_file_size;

        let source = {
            let (root, path) = (root.clone(), path.clone());
            // A disk may take any time.
            spawn_blocking(move || read(&root, &path, max)).await.map_err(|_| broken_off(&shown))?
        }
        .map_err(|error| file_error(&shown, &error))?;
        let Some(source) = source else {
            return Ok(warning(format!(
                "{shown} has become larger than {max} bytes and was left out."
            )));
        };

        let source_id = path.to_string_lossy().into_owned();
        let mut tags = config.output_tags.clone();
        tags.sort_unstable();
        let source_hash = extract::source_hash(&source.bytes, &tags);
        if let Some(known) = job.store().document_state("file", &source_id).await?
            && known.source_hash == source_hash
        {
            return Ok(Outcome { unchanged: vec![known.id], ..Outcome::default() });
        }

        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(format) = format(&name, &source.bytes) else {
            job.log(LogLevel::Debug, format!("{shown} is not text and was left out."));
            return Ok(Outcome::default());
        };
        let size = source.bytes.len();
        let original = (format == Format::Html).then(|| source.bytes.clone());
        let content = if format == Format::Pdf {
            self.pdf.extract(source.bytes).await.map(|text| {
                let author = (!text.author.is_empty())
                    .then(|| ("author".to_owned(), Value::String(text.author.clone())));
                Content {
                    title: text.title.clone(),
                    markdown: text.markdown(),
                    metadata: author.into_iter().collect(),
                }
            })
        } else {
            let (path, name) = (path.clone(), name.clone());
            parsing::run(size, move || content(&source.bytes, &path, &name, format))
                .await
                .map_err(|_| broken_off(&shown))?
        };
        let content = content
            .map_err(|error| TaskError::permanent(error.code(), format!("{shown}: {error}.")))?;

        let mut metadata = content.metadata;
        metadata.insert("path".to_owned(), json!(slashed(&task.path.path())));
        metadata.insert("size".to_owned(), json!(size));
        metadata.insert("format".to_owned(), json!(format.name()));
        if let Some(modified) = source.modified {
            metadata.insert("modified".to_owned(), json!(modified));
        }
        let document = NewDocument {
            source_type: "file".to_owned(),
            source_id,
            url: None,
            title: if content.title.is_empty() { name } else { content.title },
            markdown: content.markdown,
            metadata,
            tags: config.output_tags,
            source_hash,
            original,
            fetched_ms: job.now_ms(),
            page: None,
        };
        Ok(Outcome { documents: vec![document], ..Outcome::default() })
    }
}

fn warning(text: String) -> Outcome {
    Outcome { warnings: vec![text], ..Outcome::default() }
}

fn broken_off(shown: &str) -> TaskError {
    TaskError::permanent("internal", format!("Reading {shown} broke off unexpectedly."))
}

/// The name decides, unless it says nothing; then the bytes do.
pub(super) fn format(name: &str, bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(b"%PDF-") {
        return Some(Format::Pdf);
    }
    if extract::looks_binary(bytes) {
        return None;
    }
    match extract::format_of(name) {
        Some(Format::Pdf) | None => Some(Format::Text),
        known => known,
    }
}

pub(super) fn content(
    bytes: &[u8],
    path: &Path,
    name: &str,
    format: Format,
) -> Result<Content, ExtractError> {
    let (text, _) = quaero_net::decode(bytes, None);
    if format != Format::Html {
        let file = extract::text(&text, name, format)?;
        return Ok(Content { title: file.title, markdown: file.markdown, metadata: file.metadata });
    }
    let url = Url::from_file_path(path)
        .map_err(|()| ExtractError::Damaged("its path is not absolute".to_owned()))?;
    let page = extract::page_with(&text, &url, &PageOptions::default())?;
    Ok(Content { title: page.title, markdown: page.markdown, metadata: page.metadata })
}

/// The bytes of a regular file below `root`, or None if there are more than `max`.
pub(super) fn read(root: &Path, path: &Path, max: u64) -> std::io::Result<Option<Source>> {
    let file = open_below(root, path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Ok(None);
    }
    let since_1970 = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified =
        since_1970.and_then(|time| i64::try_from(time.as_millis()).ok()).map(quaero_store::rfc3339);
    Ok(Some(Source { bytes, modified }))
}

/// Opens a file below `root`. A folder on the way may have become a link since the walk, or may become
/// one at any moment: each is opened in the one before it, and never through a link.
#[cfg(unix)]
fn open_below(root: &Path, path: &Path) -> std::io::Result<File> {
    use rustix::{
        fs::{Mode, OFlags, openat},
        io::Errno,
    };
    let below = path.strip_prefix(root).map_err(std::io::Error::other)?;
    let name = below.file_name().ok_or(ErrorKind::InvalidInput)?;
    let mut folder = rustix::fs::open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for part in below.parent().into_iter().flat_map(Path::components) {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        folder =
            openat(&folder, part.as_os_str(), flags, Mode::empty()).map_err(
                |error| match error {
                    Errno::LOOP | Errno::NOTDIR => std::io::Error::new(
                        ErrorKind::PermissionDenied,
                        "a folder on the way has become a link",
                    ),
                    error => error.into(),
                },
            )?;
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(&folder, name, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open_below(root: &Path, path: &Path) -> std::io::Result<File> {
    if !super::dunce(path.parent().unwrap_or(root))?.starts_with(root) {
        return Err(std::io::Error::new(
            ErrorKind::PermissionDenied,
            "a link leads out of the folder",
        ));
    }
    open(path)
}

/// Opens the file itself, not what a link points to, and never waits for the other end of a pipe.
#[cfg(unix)]
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

#[cfg(not(unix))]
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

pub(super) fn file_error(path: &str, error: &std::io::Error) -> TaskError {
    match error.kind() {
        ErrorKind::NotFound => {
            TaskError::permanent("not_found", format!("{path} is no longer there."))
        }
        ErrorKind::PermissionDenied => {
            TaskError::permanent("permission_denied", format!("{path} may not be read: {error}."))
        }
        _ if is_short_of_files(error) => {
            TaskError::transient("too_many_files", format!("{path} cannot be opened: {error}."))
        }
        _ => TaskError::permanent("unreadable", format!("{path} cannot be read: {error}.")),
    }
}

/// Whether this process, or the computer, has as many files open as it may: others are closed soon.
fn is_short_of_files(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}
