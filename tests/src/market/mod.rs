//! The outside services of the market on this computer: EODHD and the Australian exchange.
//!
//! They tell what the product's own invented market tells, in the shapes and with the surprises of the
//! real services, so that what comes out of the product can be compared with what went in. Faults are
//! switched on by name; each cites what the real service was documented or seen to do.

mod asx;
mod eodhd;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use quaero_workers::market::synthetic::Synthetic;
use tokio::{io::BufReader, net::TcpStream};

use crate::site::{Log, Site, read_request, respond};

pub use asx::AsxFault;
pub use eodhd::{EodhdFault, KEY};

/// An answer: status line, headers with a line break after each, body.
struct Answer(&'static str, String, String);

impl Answer {
    fn json(body: impl ToString) -> Self {
        Self("200 OK", "Content-Type: application/json\r\n".to_owned(), body.to_string())
    }

    fn text(status: &'static str, body: &str) -> Self {
        Self(status, "Content-Type: text/html; charset=UTF-8\r\n".to_owned(), body.to_owned())
    }

    fn page(body: String) -> Self {
        Self("200 OK", "Content-Type: text/html; charset=UTF-8\r\n".to_owned(), body)
    }
}

/// One request, taken apart.
struct Asked {
    path: Vec<String>,
    query: BTreeMap<String, String>,
    authorization: Option<String>,
}

impl Asked {
    fn new(target: &str, authorization: Option<String>) -> Option<Self> {
        let url = url::Url::parse("http://emulator").ok()?.join(target).ok()?;
        let path = url.path_segments()?.map(str::to_owned).collect();
        let query = url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        Some(Self { path, query, authorization })
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str)
    }
}

/// What an emulator tells and how it misbehaves; shared with its server.
struct State<F> {
    market: Mutex<Arc<Synthetic>>,
    faults: Mutex<Vec<F>>,
}

impl<F: Copy + PartialEq> State<F> {
    fn has(&self, fault: F) -> bool {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).contains(&fault)
    }

    fn market(&self) -> Arc<Synthetic> {
        self.market.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running service. It ends when it is dropped.
pub struct Service<F> {
    site: Site,
    state: Arc<State<F>>,
}

/// EODHD.
pub type Eodhd = Service<EodhdFault>;
/// The Australian exchange: its pages and the service behind them.
pub type Asx = Service<AsxFault>;

impl<F: Copy + PartialEq + Send + Sync + 'static> Service<F> {
    fn serve(
        seed: u64,
        now: Timestamp,
        answer: fn(&State<F>, &Asked) -> Answer,
    ) -> io::Result<Self> {
        let market = Mutex::new(Arc::new(Synthetic::new(seed, now)));
        let state = Arc::new(State { market, faults: Mutex::default() });
        let shared = state.clone();
        let site = Site::start(move |stream, log| {
            handle(BufReader::new(stream), log, shared.clone(), answer)
        })?;
        Ok(Self { site, state })
    }

    /// `http://127.0.0.1:PORT/api/` and the like.
    #[must_use]
    pub fn base(&self, path: &str) -> String {
        self.site.url(path)
    }

    /// How it misbehaves from now on.
    pub fn faults(&self, faults: &[F]) {
        *self.state.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults.to_vec();
    }

    /// The market goes on to this moment.
    pub fn at(&self, seed: u64, now: Timestamp) {
        let market = Arc::new(Synthetic::new(seed, now));
        *self.state.market.lock().unwrap_or_else(PoisonError::into_inner) = market;
    }

    /// The requests so far, path and query.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.site.hits().values().sum()
    }

    /// The requests so far whose target has this in it.
    #[must_use]
    pub fn requests_for(&self, part: &str) -> usize {
        let hits = self.site.hits();
        hits.iter().filter(|(target, _)| target.contains(part)).map(|(_, count)| count).sum()
    }

    /// The targets that were asked for.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        self.site.hits().into_keys().collect()
    }
}

async fn handle<F>(
    mut stream: BufReader<TcpStream>,
    log: Arc<Log>,
    state: Arc<State<F>>,
    answer: fn(&State<F>, &Asked) -> Answer,
) -> io::Result<()> {
    while let Some(request) = read_request(&mut stream).await? {
        log.note(&request.target);
        let Answer(status, headers, body) =
            match Asked::new(&request.target, request.authorization.clone()) {
                Some(asked) => answer(&state, &asked),
                None => Answer::text("400 Bad Request", "Bad Request"),
            };
        respond(&mut stream, &request, status, &headers, body.as_bytes()).await?;
        if !request.keep_alive {
            return Ok(());
        }
    }
    Ok(())
}
