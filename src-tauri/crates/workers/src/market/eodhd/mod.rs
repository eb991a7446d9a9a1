//! EODHD, a vendor of end-of-day data: <https://eodhd.com>.
//!
//! The key is the user's. It travels in a header, so that no address holds it.

mod wire;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use quaero_engine::Clock;
use quaero_net::{
    Client, ExposeSecret as _, Limits, NetError, Provider, ProviderError, Reply, SecretString,
    ServiceRequest,
};
use serde_json::Value;

use super::{
    model::{DateRange, Dividend, Fundamentals, News, Quote, Series, Source, Split, Symbol},
    provider::{MarketData, MarketError},
};

pub use wire::Account;

const NAME: &str = "EODHD";
/// Decades of daily prices are below 2 MB, the largest accounts below 4 MB.
const MAX_BODY: usize = 16 << 20;
/// Articles asked for at once.
const NEWS_LIMIT: &str = "50";
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// What the vendor charges for a request, in calls of the day's allowance.
mod cost {
    pub(super) const SMALL: u32 = 1;
    pub(super) const NEWS: u32 = 10;
    pub(super) const FUNDAMENTALS: u32 = 10;
}

/// What the vendor said last about an account's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a minute.
    pub limit: Option<u32>,
    /// Left of them.
    pub remaining: Option<u32>,
    /// When it was said, in milliseconds since 1970.
    pub at_ms: i64,
    /// Until when the day's calls are used up, in milliseconds since 1970.
    pub used_up_until_ms: Option<i64>,
    /// Of which account, by a hash of its key.
    account: Option<blake3::Hash>,
}

/// What an account's clients know of its limits. What one is told, all keep to.
pub type SharedRate = Arc<Mutex<RateLimit>>;

/// A client of EODHD.
pub struct Eodhd {
    client: Client,
    provider: Provider,
    key: SecretString,
    clock: Arc<dyn Clock>,
    used: AtomicU32,
    rate: SharedRate,
}

impl Eodhd {
    /// A client of the vendor as the user has set it up. Clients of one account share what the vendor
    /// says about its limit.
    ///
    /// # Errors
    /// Without a key.
    pub fn new(
        provider: Provider,
        clock: Arc<dyn Clock>,
        rate: SharedRate,
    ) -> Result<Self, ProviderError> {
        let key = provider.key()?.clone();
        let client = provider.client(Limits { body_bytes: MAX_BODY, ..Limits::default() });
        let account = Some(blake3::hash(key.expose_secret().as_bytes()));
        {
            let mut known = rate.lock().unwrap_or_else(PoisonError::into_inner);
            if known.account != account {
                *known = RateLimit { account, ..RateLimit::default() };
            }
        }
        Ok(Self { client, provider, key, clock, used: AtomicU32::new(0), rate })
    }

    /// The same client, which tells of each request it makes.
    #[must_use]
    pub fn accounted(mut self, account: quaero_net::Account) -> Self {
        self.client = self.client.accounted(account);
        self
    }

    /// What the vendor said last about the account's limits.
    #[must_use]
    pub fn rate_limit(&self) -> RateLimit {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the account may ask and has asked today. Costs nothing.
    ///
    /// # Errors
    /// If the key does not work or the service cannot be asked.
    pub async fn account(&self) -> Result<Account, MarketError> {
        let answer = self.get(Request { what: "the account", ..Request::of("user", &[]) }).await?;
        wire::account(&answer)
    }

    async fn get(&self, request: Request<'_>) -> Result<Value, MarketError> {
        self.keep_to_limits(&request)?;
        let mut url = self.provider.url(&request.path);
        url.query_pairs_mut().append_pair("fmt", "json").extend_pairs(&request.query);
        let asking =
            ServiceRequest::get(url).bearer(self.key.clone()).total(Duration::from_secs(45));
        let reply = self.client.ask(asking).await.map_err(|error| failed(&error))?;
        self.note_rate(&reply);
        let wait = reply.retry_after();
        let response = reply.read().await.map_err(|error| failed(&error))?;
        let body = String::from_utf8_lossy(&response.body);
        let result = self.judge(&request, response.status, &body, wait);
        if let Err(MarketError::QuotaUsedUp { until, .. }) = &result {
            let until = Some(until.as_millisecond());
            self.rate.lock().unwrap_or_else(PoisonError::into_inner).used_up_until_ms = until;
        }
        let cost = match &result {
            Ok(_) | Err(MarketError::Unreadable { .. }) => request.cost,
            Err(MarketError::UnknownSymbol { .. }) => cost::SMALL,
            Err(_) => 0,
        };
        self.used.fetch_add(cost, Ordering::Relaxed);
        result
    }

    /// An answer as JSON, or what it says instead. Errors come as plain text, also with status 200.
    fn judge(
        &self,
        request: &Request<'_>,
        status: u16,
        body: &str,
        wait: Option<Duration>,
    ) -> Result<Value, MarketError> {
        let what = || format!("{} of {}", request.what, request.subject());
        let said = || excerpt(body);
        let lower = body.get(..400.min(body.len())).unwrap_or_default().to_ascii_lowercase();
        match status {
            401 => return Err(MarketError::KeyRefused { provider: NAME }),
            402 => return Err(self.used_up()),
            403 => return Err(MarketError::NotInPlan { what: what(), said: said() }),
            404 => return Err(request.unknown()),
            429 => {
                let wait = wait.map_or(MINUTE_MS.unsigned_abs(), |wait| {
                    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
                });
                return Err(MarketError::TooManyRequests { provider: NAME, wait_ms: wait });
            }
            500..=599 => return Err(MarketError::Unavailable { provider: NAME, status }),
            200 => {}
            _ => return Err(MarketError::Rejected { what: what(), said: said() }),
        }
        if !body.trim_start().starts_with(['{', '[']) {
            return Err(if lower.contains("exceeded your daily api") {
                self.used_up()
            } else if lower.contains("unauthenticated") || lower.contains("unauthorized") {
                MarketError::KeyRefused { provider: NAME }
            } else if lower.contains("free users") || lower.contains("subscription") {
                MarketError::NotInPlan { what: what(), said: said() }
            } else if lower.contains("ticker not found") || lower.contains("symbol not found") {
                request.unknown()
            } else {
                let reason = format!("it is no JSON but begins with `{}`", said());
                MarketError::Unreadable { what: what(), reason }
            });
        }
        let value: Value = serde_json::from_str(body).map_err(|error| MarketError::Unreadable {
            what: what(),
            reason: format!("it is no valid JSON: {error}"),
        })?;
        let refusal = ["errors", "error"].iter().find(|key| !value[**key].is_null());
        match refusal {
            Some(key) => {
                Err(MarketError::Rejected { what: what(), said: excerpt(&value[*key].to_string()) })
            }
            None => Ok(value),
        }
    }

    /// Refuses what the vendor would refuse. What costs nothing may be asked at any time of the day.
    fn keep_to_limits(&self, request: &Request<'_>) -> Result<(), MarketError> {
        let rate = self.rate_limit();
        let now = self.clock.now_ms();
        if request.cost > 0 && rate.used_up_until_ms.is_some_and(|until| now < until) {
            return Err(self.used_up());
        }
        let since = now.saturating_sub(rate.at_ms);
        if rate.remaining == Some(0) && (0..MINUTE_MS).contains(&since) {
            let wait_ms = (MINUTE_MS - since).unsigned_abs();
            return Err(MarketError::TooManyRequests { provider: NAME, wait_ms });
        }
        Ok(())
    }

    /// Calls are counted anew from midnight UTC.
    fn used_up(&self) -> MarketError {
        let midnight = (self.clock.now_ms().div_euclid(DAY_MS) + 1) * DAY_MS;
        let until = Timestamp::from_millisecond(midnight).unwrap_or(Timestamp::MAX);
        MarketError::QuotaUsedUp { provider: NAME, until }
    }

    fn note_rate(&self, reply: &Reply) {
        let number = |name| reply.header(name).and_then(|text| text.trim().parse().ok());
        let (limit, remaining) = (number("x-ratelimit-limit"), number("x-ratelimit-remaining"));
        if remaining.is_some() {
            let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
            *rate = RateLimit { limit, remaining, at_ms: self.clock.now_ms(), ..*rate };
        }
    }
}

/// The beginning of what a server said, on one line.
fn excerpt(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// An error of the connection.
pub(super) fn failed(error: &NetError) -> MarketError {
    MarketError::Net {
        message: error.to_string(),
        code: error.code(),
        transient: error.is_transient(),
    }
}

/// One request.
struct Request<'a> {
    what: &'a str,
    symbol: Option<&'a Symbol>,
    path: String,
    query: Vec<(&'static str, String)>,
    cost: u32,
}

impl<'a> Request<'a> {
    fn of(path: &str, query: &[(&'static str, String)]) -> Self {
        Self { what: "", symbol: None, path: path.to_owned(), query: query.to_vec(), cost: 0 }
    }

    /// A request about a symbol. Its parts are letters and digits, and need no escape.
    fn about(what: &'a str, endpoint: &str, symbol: &'a Symbol, cost: u32) -> Self {
        let path = format!("{endpoint}/{symbol}");
        Self { what, symbol: Some(symbol), path, query: Vec::new(), cost }
    }

    fn within(mut self, range: DateRange) -> Self {
        self.query.push(("from", range.from.to_string()));
        self.query.push(("to", range.to.to_string()));
        self
    }

    fn subject(&self) -> String {
        self.symbol.map_or_else(|| NAME.to_owned(), ToString::to_string)
    }

    fn unknown(&self) -> MarketError {
        MarketError::UnknownSymbol { provider: NAME, symbol: self.subject() }
    }
}

#[async_trait]
impl MarketData for Eodhd {
    fn source(&self) -> Source {
        Source { name: NAME.to_owned(), id: "eodhd", synthetic: false }
    }

    async fn prices(&self, symbol: &Symbol, range: DateRange) -> Result<Series, MarketError> {
        let mut request = Request::about("prices", "eod", symbol, cost::SMALL).within(range);
        request.query.push(("period", "d".to_owned()));
        request.query.push(("order", "a".to_owned()));
        wire::prices(&self.get(request).await?, symbol)
    }

    async fn quote(&self, symbol: &Symbol) -> Result<Quote, MarketError> {
        let request = Request::about("the recent price", "real-time", symbol, cost::SMALL);
        wire::quote(&self.get(request).await?, symbol)
    }

    async fn dividends(
        &self,
        symbol: &Symbol,
        range: DateRange,
    ) -> Result<Vec<Dividend>, MarketError> {
        let request = Request::about("dividends", "div", symbol, cost::SMALL).within(range);
        wire::dividends(&self.get(request).await?, symbol)
    }

    async fn splits(&self, symbol: &Symbol, range: DateRange) -> Result<Vec<Split>, MarketError> {
        let request = Request::about("splits", "splits", symbol, cost::SMALL).within(range);
        wire::splits(&self.get(request).await?, symbol)
    }

    async fn fundamentals(&self, symbol: &Symbol) -> Result<Fundamentals, MarketError> {
        let request = Request::about("accounts", "fundamentals", symbol, cost::FUNDAMENTALS);
        wire::fundamentals(&self.get(request).await?, symbol)
    }

    async fn news(&self, symbol: &Symbol, range: DateRange) -> Result<Vec<News>, MarketError> {
        let mut request = Request {
            what: "articles",
            symbol: Some(symbol),
            cost: cost::NEWS,
            ..Request::of("news", &[("s", symbol.to_string()), ("limit", NEWS_LIMIT.to_owned())])
        }
        .within(range);
        request.query.push(("offset", "0".to_owned()));
        wire::news(&self.get(request).await?, symbol)
    }

    fn calls(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
