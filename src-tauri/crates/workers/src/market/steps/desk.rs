//! What the market's workers share: the vendor and what is known of its limits, the prices of indices
//! that a run has fetched, and what stored documents already tell.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use quaero_contract::{JobId, LogLevel};
use quaero_engine::work::{JobContext, Outcome, TaskError};
use quaero_net::Providers;
use quaero_store::{DocumentId, NewDocument};
use serde_json::Value;
use tokio::sync::Mutex;

use super::config::{Period, Released, Shared};
use crate::{
    market::{
        calendar::asx,
        document::{self, ANNOUNCEMENTS, INDEX, STOCK},
        eodhd::{Eodhd, SharedRate},
        model::{
            Bar, DateRange, Dividend, Events, Fundamentals, Missing, News, Part, Quote, Series,
            Source, Split, Symbol,
        },
        provider::{MarketData, MarketError},
        synthetic::Synthetic,
    },
    services::{accounted, fresh_document, not_set_up, provided, stored},
};

/// What the workers share.
pub(super) struct Desk {
    pub(super) providers: Arc<dyn Providers>,
    rate: SharedRate,
    indices: Mutex<HashMap<Symbol, Fetched>>,
}

/// The prices of an index that a run has fetched.
struct Fetched {
    run: JobId,
    /// The last session that should have been out.
    session: Option<Date>,
    days: DateRange,
    series: Series,
}

impl Desk {
    pub(super) fn new(providers: Arc<dyn Providers>) -> Self {
        Self { providers, rate: SharedRate::default(), indices: Mutex::default() }
    }

    /// The provider that a step names. The prices of an index may be those of a document that is
    /// younger than so many hours.
    pub(super) async fn market<'a>(
        &'a self,
        job: &'a JobContext,
        config: &(dyn Shared + Sync),
        hours: u32,
        now: Timestamp,
    ) -> Result<Box<dyn MarketData + 'a>, TaskError> {
        if config.is_synthetic() {
            return Ok(Box::new(synthetic(config, now)));
        }
        let provider = self.providers.find("eodhd").await.map_err(|error| {
            let error = not_set_up(&error);
            let hint = "To try the step with invented data, write `provider = \"synthetic\"`.";
            TaskError { message: format!("{} {hint}", error.message), ..error }
        })?;
        let client = Eodhd::new(provider, job.clock(), self.rate.clone());
        let vendor = client.map_err(|error| not_set_up(&error))?.accounted(accounted(job));
        Ok(Box::new(Sharing { vendor, desk: self, job, hours, now }))
    }
}

/// The invented market of a step.
pub(super) fn synthetic(config: &dyn Shared, now: Timestamp) -> Synthetic {
    let (seed, defects) = config.market();
    Synthetic::new(seed, now).with_defects(defects)
}

/// The vendor, which is asked for an index once in a run, and not at all if a fresh document has it.
struct Sharing<'a> {
    vendor: Eodhd,
    desk: &'a Desk,
    job: &'a JobContext,
    hours: u32,
    now: Timestamp,
}

#[async_trait]
impl MarketData for Sharing<'_> {
    fn source(&self) -> Source {
        self.vendor.source()
    }

    async fn prices(&self, symbol: &Symbol, range: DateRange) -> Result<Series, MarketError> {
        if !symbol.is_index() {
            return self.vendor.prices(symbol, range).await;
        }
        // Held while the vendor is asked, so that those who come meanwhile find the answer.
        let mut known = self.desk.indices.lock().await;
        let session = asx().expected(self.now).map(|session| session.date);
        let run = self.job.run_id;
        if let Some(fetched) = known.get(symbol)
            && (fetched.run, fetched.session) == (run, session)
            && fetched.days.from <= range.from
            && range.to <= fetched.days.to
        {
            let mut series = fetched.series.clone();
            series.bars.retain(|bar| range.from <= bar.date && bar.date <= range.to);
            return Ok(series);
        }
        let stored = stored_bars(self.job, (INDEX, symbol), range.from, self.hours, self.now).await;
        let series = match stored {
            Ok(Some((id, bars))) => Series { bars, document: Some(id), ..Series::default() },
            // What cannot be read is asked for.
            Ok(None) | Err(_) => self.vendor.prices(symbol, range).await?,
        };
        let fetched = Fetched { run, session, days: range, series: series.clone() };
        known.insert(symbol.clone(), fetched);
        Ok(series)
    }

    async fn quote(&self, symbol: &Symbol) -> Result<Quote, MarketError> {
        self.vendor.quote(symbol).await
    }

    async fn dividends(
        &self,
        symbol: &Symbol,
        range: DateRange,
    ) -> Result<Vec<Dividend>, MarketError> {
        self.vendor.dividends(symbol, range).await
    }

    async fn splits(&self, symbol: &Symbol, range: DateRange) -> Result<Vec<Split>, MarketError> {
        self.vendor.splits(symbol, range).await
    }

    async fn fundamentals(&self, symbol: &Symbol) -> Result<Fundamentals, MarketError> {
        self.vendor.fundamentals(symbol).await
    }

    async fn news(&self, symbol: &Symbol, range: DateRange) -> Result<Vec<News>, MarketError> {
        self.vendor.news(symbol, range).await
    }

    fn calls(&self) -> u32 {
        self.vendor.calls()
    }
}

/// The bars of a document of the vendor that is younger than so many hours, has the last session that
/// should be out, begins by `from`, and has no errors in its prices; and which document that is.
async fn stored_bars(
    job: &JobContext,
    (kind, symbol): (&str, &Symbol),
    from: Date,
    hours: u32,
    now: Timestamp,
) -> Result<Option<(DocumentId, Vec<Bar>)>, TaskError> {
    for period in Period::ALL {
        let id = document::source_id(symbol, "eodhd", period.name());
        let Some((number, document)) = provided(job, (kind, &id)).await? else { continue };
        let age_ms = now.as_millisecond() - document.fetched_ms;
        let report = document.metadata.get("quality").and_then(|q| q.pointer("/report/technicals"));
        if !(0..i64::from(hours) * 3_600_000).contains(&age_ms) || report != Some(&true.into()) {
            continue;
        }
        let Some((days, mut bars)) = document::kept(&document.metadata) else { continue };
        let last = bars.last().and_then(|bar| asx().sessions_behind(bar.date, now));
        if last == Some(0) && days.from <= from {
            bars.retain(|bar| from <= bar.date);
            return Ok(Some((number, bars)));
        }
    }
    Ok(None)
}

/// The usable prices of a stock from a document that needs no renewal, if they begin by `from` and
/// have no errors; and which document that is.
pub(super) async fn stored_stock(
    job: &JobContext,
    config: &(dyn Shared + Sync),
    symbol: &Symbol,
    from: Date,
    now: Timestamp,
) -> Result<Option<(DocumentId, Vec<Bar>)>, TaskError> {
    if config.is_synthetic() {
        return Ok(None);
    }
    stored_bars(job, (STOCK, symbol), from, config.usable_hours(), now).await
}

/// A known document of the same request that is still fresh. It is saved again as it is, so that it
/// gets this step's tags.
pub(super) async fn fresh(
    job: &JobContext,
    source: (&str, &str),
    request_hash: &str,
    config: &(dyn Shared + Sync),
    still_true: impl Fn(&NewDocument) -> bool,
) -> Result<Option<Outcome>, TaskError> {
    let hours = config.usable_hours();
    let Some(document) = fresh_document(job, source, request_hash, hours).await? else {
        return Ok(None);
    };
    if !is_current(&document, super::worker::now(job)?) || !still_true(&document) {
        return Ok(None);
    }
    job.log(LogLevel::Info, format!("{} is still fresh.", document.title));
    Ok(Some(Outcome { documents: vec![document], ..Outcome::default() }))
}

/// Whether a document is whole, and no session has been published since it was made.
fn is_current(document: &NewDocument, now: Timestamp) -> bool {
    let whole = document.metadata.get("complete") == Some(&Value::Bool(true));
    let session = |at: Timestamp| asx().expected(at).map(|session| session.date);
    let fetched = Timestamp::from_millisecond(document.fetched_ms).ok();
    whole && fetched.is_some_and(|fetched| session(fetched) == session(now))
}

/// The documents of a company's announcements, of whatever period.
async fn stored_announcements(
    job: &JobContext,
    symbol: &Symbol,
) -> Result<Vec<NewDocument>, TaskError> {
    let mut documents = Vec::new();
    for period in Released::ALL {
        let id = document::source_id(symbol, "asx", period.name());
        documents.extend(stored(job, (ANNOUNCEMENTS, &id)).await?);
    }
    Ok(documents)
}

/// The addresses of PDFs that stored announcements have, by the number of the announcement.
pub(super) async fn stored_pdfs(
    job: &JobContext,
    symbol: &Symbol,
) -> Result<HashMap<String, String>, TaskError> {
    let documents = stored_announcements(job, symbol).await?;
    Ok(documents.iter().flat_map(|document| document::pdfs(&document.metadata)).collect())
}

/// What the stored announcements of a company explain of its prices.
pub(super) async fn stored_events(
    job: &JobContext,
    symbol: &Symbol,
) -> Result<Part<Events>, TaskError> {
    let mut known: Option<Events> = None;
    for document in stored_announcements(job, symbol).await? {
        if let Some(events) = document.metadata.get("events").and_then(Events::read) {
            known.get_or_insert_default().merge(events);
        }
    }
    Ok(known.ok_or_else(|| Missing {
        code: "not_collected",
        reason: format!("The announcements of {symbol} have not been collected."),
    }))
}

/// Whether announcements that came later may explain what a document calls an error.
pub(super) fn may_be_explained(document: &NewDocument, events: &Part<Events>) -> bool {
    let Ok(events) = events else { return false };
    let checks = document.metadata.get("quality").and_then(|q| q.pointer("/report/checks"));
    let explainable = |check: &Value| {
        check["severity"] == "error"
            && ["jump", "split.unadj", "gap.missing"].iter().any(|id| check["check_id"] == **id)
    };
    let known = document.metadata.get("events_hash").and_then(Value::as_str);
    known != Some(document::events_hash(events).as_str())
        && checks.and_then(Value::as_array).is_some_and(|checks| checks.iter().any(explainable))
}
