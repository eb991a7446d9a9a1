//! The workers of the market's steps.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan, civil::Date};
use quaero_contract::LogLevel;
use quaero_engine::{
    SystemClock,
    work::{JobContext, JobWorker, Outcome, TaskError},
};
use quaero_net::Providers;
use quaero_store::NewDocument;
use serde_json::{Value, json};

use super::{
    ANNOUNCEMENTS_TASK, CodeTask, INDEX, INDEX_TASK, STOCK_TASK,
    config::{AnnouncementsConfig, IndexConfig, Released, Shared, StockConfig},
};
use crate::{
    market::{
        announcements::{Announcements, Exchange, List},
        calendar::asx,
        document::{self, ANNOUNCEMENTS, Asked, Parts as Listed, STOCK},
        eodhd::{Eodhd, SharedRate},
        model::{BadSymbol, Bar, DateRange, Events, Missing, Part, StockBundle, Symbol},
        provider::{MarketData, Parts, collect},
        quality::{Severity, assess},
        synthetic::Synthetic,
    },
    services::{accounted, fresh_document, not_set_up, stored},
};

/// Days fetched before the period, so that an average over 200 sessions is settled at its beginning.
const WARM_UP_DAYS: i32 = 400;
/// A document of another version of the program is made anew.
const VERSION: u32 = 2;

/// What the workers share.
struct Desk {
    providers: Arc<dyn Providers>,
    rate: SharedRate,
}

impl Desk {
    fn new(providers: Arc<dyn Providers>) -> Self {
        Self { providers, rate: SharedRate::default() }
    }

    /// The provider that a step names.
    async fn market(
        &self,
        job: &JobContext,
        config: &(dyn Shared + Sync),
        now: Timestamp,
    ) -> Result<Box<dyn MarketData>, TaskError> {
        if config.is_synthetic() {
            return Ok(Box::new(synthetic(config, now)));
        }
        let provider = self.providers.find("eodhd").await.map_err(|error| {
            let error = not_set_up(&error);
            let hint = "To try the step with invented data, write `provider = \"synthetic\"`.";
            TaskError { message: format!("{} {hint}", error.message), ..error }
        })?;
        let client = Eodhd::new(provider, Arc::new(SystemClock), self.rate.clone());
        Ok(Box::new(client.map_err(|error| not_set_up(&error))?.accounted(accounted(job))))
    }
}

fn synthetic(config: &dyn Shared, now: Timestamp) -> Synthetic {
    let (seed, defects) = config.market();
    Synthetic::new(seed, now).with_defects(defects)
}

fn now(job: &JobContext) -> Result<Timestamp, TaskError> {
    Timestamp::from_millisecond(job.now_ms()).map_err(|error| {
        TaskError::permanent("bad_clock", format!("The computer's clock is wrong: {error}."))
    })
}

fn symbol(
    job: &JobContext,
    read: fn(&str) -> Result<Symbol, BadSymbol>,
) -> Result<Symbol, TaskError> {
    let CodeTask { code } = job.payload()?;
    read(&code).map_err(|error| TaskError::permanent("bad_code", format!("{error}.")))
}

/// The days of a period that ends today, with those that indicators need before it.
fn days(today: Date, period: jiff::Span) -> Result<DateRange, TaskError> {
    let from = today.checked_sub(period).and_then(|day| day.checked_sub(WARM_UP_DAYS.days()));
    let from = from.map_err(|error| {
        TaskError::permanent("bad_clock", format!("The period cannot be reckoned: {error}."))
    })?;
    Ok(DateRange { from, to: today })
}

fn hash(request: &Value) -> String {
    blake3::hash(json!([VERSION, request]).to_string().as_bytes()).to_hex().to_string()
}

/// A known document of the same request that is still fresh. It is saved again as it is, so that it
/// gets this step's tags.
async fn fresh(
    job: &JobContext,
    source: (&str, &str),
    request_hash: &str,
    cache_hours: u32,
    force: bool,
    still_true: impl Fn(&NewDocument) -> bool,
) -> Result<Option<Outcome>, TaskError> {
    if force {
        return Ok(None);
    }
    let Some(document) = fresh_document(job, source, request_hash, cache_hours).await? else {
        return Ok(None);
    };
    if !is_current(&document, now(job)?) || !still_true(&document) {
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

/// What the stored announcements of a company explain of its prices.
async fn stored_events(job: &JobContext, symbol: &Symbol) -> Result<Part<Events>, TaskError> {
    let mut known: Option<Events> = None;
    for period in Released::ALL {
        let id = document::source_id(symbol, "asx", period.name());
        let Some(document) = stored(job, (ANNOUNCEMENTS, &id)).await? else { continue };
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
fn may_be_explained(document: &NewDocument, events: &Part<Events>) -> bool {
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

/// What is wrong with a stock's data, for the run.
fn warnings(bundle: &StockBundle, now: Timestamp) -> Vec<String> {
    let report = assess(bundle, now, asx()).report;
    let errors = report.findings().into_iter().filter(|check| check.severity == Severity::Error);
    errors
        .map(|check| format!("{}: {} ({})", bundle.symbol, check.message, check.check_id))
        .collect()
}

/// Does the tasks of `asx_stock_collector` steps.
pub struct StockWorker(Desk);

impl StockWorker {
    /// A worker that finds the vendor here.
    #[must_use]
    pub fn new(providers: Arc<dyn Providers>) -> Self {
        Self(Desk::new(providers))
    }
}

#[async_trait]
impl JobWorker for StockWorker {
    fn task_type(&self) -> &'static str {
        STOCK_TASK
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: StockConfig = job.config()?;
        let symbol = symbol(job, Symbol::stock)?;
        let now = now(job)?;
        let benchmark = match config.benchmark.as_str() {
            "" => None,
            code => Some(Symbol::index(code).map_err(|error| {
                TaskError::permanent("bad_code", format!("The benchmark: {error}."))
            })?),
        };
        let parts = Parts {
            quote: config.quote,
            fundamentals: config.fundamentals,
            news: config.news,
            benchmark,
        };
        let (seed, defects) = config.market();
        let defects: Vec<&str> = defects.iter().map(|defect| defect.id()).collect();
        let index = parts.benchmark.as_ref().map(ToString::to_string);
        let request_hash = hash(&json!([
            config.provider,
            config.period,
            config.quote,
            config.fundamentals,
            config.news,
            index,
            seed,
            defects,
        ]));
        let provider_id = if config.is_synthetic() { "synthetic" } else { "eodhd" };
        let period = config.period.name();
        let id = document::source_id(&symbol, provider_id, period);
        let range = days(asx().date_of(now), config.period.span())?;
        let events = if config.is_synthetic() {
            let list = synthetic(&config, now).list(&symbol, range).await?;
            Ok(list.events(range, asx()))
        } else {
            stored_events(job, &symbol).await?
        };
        let known = fresh(
            job,
            (STOCK, &id),
            &request_hash,
            config.cache_hours,
            config.force_refresh,
            |document| !may_be_explained(document, &events),
        );
        if let Some(outcome) = known.await? {
            return Ok(outcome);
        }
        let market = self.0.market(job, &config, now).await?;
        let mut bundle = collect(&*market, &symbol, range, &parts, now).await?;
        bundle.events = events;
        Ok(outcome(job, &bundle, period, request_hash, market.calls(), now))
    }
}

fn outcome(
    job: &JobContext,
    bundle: &StockBundle,
    period: &str,
    request_hash: String,
    calls: u32,
    now: Timestamp,
) -> Outcome {
    let asked = Asked { period: period.to_owned(), request_hash, calls };
    let document = document::stock(bundle, &asked, now, asx());
    if calls > 0 {
        let name = &bundle.source.name;
        job.log(LogLevel::Info, format!("{}: {calls} calls to {name}.", bundle.symbol));
    }
    Outcome { documents: vec![document], warnings: warnings(bundle, now), ..Outcome::default() }
}

/// Does the tasks of `asx_index_data` steps.
pub struct IndexWorker(Desk);

impl IndexWorker {
    /// A worker that finds the vendor here.
    #[must_use]
    pub fn new(providers: Arc<dyn Providers>) -> Self {
        Self(Desk::new(providers))
    }
}

#[async_trait]
impl JobWorker for IndexWorker {
    fn task_type(&self) -> &'static str {
        INDEX_TASK
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: IndexConfig = job.config()?;
        let symbol = symbol(job, Symbol::index)?;
        let now = now(job)?;
        let (seed, _) = config.market();
        let request_hash = hash(&json!([config.provider, config.period, seed]));
        let provider_id = if config.is_synthetic() { "synthetic" } else { "eodhd" };
        let period = config.period.name();
        let id = document::source_id(&symbol, provider_id, period);
        let source = (document::INDEX, id.as_str());
        let (hours, force) = (config.cache_hours, config.force_refresh);
        let known = fresh(job, source, &request_hash, hours, force, |_| true);
        if let Some(outcome) = known.await? {
            return Ok(outcome);
        }
        let market = self.0.market(job, &config, now).await?;
        let range = days(asx().date_of(now), config.period.span())?;
        let parts = Parts { quote: false, fundamentals: false, news: false, benchmark: None };
        let bundle = collect(&*market, &symbol, range, &parts, now).await?;
        Ok(outcome(job, &bundle, period, request_hash, market.calls(), now))
    }
}

/// Does the tasks of `asx_announcements` steps.
pub struct AnnouncementsWorker(Desk);

impl AnnouncementsWorker {
    /// A worker that finds the exchange and the vendor here.
    #[must_use]
    pub fn new(providers: Arc<dyn Providers>) -> Self {
        Self(Desk::new(providers))
    }

    async fn list(
        &self,
        job: &JobContext,
        config: &AnnouncementsConfig,
        symbol: &Symbol,
        range: DateRange,
        now: Timestamp,
    ) -> Result<(crate::market::model::Source, List), TaskError> {
        if config.is_synthetic() {
            let market = synthetic(config, now);
            return Ok((Announcements::source(&market), market.list(symbol, range).await?));
        }
        let find =
            |id| async move { self.0.providers.find(id).await.map_err(|error| not_set_up(&error)) };
        let exchange =
            Exchange::new(config.route.into(), &find("asx").await?, &find("asx_service").await?)
                .accounted(accounted(job));
        Ok((exchange.source(), exchange.list(symbol, range).await?))
    }

    /// The usable prices of the stock, and those of the index.
    async fn prices(
        &self,
        job: &JobContext,
        config: &AnnouncementsConfig,
        symbol: &Symbol,
        range: DateRange,
        events: Events,
        now: Timestamp,
    ) -> (Result<Vec<Bar>, Missing>, Vec<Bar>) {
        let missing = |code, reason: String| Missing { code, reason };
        let market = match self.0.market(job, config, now).await {
            Ok(market) => market,
            Err(error) => return (Err(missing("not_set_up", error.message)), Vec::new()),
        };
        let benchmark = Symbol::index(INDEX).ok();
        let parts = Parts { quote: false, fundamentals: false, news: false, benchmark };
        let mut bundle = match collect(&*market, symbol, range, &parts, now).await {
            Ok(bundle) => bundle,
            Err(error) => return (Err(missing(error.code(), error.to_string())), Vec::new()),
        };
        bundle.events = Ok(events);
        let assessment = assess(&bundle, now, asx());
        let index = assessment.index;
        if assessment.report.technicals {
            (Ok(assessment.bars), index)
        } else {
            let reason = "The prices have errors, so nothing is said about what they did.";
            (Err(missing("bad_prices", reason.to_owned())), index)
        }
    }
}

#[async_trait]
impl JobWorker for AnnouncementsWorker {
    fn task_type(&self) -> &'static str {
        ANNOUNCEMENTS_TASK
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: AnnouncementsConfig = job.config()?;
        if let Some(problem) = config.terms_problem() {
            return Err(TaskError::permanent(problem.code, problem.message));
        }
        let symbol = symbol(job, Symbol::stock)?;
        let now = now(job)?;
        let (seed, _) = config.market();
        let request_hash =
            hash(&json!([config.provider, config.route, config.period, config.limit, seed]));
        let period = config.period.name();
        let provider_id = if config.is_synthetic() { "synthetic" } else { "asx" };
        let id = document::source_id(&symbol, provider_id, period);
        let source = (ANNOUNCEMENTS, id.as_str());
        let (hours, force) = (config.cache_hours, config.force_refresh);
        let known = fresh(job, source, &request_hash, hours, force, |_| true);
        if let Some(outcome) = known.await? {
            return Ok(outcome);
        }
        let today = asx().date_of(now);
        let from = today.checked_sub(config.period.span()).unwrap_or(today);
        let range = DateRange { from, to: today };
        let (source, list) = self.list(job, &config, &symbol, range, now).await?;
        let prices = days(today, config.period.span())?;
        let events = list.events(range, asx());
        let (bars, index) = self.prices(job, &config, &symbol, prices, events, now).await;
        let mut warnings = Vec::new();
        if let Err(missing) = &bars {
            warnings.push(format!("{symbol}: what the price did is not known. {}", missing.reason));
        }
        if list.notes.count > 0 {
            warnings
                .push(format!("{symbol}: {} announcements could not be read.", list.notes.count));
        }
        let parts = Listed {
            symbol: &symbol,
            source: &source,
            range,
            list: &list,
            limit: usize::try_from(config.limit).unwrap_or(usize::MAX),
            bars: &bars,
            index: &index,
            period,
            request_hash: &request_hash,
        };
        let document = document::announcements(&parts, now, asx());
        Ok(Outcome { documents: vec![document], warnings, ..Outcome::default() })
    }
}
