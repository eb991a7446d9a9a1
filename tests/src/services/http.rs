//! The server that all emulators stand on: reads a request whole, notes it, and answers as the service
//! does, or fails as networks and proxies do.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use url::Url;

use crate::site::Site;

/// A longer request is not read.
const MOST: u64 = 1 << 20;

/// A request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// `GET`, `POST`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The query's values by name.
    pub query: BTreeMap<String, String>,
    /// The headers; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as JSON; null without one.
    pub body: Value,
}

impl Asked {
    /// A value of the query; empty without one.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A header; empty without one.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200, 429, …
    pub status: u16,
    /// Headers beside the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// What the body is.
    pub content_type: &'static str,
}

impl Reply {
    /// An answer with JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        let content_type = "application/json";
        Self { status, headers: Vec::new(), body: body.to_string(), content_type }
    }

    /// An answer with a page, as web servers give it.
    #[must_use]
    pub fn page(status: u16, body: &str) -> Self {
        let content_type = "text/html; charset=utf-8";
        Self { status, headers: Vec::new(), body: body.to_owned(), content_type }
    }

    /// With one header more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What goes wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What it answers to a key that it does not know.
    BadKey,
    /// An error of the service's own, in its words.
    Error(u16),
    /// An error of the service's own that repeats the key it was given, in its words and its headers.
    Echo(u16),
    /// The right answer, in which every text has the key at its end.
    Repeat,
    /// Something that is no JSON, with the key in it.
    NoJson,
    /// 429, and how many seconds to wait if it says so.
    TooMany(Option<u32>),
    /// The page of a server in between, with the request that it could not pass on.
    Proxy(u16),
    /// The answer ends in the middle of its JSON, as if it were whole.
    Cut,
    /// Nothing is answered until the other side gives up.
    Silent,
    /// The connection is closed before the answer.
    HangUp,
    /// The other side is sent to this address.
    Elsewhere(String),
}

/// How a service answers.
pub trait Service: Send + Sync + 'static {
    /// The right answer to a request, or the error that the request deserves.
    fn answer(&self, asked: &Asked) -> Reply;

    /// An error in the service's words.
    fn error(&self, status: u16, message: &str) -> Reply;

    /// The key that came with a request.
    fn key(&self, asked: &Asked) -> String;
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    more: Condvar,
    /// None for a right answer.
    faults: Mutex<VecDeque<Option<Fault>>>,
    always: Mutex<Option<Fault>>,
}

/// A running emulator.
pub struct Emulator {
    site: Site,
    shared: Arc<Shared>,
}

impl Emulator {
    /// Starts it.
    ///
    /// # Panics
    /// If no port can be had.
    #[must_use]
    pub fn start(service: impl Service) -> Self {
        let (service, shared) = (Arc::new(service), Arc::new(Shared::default()));
        let with = Arc::clone(&shared);
        let site = Site::start(move |stream, _| {
            serve(BufReader::new(stream), Arc::clone(&service), Arc::clone(&with))
        });
        Self { site: site.expect("a port"), shared }
    }

    /// Its address, as the settings take it.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/", self.site.base_url())
    }

    /// The next answers fail like this, one after the other.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.shared.faults).extend(faults.into_iter().map(Some));
    }

    /// So many answers are right, and the one after them fails like this.
    pub fn fail_after(&self, right: usize, fault: Fault) {
        let mut faults = lock(&self.shared.faults);
        faults.extend(std::iter::repeat_n(None, right));
        faults.push_back(Some(fault));
    }

    /// From now on all answers fail like this, or none.
    pub fn fail_always(&self, fault: Option<Fault>) {
        *lock(&self.shared.always) = fault;
    }

    /// What it was asked, from the beginning.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// Waits until it has been asked more often than this, from the beginning.
    ///
    /// # Panics
    /// If that takes 50 s.
    pub fn wait_for_more_than(&self, before: usize) {
        let (asked, few) =
            (lock(&self.shared.asked), |asked: &mut Vec<Asked>| asked.len() <= before);
        let waited = self.shared.more.wait_timeout_while(asked, Duration::from_secs(50), few);
        let (asked, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "it was asked {} times", asked.len());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve<S: Service>(
    mut stream: BufReader<TcpStream>,
    service: Arc<S>,
    shared: Arc<Shared>,
) -> io::Result<()> {
    while let Some(asked) = read(&mut stream).await? {
        lock(&shared.asked).push(asked.clone());
        shared.more.notify_all();
        let fault = lock(&shared.faults).pop_front();
        let fault = fault.unwrap_or_else(|| lock(&shared.always).clone());
        let reply = match fault {
            None => service.answer(&asked),
            Some(Fault::BadKey) => service.answer(&Asked { headers: BTreeMap::new(), ..asked }),
            Some(Fault::Error(status)) => service.error(status, "Something is wrong."),
            Some(Fault::Echo(status)) => {
                let key = service.key(&asked);
                let text = format!("The key {key} (Bearer {key}) is wrong.");
                service
                    .error(status, &text)
                    .with("www-authenticate", format!("Bearer error=\"{key}\""))
                    .with("x-request", format!("Bearer {}", STANDARD.encode(key)))
            }
            Some(Fault::Repeat) => {
                let key = service.key(&asked);
                let mut reply = service.answer(&asked);
                if let Ok(mut body) = serde_json::from_str(&reply.body) {
                    repeat(&mut body, &key);
                    reply.body = body.to_string();
                }
                reply
            }
            Some(Fault::NoJson) => {
                Reply { body: format!("{}: what?", service.key(&asked)), ..service.answer(&asked) }
            }
            Some(Fault::TooMany(wait)) => {
                let reply = service.error(429, "Too many requests.");
                match wait {
                    Some(seconds) => reply.with("retry-after", seconds.to_string()),
                    None => reply,
                }
            }
            Some(Fault::Proxy(status)) => {
                let key = service.key(&asked);
                let code = STANDARD.encode(&key);
                let percent: String =
                    url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
                Reply::page(
                    status,
                    &format!(
                        "<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1>\
                         <pre>{:?}\n?key={percent}\nBasic {code}</pre></body></html>",
                        asked.headers
                    ),
                )
            }
            Some(Fault::Cut) => {
                let mut reply = service.answer(&asked);
                let half = reply.body.floor_char_boundary(reply.body.len() / 2);
                reply.body.truncate(half);
                reply
            }
            Some(Fault::Silent) => {
                // Ends when the other side closes the connection.
                return stream.read_u8().await.map(drop);
            }
            Some(Fault::HangUp) => return Ok(()),
            Some(Fault::Elsewhere(to)) => Reply::page(302, "").with("location", to),
        };
        write(&mut stream, &reply).await?;
    }
    Ok(())
}

/// Puts the key at the end of every text.
fn repeat(value: &mut Value, key: &str) {
    match value {
        Value::String(text) => {
            text.push(' ');
            text.push_str(key);
        }
        Value::Array(list) => list.iter_mut().for_each(|value| repeat(value, key)),
        Value::Object(fields) => fields.values_mut().for_each(|value| repeat(value, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

async fn write(stream: &mut BufReader<TcpStream>, reply: &Reply) -> io::Result<()> {
    use std::fmt::Write as _;
    let mut head = format!(
        "HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
        reply.status,
        reply.content_type,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(reply.body.as_bytes()).await?;
    stream.flush().await
}

/// The next request; None at the end of the connection.
async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Asked>> {
    let mut limited = stream.take(MOST);
    let mut line = String::new();
    if limited.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let url = Url::parse(&format!("http://emulator{target}"));
    let url = url.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let mut asked = Asked {
        method: method.to_owned(),
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        ..Asked::default()
    };
    loop {
        let mut header = String::new();
        if limited.read_line(&mut header).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        asked.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = asked.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    limited.read_exact(&mut body).await?;
    asked.body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(asked))
}
