//! The text of PDF files, read in a process of its own.
//!
//! A PDF can make any parser overflow its stack or eat all memory, and neither can be caught. So
//! the program runs itself again as a reader with a limit on memory and time ([`pdf_child_main`]);
//! if that dies, one file has failed and nothing else.

use std::{
    io::{Read, Write},
    panic::catch_unwind,
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ExtractError, clean, text};

/// Bytes of a PDF that is read at all.
const MAX_INPUT: usize = 100 * 1024 * 1024;
/// Bytes of text taken from one PDF.
const MAX_OUTPUT: u64 = 32 * 1024 * 1024;
/// How long a reader may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Bytes of address space of a reader.
#[cfg(unix)]
const MEMORY_LIMIT: u64 = 2 * 1024 * 1024 * 1024;
/// Stack of the parser.
const STACK: usize = 64 * 1024 * 1024;
/// Stands before the reader's answer: the parser's own messages may come first.
const ANSWER: u8 = 0x1e;

/// How PDF is read.
#[derive(Clone, Debug)]
pub enum PdfExtractor {
    /// By a child process that ends in [`pdf_child_main`].
    ChildProcess {
        /// Usually this program itself.
        program: PathBuf,
        /// What makes it a reader.
        args: Vec<String>,
    },
    /// In this process. A hostile file can end it.
    InProcess,
}

/// What is in a PDF.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PdfText {
    /// The title it gives itself, possibly empty.
    pub title: String,
    /// The author it names, possibly empty.
    pub author: String,
    /// The text of each page.
    pub pages: Vec<String>,
}

impl PdfText {
    /// All pages as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        text::paragraphs(&self.pages.join("\n\n"))
    }
}

impl PdfExtractor {
    /// Reads a PDF, in at most a minute.
    ///
    /// # Errors
    /// `Damaged` if it is no PDF, is encrypted or broken; `Limit` if it needs too much memory or
    /// time; `Unavailable` if the child process cannot be started.
    pub async fn extract(&self, bytes: Vec<u8>) -> Result<PdfText, ExtractError> {
        if bytes.len() > MAX_INPUT {
            return Err(ExtractError::Limit(format!(
                "the PDF is larger than {} MB",
                MAX_INPUT / 1024 / 1024
            )));
        }
        match self {
            Self::ChildProcess { program, args } => {
                tokio::time::timeout(TIME_LIMIT, in_child(program, args, bytes))
                    .await
                    .map_err(|_| ExtractError::Limit(format!("{} seconds", TIME_LIMIT.as_secs())))?
            }
            Self::InProcess => tokio::task::spawn_blocking(move || pdf_bytes_to_text(&bytes))
                .await
                .map_err(|error| ExtractError::Damaged(error.to_string()))?,
        }
    }
}

async fn in_child(
    program: &PathBuf,
    args: &[String],
    bytes: Vec<u8>,
) -> Result<PdfText, ExtractError> {
    let unavailable = |error: std::io::Error| {
        ExtractError::Unavailable(format!("{}: {error}", program.display()))
    };
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(unavailable)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(ExtractError::Unavailable(format!("{}: no pipes", program.display())));
    };
    let write = async move {
        // A reader that has died closes its end; its exit status says more than the broken pipe.
        let _ = stdin.write_all(&bytes).await;
        drop(stdin);
    };
    let mut answer = Vec::new();
    let mut limited = stdout.take(MAX_OUTPUT + 1);
    let ((), read) = tokio::join!(write, limited.read_to_end(&mut answer));
    read.map_err(unavailable)?;
    if answer.len() as u64 > MAX_OUTPUT {
        return Err(ExtractError::Limit(format!(
            "more than {} MB of text",
            MAX_OUTPUT / 1024 / 1024
        )));
    }
    let status = child.wait().await.map_err(unavailable)?;
    let start = answer.iter().rposition(|byte| *byte == ANSWER);
    match start
        .filter(|_| status.success())
        .map(|start| serde_json::from_slice(&answer[start + 1..]))
    {
        Some(Ok(Answer::Text(text))) => Ok(text),
        Some(Ok(Answer::Damaged(message))) => Err(ExtractError::Damaged(message)),
        _ => Err(ExtractError::Limit(format!("the PDF reader ended with {status}"))),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Text(PdfText),
    Damaged(String),
}

/// The whole of the child process: a PDF on standard input, its text on standard output.
#[must_use]
pub fn pdf_child_main() -> ExitCode {
    limit_this_process();
    let mut bytes = Vec::new();
    let limit = MAX_INPUT as u64;
    if std::io::stdin().lock().take(limit).read_to_end(&mut bytes).is_err() {
        return ExitCode::FAILURE;
    }
    let parser =
        std::thread::Builder::new().stack_size(STACK).spawn(move || pdf_bytes_to_text(&bytes));
    let Ok(parser) = parser else { return ExitCode::FAILURE };
    let answer = match parser.join() {
        Ok(Ok(text)) => Answer::Text(text),
        Ok(Err(ExtractError::Damaged(message))) => Answer::Damaged(message),
        Ok(Err(_)) | Err(_) => return ExitCode::FAILURE,
    };
    let Ok(json) = serde_json::to_vec(&answer) else { return ExitCode::FAILURE };
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(&[ANSWER])
        .and_then(|()| stdout.write_all(&json))
        .and_then(|()| stdout.flush());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(unix)]
fn limit_this_process() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let both = |value| Rlimit { current: Some(value), maximum: Some(value) };
    // Where the system refuses a limit, the parent's clock still ends the reader.
    let _ = setrlimit(Resource::As, both(MEMORY_LIMIT));
    let _ = setrlimit(Resource::Cpu, both(TIME_LIMIT.as_secs()));
    let _ = setrlimit(Resource::Core, both(0));
}

#[cfg(not(unix))]
fn limit_this_process() {}

/// Reads a PDF on the calling thread. A hostile file can overflow its stack: only for the child
/// process and for tests.
///
/// # Errors
/// `Damaged` if it is no PDF, is encrypted or broken.
pub fn pdf_bytes_to_text(bytes: &[u8]) -> Result<PdfText, ExtractError> {
    let owned = bytes.to_vec();
    catch_unwind(move || {
        let document = pdf_extract::Document::load_mem(&owned)
            .map_err(|e| ExtractError::Damaged(e.to_string()))?;
        if document.is_encrypted() {
            return Err(ExtractError::Damaged("it is protected by a password".to_owned()));
        }
        let pages = pdf_extract::extract_text_from_mem_by_pages(&owned)
            .map_err(|error| ExtractError::Damaged(error.to_string()))?;
        Ok(PdfText {
            title: clean::line(&info(&document, b"Title")),
            author: clean::line(&info(&document, b"Author")),
            pages: pages.iter().map(|page| clean::visible(page)).collect(),
        })
    })
    .unwrap_or_else(|_| Err(ExtractError::Damaged("its structure is not valid".to_owned())))
}

/// A text of the document's own description, or nothing.
fn info(document: &pdf_extract::Document, key: &[u8]) -> String {
    let value = || {
        let info = document.trailer.get(b"Info").ok()?;
        let (_, info) = document.dereference(info).ok()?;
        let (_, value) = document.dereference(info.as_dict().ok()?.get(key).ok()?).ok()?;
        pdf_extract::decode_text_string(value).ok()
    };
    value().unwrap_or_default()
}
