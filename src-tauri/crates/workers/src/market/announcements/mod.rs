//! What companies tell the market, as the exchange publishes it.
//!
//! There are two public ways to the same list: a page ([`html`]) and a service that the exchange's own
//! pages ask ([`json`]). Both are for private use by the terms that the exchange shows its visitors, so
//! nothing is asked before the user has accepted them, requests are a second apart, and no PDF is kept:
//! a document links to it.

mod classify;
mod events;
mod html;
mod json;
mod reaction;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use quaero_net::{Client, GetOptions, Limits, Provider, Response};
use serde::Serialize;
use url::Url;

use super::{
    calendar::{Calendar, asx},
    eodhd::failed,
    model::{DateRange, Source, Symbol},
    number::Notes,
    provider::MarketError,
};

pub use classify::{Relevance, relevance};
pub use reaction::{Anomaly, REMARKABLE_DRIFT, Reaction, Signal, anomaly, reaction};

const NAME: &str = "ASX";
/// The version of the terms that the user accepts, by the day on which they were read.
pub const TERMS: &str = "2026-04-13";
/// A company's page of a busy year is below 1 MB.
const MAX_BODY: usize = 8 << 20;
/// From one request to the next.
const SPACING: Duration = Duration::from_secs(1);
/// Items asked for at once.
const PAGE: usize = 100;
/// Pages asked for at most.
const MOST_PAGES: usize = 20;

/// One announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The exchange's number for it, such as `03082041`.
    pub id: String,
    /// When it was released.
    pub at: Timestamp,
    /// Its headline.
    pub headline: String,
    /// Whether the exchange marks it as able to move the price.
    pub sensitive: bool,
    /// The kinds that the exchange files it under.
    pub kinds: Vec<String>,
    /// Pages of its PDF.
    pub pages: Option<u32>,
    /// Size of its PDF, as the exchange writes it.
    pub size: Option<String>,
    /// The exchange's own page for its PDF, which shows the terms first.
    pub link: Option<String>,
    /// The PDF itself, where it stays.
    pub pdf: Option<String>,
}

/// Announcements, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Those that could be read.
    pub items: Vec<Announcement>,
    /// What could not.
    pub notes: Notes,
    /// Whether there are more than were asked for.
    pub cut: bool,
}

impl List {
    /// Newest first, each once, and none from outside the range (days in Sydney).
    fn tidy(mut self, range: DateRange, calendar: &Calendar) -> Self {
        self.items.retain(|item| (range.from..=range.to).contains(&calendar.date_of(item.at)));
        self.items.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| b.id.cmp(&a.id)));
        self.items.dedup_by(|a, b| a.id == b.id);
        self
    }
}

/// Where announcements come from.
#[async_trait]
pub trait Announcements: Send + Sync {
    /// Who it is.
    fn source(&self) -> Source;

    /// The announcements of a company that were released in the range, newest first.
    async fn list(&self, symbol: &Symbol, range: DateRange) -> Result<List, MarketError>;
}

/// Which of the exchange's ways is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Way {
    /// The page.
    #[default]
    Html,
    /// The service.
    Json,
}

/// The exchange's own list.
pub struct Exchange {
    client: Client,
    /// For the pages that lead to PDFs, whichever way is taken.
    pages: Client,
    site: Url,
    service: Url,
    way: Way,
    spacing: Duration,
}

impl Exchange {
    /// Asks the exchange by one of its ways: its pages (`asx`) and the service behind them
    /// (`asx_service`). Only for a user who has accepted its terms ([`TERMS`]).
    #[must_use]
    pub fn new(way: Way, site: &Provider, service: &Provider) -> Self {
        let limits = Limits { body_bytes: MAX_BODY, ..Limits::default() };
        let pages = site.client(limits.clone());
        let client = match way {
            Way::Html => site.client(limits),
            Way::Json => service.client(limits),
        };
        let (site, service) = (site.base_url.clone(), service.base_url.clone());
        // An emulator on this computer need not be spared.
        let own = match way {
            Way::Html => &site,
            Way::Json => &service,
        };
        let near = own.host_str().is_some_and(|host| host == "127.0.0.1");
        let spacing = if near { Duration::ZERO } else { SPACING };
        Self { client, pages, site, service, way, spacing }
    }

    /// The same, which tells of each request it makes.
    #[must_use]
    pub fn accounted(mut self, account: quaero_net::Account) -> Self {
        self.client = self.client.accounted(account.clone());
        self.pages = self.pages.accounted(account);
        self
    }

    /// Looks up where the PDFs of announcements stay: of so many that have no such address yet, those
    /// that matter most first. Their pages are asked for one after the other.
    ///
    /// # Errors
    /// Says why no more can be looked up; what was found by then stays.
    pub async fn find_pdfs(
        &self,
        items: &mut [Announcement],
        most: usize,
    ) -> Result<(), MarketError> {
        let mut open: Vec<&mut Announcement> =
            items.iter_mut().filter(|item| item.pdf.is_none() && item.link.is_some()).collect();
        // The order of those that matter alike stays: the newest first.
        open.sort_by_key(|item| std::cmp::Reverse(relevance(&item.headline, item.sensitive)));
        for item in open.into_iter().take(most) {
            let Some(url) = item.link.as_deref().and_then(|link| link.parse().ok()) else {
                continue;
            };
            tokio::time::sleep(self.spacing).await;
            let page = self.page(&self.pages, &url, "text/html").await?;
            item.pdf = html::pdf(&page, &self.site);
        }
        Ok(())
    }

    async fn page(
        &self,
        client: &Client,
        url: &Url,
        accept: &'static str,
    ) -> Result<String, MarketError> {
        let options = GetOptions { accept, ..GetOptions::default() };
        let response = client.get(url, &options).await.map_err(|error| failed(&error))?;
        let text = quaero_net::decode(&response.body, response.content_type.as_deref()).0;
        judge(&response, text)
    }

    async fn html(&self, symbol: &Symbol, range: DateRange) -> Result<List, MarketError> {
        let mut list = List::default();
        let mut known = false;
        for (at, frame) in html::frames(range).into_iter().enumerate() {
            if at > 0 {
                tokio::time::sleep(self.spacing).await;
            }
            let url = html::address(&self.site, symbol, &frame);
            let page = self.page(&self.client, &url, "text/html").await?;
            if html::read(&page, &self.site, &mut list) {
                known = true;
            }
        }
        if known { Ok(list) } else { Err(unknown(symbol)) }
    }

    async fn json(&self, symbol: &Symbol, range: DateRange) -> Result<List, MarketError> {
        const JSON: &str = "application/json";
        let answer = self.page(&self.client, &json::search(&self.service, symbol), JSON).await?;
        let entity = json::entity(&answer, symbol)?.ok_or_else(|| unknown(symbol))?;
        let mut list = List::default();
        for page in 0..MOST_PAGES {
            tokio::time::sleep(self.spacing).await;
            let answer =
                self.page(&self.client, &json::page(&self.service, &entity, page), JSON).await?;
            let total = json::read(&answer, symbol, &self.site, &mut list)?;
            let oldest = list.items.iter().map(|item| item.at).min();
            let passed = oldest.is_some_and(|at| asx().date_of(at) < range.from);
            if (page + 1) * PAGE >= total || passed {
                return Ok(list);
            }
        }
        list.cut = true;
        Ok(list)
    }
}

fn unknown(symbol: &Symbol) -> MarketError {
    MarketError::UnknownSymbol { provider: NAME, symbol: symbol.code().to_owned() }
}

/// A page's text, if it is the page that was asked for.
fn judge(response: &Response, text: String) -> Result<String, MarketError> {
    let start = text.get(..text.len().min(8192)).unwrap_or(&text).to_ascii_lowercase();
    if start.contains("incapsula incident id") || start.contains("_incapsula_resource") {
        return Err(MarketError::Blocked { provider: NAME });
    }
    match response.status {
        200 => Ok(text),
        403 => Err(MarketError::Blocked { provider: NAME }),
        429 => {
            let wait = response.retry_after.unwrap_or(Duration::from_secs(60));
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            Err(MarketError::TooManyRequests { provider: NAME, wait_ms })
        }
        status @ 500..=599 => Err(MarketError::Unavailable { provider: NAME, status }),
        status => Err(MarketError::Rejected {
            what: response.url.to_string(),
            said: format!("status {status}."),
        }),
    }
}

#[async_trait]
impl Announcements for Exchange {
    fn source(&self) -> Source {
        Source { name: NAME.to_owned(), id: "asx", synthetic: false }
    }

    async fn list(&self, symbol: &Symbol, range: DateRange) -> Result<List, MarketError> {
        let list = match self.way {
            Way::Html => self.html(symbol, range).await?,
            Way::Json => self.json(symbol, range).await?,
        };
        Ok(list.tidy(range, asx()))
    }
}

/// The page that shows an announcement's PDF after its terms.
fn link(site: &Url, id: &str) -> Option<String> {
    let mut url = site.join("asx/v2/statistics/displayAnnouncement.do").ok()?;
    url.query_pairs_mut().append_pair("display", "pdf").append_pair("idsId", id);
    Some(url.into())
}

#[cfg(test)]
mod tests;
