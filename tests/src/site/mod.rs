//! Web sites on this computer: one that serves a folder as it should, one that misbehaves as real
//! ones do, and those that do what files of data say.
//!
//! A [`Site`] runs on a thread of its own and ends when it is dropped, so that tests with and
//! without a runtime can use it. Its address is `127.0.0.1` with a port that the system chooses.

mod endless;
mod generated;
mod hostile;
mod living;
mod scripted;

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::oneshot,
};

pub use endless::EndlessSite;
pub use generated::{GeneratedSite, vocable};
pub use hostile::{HostileSite, RobotsFile};
pub use living::{LivingSite, Page};
pub use scripted::{Answer, Made, Outcome, Row, ScriptedSite};

/// A longer request is not read.
const MAX_HEAD: u64 = 64 << 10;

/// A running site.
pub struct Site {
    address: SocketAddr,
    log: Arc<Log>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The requests that came in.
#[derive(Default)]
pub(crate) struct Log {
    targets: Mutex<Vec<String>>,
}

impl Log {
    /// Notes a request and says how many of the same came before.
    pub(crate) fn note(&self, target: &str) -> usize {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let before = targets.iter().filter(|known| *known == target).count();
        targets.push(target.to_owned());
        before
    }
}

impl Site {
    /// Starts a site whose connections are handled by `handle`.
    pub(crate) fn start<F, Answer>(handle: F) -> io::Result<Self>
    where
        F: Fn(TcpStream, Arc<Log>) -> Answer + Send + 'static,
        Answer: Future<Output = io::Result<()>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut site, serving) = Self::prepare(handle)?;
        site.thread = Some(std::thread::spawn(move || runtime.block_on(serving)));
        Ok(site)
    }

    /// As [`Site::start`], beside others on their thread.
    pub(crate) fn start_on<F, Answer>(runtime: &Handle, handle: F) -> io::Result<Self>
    where
        F: Fn(TcpStream, Arc<Log>) -> Answer + Send + 'static,
        Answer: Future<Output = io::Result<()>> + Send + 'static,
    {
        let (site, serving) = Self::prepare(handle)?;
        runtime.spawn(serving);
        Ok(site)
    }

    /// A site, and what serves it until it is dropped.
    fn prepare<F, Answer>(
        handle: F,
    ) -> io::Result<(Self, impl Future<Output = ()> + Send + 'static)>
    where
        F: Fn(TcpStream, Arc<Log>) -> Answer + Send + 'static,
        Answer: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let log = Arc::new(Log::default());
        let shared = log.clone();
        let (stop, stopped) = oneshot::channel();
        let serving = async move {
            let ended = tokio::select! {
                result = accept(listener, handle, shared) => result,
                _ = stopped => Ok(()),
            };
            if let Err(error) = ended {
                panic!("the test site stopped: {error}");
            }
        };
        Ok((Self { address, log, stop: Some(stop), thread: None }, serving))
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of a path that begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `127.0.0.1:PORT`, as `allow_hosts` takes it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// How often each target (path and query) was asked for.
    #[must_use]
    pub fn hits(&self) -> BTreeMap<String, usize> {
        let mut hits = BTreeMap::new();
        for target in self.log.targets.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *hits.entry(target.clone()).or_insert(0) += 1;
        }
        hits
    }
}

async fn accept<F, Answer>(
    listener: std::net::TcpListener,
    handle: F,
    log: Arc<Log>,
) -> io::Result<()>
where
    F: Fn(TcpStream, Arc<Log>) -> Answer,
    Answer: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // Head and body are written one after the other; waiting for a receipt in between costs 40 ms.
        stream.set_nodelay(true)?;
        // A connection that breaks concerns nobody else.
        tokio::spawn(handle(stream, log.clone()));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request, as far as a test site cares.
pub(crate) struct Request {
    method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// The header `Authorization`, as sent.
    pub(crate) authorization: Option<String>,
    /// The header `If-None-Match`, as sent.
    pub(crate) if_none_match: Option<String>,
    pub(crate) keep_alive: bool,
}

/// Reads the head of the next request; None at the end of the connection.
pub(crate) async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut head = stream.take(MAX_HEAD);
    let mut line = String::new();
    if head.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        authorization: None,
        if_none_match: None,
        keep_alive: version != "HTTP/1.0",
    };
    loop {
        let mut header = String::new();
        if head.read_line(&mut header).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let sent = header.trim_end();
        if sent.is_empty() {
            return Ok(Some(request));
        }
        let header = sent.to_ascii_lowercase();
        if let Some((name, value)) = sent.split_once(':') {
            let value = Some(value.trim().to_owned());
            match name.to_ascii_lowercase().as_str() {
                "authorization" => request.authorization = value,
                "if-none-match" => request.if_none_match = value,
                _ => {}
            }
        }
        if header == "connection: close" {
            request.keep_alive = false;
        }
    }
}

/// A plain answer. `headers` has a line break after each.
pub(crate) async fn respond(
    stream: &mut BufReader<TcpStream>,
    request: &Request,
    status: &str,
    headers: &str,
    body: &[u8],
) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    if request.method != "HEAD" {
        stream.write_all(body).await?;
    }
    stream.flush().await
}

/// A site that serves a folder.
pub struct StaticSite;

impl StaticSite {
    /// Serves the files of a folder; a folder's page is its `index.html`.
    ///
    /// # Errors
    /// If the folder cannot be read or no port can be had.
    pub fn serve(folder: &Path) -> io::Result<Site> {
        let root = folder.canonicalize()?;
        Site::start(move |stream, log| serve_files(BufReader::new(stream), root.clone(), log))
    }
}

async fn serve_files(
    mut stream: BufReader<TcpStream>,
    root: PathBuf,
    log: Arc<Log>,
) -> io::Result<()> {
    while let Some(request) = read_request(&mut stream).await? {
        log.note(&request.target);
        if request.method != "GET" && request.method != "HEAD" {
            respond(&mut stream, &request, "405 Method Not Allowed", "Allow: GET, HEAD\r\n", b"")
                .await?;
            return Ok(());
        }
        match find(&root, &request.target) {
            Found::File(path) => {
                let body = tokio::fs::read(&path).await?;
                let headers = format!("Content-Type: {}\r\n", content_type(&path));
                respond(&mut stream, &request, "200 OK", &headers, &body).await?;
            }
            Found::Folder(target) => {
                respond(
                    &mut stream,
                    &request,
                    "301 Moved Permanently",
                    &format!("Location: {target}\r\n"),
                    b"",
                )
                .await?;
            }
            Found::Nothing => {
                let body = b"<!doctype html><title>Not found</title><h1>Not found</h1>";
                respond(
                    &mut stream,
                    &request,
                    "404 Not Found",
                    "Content-Type: text/html; charset=utf-8\r\n",
                    body,
                )
                .await?;
            }
        }
        if !request.keep_alive {
            return Ok(());
        }
    }
    Ok(())
}

enum Found {
    File(PathBuf),
    /// A folder that was asked for without the slash that its links are relative to.
    Folder(String),
    Nothing,
}

/// The file behind a target, never outside the root.
fn find(root: &Path, target: &str) -> Found {
    let (path, query) =
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Some(decoded) = percent_decode(path) else { return Found::Nothing };
    let mut file = root.to_path_buf();
    for segment in decoded.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        if segment == ".." || segment.contains(['\\', '\0', ':']) {
            return Found::Nothing;
        }
        file.push(segment);
    }
    // A link of the file system may lead outside.
    let Ok(file) = file.canonicalize() else { return Found::Nothing };
    if !file.starts_with(root) {
        return Found::Nothing;
    }
    if !file.is_dir() {
        return if decoded.ends_with('/') { Found::Nothing } else { Found::File(file) };
    }
    if !path.ends_with('/') {
        return Found::Folder(query.map_or(format!("{path}/"), |query| format!("{path}/?{query}")));
    }
    let index = ["index.html", "index.htm", "index.xhtml"]
        .iter()
        .map(|name| file.join(name))
        .find(|index| index.is_file());
    index.map_or(Found::Nothing, Found::File)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// As common servers do it: HTML without a charset, which is left to the page.
fn content_type(path: &Path) -> &'static str {
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    match ending.as_str() {
        "html" | "htm" => "text/html",
        "xhtml" => "application/xhtml+xml",
        "txt" | "text" | "rst" => "text/plain",
        "md" | "markdown" => "text/markdown; charset=utf-8",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    /// Sends requests over one connection, and takes what comes until the other side closes it.
    fn ask(site: &Site, requests: &str) -> String {
        let mut stream = std::net::TcpStream::connect(site.host()).expect("the site listens");
        stream.write_all(requests.as_bytes()).expect("the site reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the site answers");
        String::from_utf8(answer).expect("text")
    }

    #[test]
    fn a_folder_is_served_as_a_web_server_does_it() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("a b")).expect("a folder");
        std::fs::write(folder.path().join("a b/index.html"), "<p>index").expect("a file");
        std::fs::write(folder.path().join("n.txt"), "notes").expect("a file");
        let site = StaticSite::serve(folder.path()).expect("a port");
        let rows = [
            (
                "/a%20b/",
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 8\r\n\r\n<p>index",
            ),
            (
                "/a%20b?q=1",
                "HTTP/1.1 301 Moved Permanently\r\nLocation: /a%20b/?q=1\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                "/n.txt?x",
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nnotes",
            ),
        ];
        for (target, expected) in rows {
            assert_eq!(
                ask(&site, &format!("GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n")),
                expected
            );
        }
        for target in
            ["/", "/none", "/../Cargo.toml", "/%2e%2e/x", "/n.txt/", "/%zz", "/a%20b%5c..%5cn.txt"]
        {
            let answer = ask(&site, &format!("GET {target} HTTP/1.0\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 404 "), "{target}: {answer}");
        }
        let twice = "GET /n.txt HTTP/1.1\r\n\r\nHEAD /n.txt HTTP/1.1\r\nConnection: close\r\n\r\n";
        let answer = ask(&site, twice);
        assert_eq!(
            answer.matches("200 OK").count(),
            2,
            "both requests of one connection are answered: {answer}"
        );
        assert_eq!(answer.matches("notes").count(), 1, "HEAD has no body: {answer}");
        assert_eq!(site.hits().get("/n.txt"), Some(&2));
    }
}
