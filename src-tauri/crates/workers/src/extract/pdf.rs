//! The text of PDF files, read in a process of its own.
//!
//! A PDF can make any parser overflow its stack or eat all memory, and neither can be caught. So
//! the program runs itself again as a reader with a limit on memory and time ([`pdf_child_main`]);
//! if that dies, one file has failed and nothing else.

use std::{
    io::{Read, Write},
    panic::catch_unwind,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    sync::LazyLock,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
};

use super::{ExtractError, clean, text};
use crate::child::without_keys;

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

/// Readers at the same time: as many as there are processors. Apart from the parsers of pages, which
/// a slow PDF does not hold up.
static READERS: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
});

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
    /// Reads a PDF when its turn comes, in at most a minute.
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
        let _turn = READERS.acquire().await.expect("the semaphore is never closed");
        match self {
            Self::ChildProcess { program, args } => {
                in_child(program, args, bytes, TIME_LIMIT).await
            }
            Self::InProcess => tokio::task::spawn_blocking(move || pdf_bytes_to_text(&bytes))
                .await
                .map_err(|error| ExtractError::Damaged(error.to_string()))?,
        }
    }
}

async fn in_child(
    program: &Path,
    args: &[String],
    bytes: Vec<u8>,
    limit: Duration,
) -> Result<PdfText, ExtractError> {
    // Dropping the child ends it.
    tokio::time::timeout(limit, ask_child(program, args, bytes)).await.unwrap_or_else(|_| {
        Err(ExtractError::Limit(format!("it took longer than {} seconds", limit.as_secs())))
    })
}

async fn ask_child(
    program: &Path,
    args: &[String],
    bytes: Vec<u8>,
) -> Result<PdfText, ExtractError> {
    let unavailable = |error: std::io::Error| {
        ExtractError::Unavailable(format!("{}: {error}", program.display()))
    };
    let mut command = tokio::process::Command::new(program);
    without_keys(command.as_std_mut());
    let mut child = command
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
    let read = limited.read_to_end(&mut answer);
    tokio::pin!(read);
    // A reader may answer without having read everything.
    tokio::select! {
        read = &mut read => read,
        () = write => read.await,
    }
    .map_err(unavailable)?;
    if answer.len() as u64 > MAX_OUTPUT {
        // Dropped here, the child ends; it would wait for somebody to read on.
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
        let pages = pdf_extract::extract_text_from_mem_by_pages(&owned)
            .map_err(|error| ExtractError::Damaged(error.to_string()))?;
        if pages.is_empty() {
            return Err(ExtractError::Damaged(
                "it has no pages, or is protected by a password".to_owned(),
            ));
        }
        Ok(PdfText {
            title: clean::line(&info(&document, b"Title")),
            author: clean::line(&info(&document, b"Author")),
            pages: pages.iter().map(|page| clean::visible(page).into_owned()).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A PDF of these objects, numbered from 1; the first is the catalog.
    fn pdf(objects: &[&str], trailer: &str) -> Vec<u8> {
        let mut out = String::from("%PDF-1.4\n");
        let mut offsets = Vec::new();
        for (index, object) in objects.iter().enumerate() {
            offsets.push(out.len());
            out.push_str(&format!("{} 0 obj\n{object}\nendobj\n", index + 1));
        }
        let xref = out.len();
        out.push_str(&format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1));
        for offset in offsets {
            out.push_str(&format!("{offset:010} 00000 n \n"));
        }
        let size = objects.len() + 1;
        out.push_str(&format!(
            "trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{xref}\n%%EOF\n"
        ));
        out.into_bytes()
    }

    const CATALOG: &str = "<< /Type /Catalog /Pages 2 0 R >>";
    const PAGES: &str = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>";
    const PAGE: &str = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
        /Resources << /Font << /F1 5 0 R >> >> >>";
    const FONT: &str =
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>";

    fn one_page() -> Vec<u8> {
        let text = "BT /F1 24 Tf 72 700 Td (The tide of # 3 turns) Tj ET";
        let stream = format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len());
        let info = "<< /Title (Tides) /Author (Ines Moreau) >>";
        pdf(&[CATALOG, PAGES, PAGE, &stream, FONT, info], "/Info 6 0 R")
    }

    /// The test program itself, as the product runs itself.
    fn child() -> PdfExtractor {
        let args =
            ["--exact", "extract::pdf::tests::the_reader_itself", "--ignored", "--nocapture"];
        PdfExtractor::ChildProcess {
            program: std::env::current_exe().expect("a test runs in a program"),
            args: args.map(str::to_owned).to_vec(),
        }
    }

    #[test]
    #[ignore = "is the child process of the other tests"]
    #[allow(
        clippy::disallowed_methods,
        reason = "the test harness must not write behind the answer"
    )]
    fn the_reader_itself() {
        let code = i32::from(pdf_child_main() != ExitCode::SUCCESS);
        std::process::exit(code);
    }

    #[tokio::test]
    async fn a_child_process_reads_what_is_read_in_process() {
        for reader in [child(), PdfExtractor::InProcess] {
            let text = reader.extract(one_page()).await.expect("it is a good file");
            assert_eq!(
                (text.title.as_str(), text.author.as_str()),
                ("Tides", "Ines Moreau"),
                "{reader:?}"
            );
            assert_eq!(text.pages.len(), 1);
            assert_eq!(text.markdown(), "The tide of # 3 turns\n");
        }
    }

    #[tokio::test]
    async fn a_bad_file_fails_alone() {
        let nested = "[".repeat(20_000) + &"]".repeat(20_000);
        let good = one_page();
        for (name, bytes) in [
            ("nothing", Vec::new()),
            ("not a PDF", b"<html>".to_vec()),
            ("only the header", b"%PDF-1.7\n".to_vec()),
            ("cut off", good[..good.len() / 2].to_vec()),
            (
                "encrypted",
                pdf(
                    &[CATALOG, PAGES, PAGE, FONT],
                    "/Encrypt << /Filter /Standard /V 1 /R 2 /O (x) /U (x) /P 0 >>",
                ),
            ),
        ] {
            let error = child().extract(bytes).await.expect_err(name);
            assert!(matches!(error.code(), "damaged" | "parser_limit"), "{name}: {error:?}");
        }
        let cycle = "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 9 >>";
        for (name, bytes) in [
            ("deep nesting", pdf(&[CATALOG, PAGES, PAGE, &nested, FONT], "")),
            ("pages that contain themselves", pdf(&[CATALOG, cycle], "")),
            ("a table that continues itself", pdf(&[CATALOG, PAGES, PAGE], "/Prev 9")),
        ] {
            // Whether there is text is a matter of taste; that there is an end is not.
            if let Err(error) = child().extract(bytes).await {
                assert!(matches!(error.code(), "damaged" | "parser_limit"), "{name}: {error:?}");
            }
        }
        child().extract(good).await.expect("the next file is read");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_reader_that_hangs_dies_or_floods_is_a_limit() {
        let shell = |script: &str| PdfExtractor::ChildProcess {
            program: PathBuf::from("/bin/sh"),
            args: vec!["-c".to_owned(), script.to_owned()],
        };
        for (name, script) in
            [("dies", "kill -9 $$"), ("floods", "exec yes"), ("says nothing", "exit 0")]
        {
            let error = shell(script).extract(vec![0; 100_000]).await.expect_err(name);
            assert_eq!(error.code(), "parser_limit", "{name}: {error}");
        }
        let sleep = ["-c".to_owned(), "exec sleep 1000".to_owned()];
        let error =
            in_child(Path::new("/bin/sh"), &sleep, Vec::new(), Duration::from_millis(50)).await;
        assert_eq!(error.expect_err("hangs").code(), "parser_limit");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn no_more_readers_run_than_there_are_processors() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let script = format!("echo + >> {0}; sleep 0.1; echo - >> {0}", log.display());
        let reader = PdfExtractor::ChildProcess {
            program: PathBuf::from("/bin/sh"),
            args: vec!["-c".to_owned(), script],
        };
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let all = (0..3 * processors).map(|_| reader.extract(Vec::new()));
        futures::future::join_all(all).await;
        let (mut running, mut most) = (0, 0);
        for line in std::fs::read_to_string(&log).expect("they ran").lines() {
            running += if line == "+" { 1 } else { -1 };
            most = most.max(running);
        }
        assert!(most <= i32::try_from(processors).expect("a few"), "{most} at the same time");
    }

    #[tokio::test]
    async fn a_missing_reader_is_named() {
        let missing = PdfExtractor::ChildProcess {
            program: PathBuf::from("/no/such/reader"),
            args: Vec::new(),
        };
        let error = missing.extract(Vec::new()).await.expect_err("it cannot be started");
        assert_eq!(error.code(), "pdf_reader_unavailable");
        assert!(error.to_string().contains("/no/such/reader"), "{error}");
    }
}
