//! Servers that answer as a file of data says, byte by byte: what the rows of `attacks/http.toml`,
//! `http2.toml`, `tls.toml` and `robots.toml` mean. The files explain their fields.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    runtime::Handle,
};

use super::{Log, MAX_HEAD, Site};

/// A row: what a server answers, and what must come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "Expected: DeserializeOwned")]
pub struct Row<Expected> {
    /// What the row is.
    pub name: String,
    #[serde(flatten)]
    first: Answer,
    #[serde(default)]
    then: Vec<Answer>,
    /// What must come of it.
    #[serde(flatten)]
    pub expected: Expected,
    /// Fields that mean nothing.
    #[serde(flatten)]
    unknown: BTreeMap<String, toml::Value>,
}

impl<Expected: DeserializeOwned> Row<Expected> {
    /// The rows of a file in `attacks`. It is read while the test runs, so that a new row needs no
    /// compiler.
    ///
    /// # Panics
    /// If the file is not right.
    #[must_use]
    pub fn all(file: &str) -> Vec<Self> {
        #[derive(Deserialize)]
        #[serde(bound = "Expected: DeserializeOwned", deny_unknown_fields)]
        struct Table<Expected> {
            row: Vec<Row<Expected>>,
        }
        // The same source is part of the tests of several crates.
        let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let path = folders.find_map(|folder| {
            let path = folder.join("tests/attacks").join(file);
            path.is_file().then_some(path)
        });
        let path = path.unwrap_or_else(|| panic!("there is no {file}"));
        let text = std::fs::read_to_string(&path).expect("readable");
        let table: Table<Expected> =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for row in &table.row {
            let unknown: Vec<&String> = row.unknown.keys().collect();
            assert!(unknown.is_empty(), "`{}` has fields that mean nothing: {unknown:?}", row.name);
        }
        table.row
    }

    /// What is answered to one request after the other; the last answer is given for ever.
    #[must_use]
    pub fn answers(&self) -> Vec<Answer> {
        let all = std::iter::once(&self.first).chain(&self.then);
        all.flat_map(|answer| std::iter::repeat_n(answer.clone(), answer.times.max(1))).collect()
    }
}

/// What a client makes of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Made {
    /// An answer with this status.
    Status(u16),
    /// An error with this code.
    Code(String),
}

/// What must come of a row of `http.toml`, which explains it.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "the file explains its fields")]
pub struct Outcome {
    pub client: Made,
    pub reads: Option<String>,
    pub crawl: Option<String>,
    pub says: Option<String>,
    pub asked: Option<usize>,
    pub waits: Option<u64>,
}

/// One answer to one request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    status: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    headers: Vec<String>,
    body: Vec<Piece>,
    raw: Option<Vec<Piece>>,
    end: End,
    times: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    #[default]
    Close,
    Hold,
    Reset,
}

/// A part of what is sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Piece {
    text: String,
    hex: String,
    all: Vec<Piece>,
    gzip: Vec<Piece>,
    times: Option<usize>,
    cut: Option<usize>,
    pause_ms: u64,
    endless: bool,
    /// What it makes, if that was made before the first request.
    #[serde(skip)]
    made: Option<Arc<[u8]>>,
}

/// What `{page}` stands for.
const PAGE: &str =
    "<!doctype html><title>Page</title><main><h1>Page</h1><p>A whole page.</p></main>";

/// What the words in braces stand for.
struct Place<'a> {
    site: &'a str,
    here: &'a str,
    request: usize,
}

impl Place<'_> {
    fn fill(&self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        text.replace("{page}", PAGE)
            .replace("{length}", &PAGE.len().to_string())
            .replace("{site}", self.site)
            .replace("{here}", self.here)
            .replace("{request}", &self.request.to_string())
    }
}

impl Answer {
    fn pieces(&self) -> Vec<Piece> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let status = self.status.as_deref().unwrap_or("200 OK");
        let kind = self.kind.as_deref().unwrap_or("text/html; charset=utf-8");
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
        if !kind.is_empty() {
            head.push_str(&format!("Content-Type: {kind}\r\n"));
        }
        for header in &self.headers {
            head.push_str(&format!("{header}\r\n"));
        }
        head.push_str("\r\n");
        let mut pieces = vec![Piece { text: head, ..Piece::default() }];
        pieces.extend(self.body.iter().cloned());
        pieces
    }

    /// Sends it without a runtime, over whatever connection it is.
    ///
    /// # Errors
    /// If the other side has had enough.
    #[allow(clippy::disallowed_methods, reason = "a hostile server sends at its own pace")]
    pub fn play(&self, mut stream: impl io::Read + Write) -> io::Result<()> {
        let place = Place { site: "", here: "", request: 0 };
        for piece in self.pieces() {
            let bytes = piece.unit().bytes(&place);
            let mut left = piece.sendings();
            while piece.endless || left > 0 {
                std::thread::sleep(Duration::from_millis(piece.pause_ms));
                stream.write_all(&bytes)?;
                stream.flush()?;
                left = left.saturating_sub(1);
            }
        }
        match self.end {
            End::Close | End::Reset => Ok(()),
            End::Hold => io::copy(&mut stream, &mut io::sink()).map(drop),
        }
    }

    async fn send(&self, stream: &mut BufReader<TcpStream>, place: &Place<'_>) -> io::Result<()> {
        for piece in self.pieces() {
            let bytes = piece.unit().bytes(place);
            let mut left = piece.sendings();
            while piece.endless || left > 0 {
                tokio::time::sleep(Duration::from_millis(piece.pause_ms)).await;
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                left = left.saturating_sub(1);
            }
        }
        match self.end {
            End::Close => {}
            End::Hold => {
                // Until the other side has had enough.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            End::Reset => stream.get_ref().set_zero_linger()?,
        }
        Ok(())
    }
}

impl Piece {
    /// What is sent at once.
    fn unit(&self) -> Self {
        Self { times: self.times.filter(|_| self.pause_ms == 0), ..self.clone() }
    }

    /// How often, if it is not for ever.
    fn sendings(&self) -> usize {
        if self.pause_ms > 0 { self.times.unwrap_or(1) } else { 1 }
    }

    fn bytes(&self, place: &Place<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(place, &mut out).expect("memory takes everything");
        out
    }

    /// Makes what takes long to make, so that no client waits for it.
    fn make(&mut self) {
        if !self.gzip.is_empty() && !self.depends_on_place() {
            let place = Place { site: "", here: "", request: 0 };
            self.made = Some(self.unit().bytes(&place).into());
        }
    }

    fn depends_on_place(&self) -> bool {
        ["{site}", "{here}", "{request}"].iter().any(|word| self.text.contains(word))
            || self.all.iter().chain(&self.gzip).any(Self::depends_on_place)
    }

    fn write(&self, place: &Place<'_>, out: &mut dyn Write) -> io::Result<()> {
        if let Some(made) = &self.made {
            return out.write_all(made);
        }
        let times = self.times.unwrap_or(1);
        let text = place.fill(&self.text);
        if text.contains("{n}") {
            for n in 0..times {
                out.write_all(text.replace("{n}", &n.to_string()).as_bytes())?;
            }
            return Ok(());
        }
        let mut unit = text.into_bytes();
        unit.extend(from_hex(&self.hex));
        for piece in &self.all {
            piece.write(place, &mut unit)?;
        }
        if !self.gzip.is_empty() {
            let mut packed = GzEncoder::new(unit, Compression::best());
            self.gzip.iter().try_for_each(|piece| piece.write(place, &mut packed))?;
            unit = packed.finish()?;
        }
        if let Some(cut) = self.cut {
            unit.truncate(cut);
        }
        // What is repeated very often is written in larger parts.
        let at_once = (65_536 / unit.len().max(1)).clamp(1, times.max(1));
        let many = unit.repeat(at_once);
        for _ in 0..times / at_once {
            out.write_all(&many)?;
        }
        out.write_all(&unit.repeat(times % at_once))
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(|two| pair(two).unwrap_or_else(|| panic!("no hex: {hex}"))).collect()
}

/// A site that answers below some paths as rows say.
pub struct ScriptedSite;

impl ScriptedSite {
    /// Starts it. The longest path that a request begins with decides; without one there is nothing.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn serve<'a>(paths: impl IntoIterator<Item = (&'a str, Vec<Answer>)>) -> io::Result<Site> {
        let paths: Vec<(String, Vec<Answer>, AtomicUsize)> = paths
            .into_iter()
            .map(|(path, mut answers)| {
                answers.iter_mut().flat_map(|answer| &mut answer.body).for_each(Piece::make);
                (path.to_owned(), answers, AtomicUsize::new(0))
            })
            .collect();
        let paths = Arc::new(paths);
        Site::start_on(servers(), move |stream, log| {
            let paths = paths.clone();
            async move { serve(BufReader::new(stream), &paths, log).await }
        })
    }
}

/// The one thread of all these sites, of which a test may have hundreds.
fn servers() -> &'static Handle {
    static SERVERS: LazyLock<Handle> = LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system has room for a runtime");
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    });
    &SERVERS
}

async fn serve(
    mut stream: BufReader<TcpStream>,
    paths: &[(String, Vec<Answer>, AtomicUsize)],
    log: Arc<Log>,
) -> io::Result<()> {
    let mut line = String::new();
    (&mut stream).take(MAX_HEAD).read_line(&mut line).await?;
    let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
    while line != "\r\n" {
        line.clear();
        if (&mut stream).take(MAX_HEAD).read_line(&mut line).await? == 0 {
            return Ok(());
        }
    }
    log.note(&target);
    let within = |path: &str| {
        target.strip_prefix(path).is_some_and(|rest| {
            path.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?'])
        })
    };
    let fitting = paths.iter().filter(|(path, ..)| within(path));
    let Some((path, answers, requests)) = fitting.max_by_key(|(path, ..)| path.len()) else {
        let nothing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(nothing).await?;
        return stream.flush().await;
    };
    let request = requests.fetch_add(1, Ordering::SeqCst);
    let site = format!("http://{}", stream.get_ref().local_addr()?);
    let place = Place { site: &site, here: &format!("{site}{path}"), request };
    let answer = answers.get(request).or(answers.last()).expect("a path has an answer");
    answer.send(&mut stream, &place).await
}
