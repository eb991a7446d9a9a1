//! The workers of the market's steps.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan, civil::Date};
use quaero_contract::LogLevel;
use quaero_engine::work::{JobContext, JobWorker, Outcome, TaskError};
use quaero_net::Providers;
use serde_json::{Value, json};

use super::{
    ANNOUNCEMENTS_TASK, CodeTask, INDEX, INDEX_TASK, STOCK_TASK,
    config::{AnnouncementsConfig, IndexConfig, Shared, StockConfig},
    desk::{Desk, fresh, may_be_explained, stored_events, stored_pdfs, stored_stock, synthetic},
};
use crate::{
    market::{
        announcements::{Announcements, Exchange, List},
        calendar::asx,
        document::{self, ANNOUNCEMENTS, Asked, Parts as Listed, Prices, STOCK},
        model::{BadSymbol, DateRange, Events, Missing, Series, StockBundle, Symbol},
        provider::{Parts, collect},
        quality::{Severity, assess, usable},
    },
    services::{accounted, not_set_up},
};

/// Days fetched before the period, so that an average over 200 sessions is settled at its beginning.
const WARM_UP_DAYS: i32 = 400;
/// Days before an announcement that its reaction is measured against.
const BEFORE_DAYS: i32 = 60;
/// A document of another version of the program is made anew.
const VERSION: u32 = 2;

/// When the task started.
pub(super) fn now(job: &JobContext) -> Result<Timestamp, TaskError> {
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

/// What is wrong with a stock's data and what is missing, for the run.
fn warnings(bundle: &StockBundle, now: Timestamp) -> Vec<String> {
    let report = assess(bundle, now, asx()).report;
    let errors = report.findings().into_iter().filter(|check| check.severity == Severity::Error);
    let errors =
        errors.map(|check| format!("{}: {} ({})", bundle.symbol, check.message, check.check_id));
    // What the plan does not have is no news.
    let lacking = document::lacking(bundle);
    let missing =
        lacking.iter().filter(|lacking| lacking.why.code != "not_in_plan").map(|lacking| {
            format!("{} has no {}. {}", bundle.symbol, lacking.parts(), lacking.why.reason)
        });
    errors.chain(missing).collect()
}

/// The workers of the three steps, which find the vendor and the exchange with `providers`.
#[must_use]
pub fn workers(providers: Arc<dyn Providers>) -> (StockWorker, IndexWorker, AnnouncementsWorker) {
    let desk = Arc::new(Desk::new(providers));
    (StockWorker(desk.clone()), IndexWorker(desk.clone()), AnnouncementsWorker(desk))
}

/// Does the tasks of `asx_stock_collector` steps.
pub struct StockWorker(Arc<Desk>);

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
        let known = fresh(job, (STOCK, &id), &request_hash, &config, |document| {
            !may_be_explained(document, &events)
        });
        if let Some(outcome) = known.await? {
            return Ok(outcome);
        }
        let market = self.0.market(job, &config, config.usable_hours(), now).await?;
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
pub struct IndexWorker(Arc<Desk>);

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
        let known = fresh(job, source, &request_hash, &config, |_| true);
        if let Some(outcome) = known.await? {
            return Ok(outcome);
        }
        // This is what makes the document that others use again.
        let market = self.0.market(job, &config, 0, now).await?;
        let range = days(asx().date_of(now), config.period.span())?;
        let parts = Parts { quote: false, fundamentals: false, news: false, benchmark: None };
        let bundle = collect(&*market, &symbol, range, &parts, now).await?;
        Ok(outcome(job, &bundle, period, request_hash, market.calls(), now))
    }
}

/// Does the tasks of `asx_announcements` steps.
pub struct AnnouncementsWorker(Arc<Desk>);

impl AnnouncementsWorker {
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
        let mut list = exchange.list(symbol, range).await?;
        let known = stored_pdfs(job, symbol).await?;
        for item in &mut list.items {
            item.pdf = known.get(&item.id).cloned();
        }
        let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let shown = list.items.len().min(size(config.limit));
        let found = exchange.find_pdfs(&mut list.items[..shown], size(config.pdf_links)).await;
        if let Err(error) = found {
            // The list stands without them.
            job.log(LogLevel::Warn, format!("{symbol}: the addresses of PDFs: {error}"));
        }
        Ok((exchange.source(), list))
    }

    /// The usable prices of the stock, and those of the index. The vendor is asked only for what no
    /// fresh document has.
    async fn prices(
        &self,
        job: &JobContext,
        config: &AnnouncementsConfig,
        symbol: &Symbol,
        range: DateRange,
        events: Events,
        now: Timestamp,
    ) -> Prices {
        let from = range.from.checked_sub(BEFORE_DAYS.days()).unwrap_or(range.from);
        let stock = stored_stock(job, config, symbol, from, now).await;
        let market = self.0.market(job, config, config.usable_hours(), now).await;
        if let Ok(Some((id, bars))) = stock {
            let (mut index, mut provider) = (Series::default(), String::new());
            if let (Ok(market), Ok(symbol)) = (market, Symbol::index(INDEX)) {
                let days = DateRange { from, to: range.to };
                index = market.prices(&symbol, days).await.unwrap_or_default();
                provider = market.source().name;
            }
            return Prices {
                stock: Ok(bars),
                index: usable(&index, now, asx()),
                provider,
                stock_document: Some(id),
                index_document: index.document,
            };
        }
        let market = match market {
            Ok(market) => market,
            Err(error) => return Prices::missing("not_set_up", error.message),
        };
        let range = match days(range.to, range.to - range.from) {
            Ok(range) => range,
            Err(error) => return Prices::missing("bad_clock", error.message),
        };
        let benchmark = Symbol::index(INDEX).ok();
        let parts = Parts { quote: false, fundamentals: false, news: false, benchmark };
        let mut bundle = match collect(&*market, symbol, range, &parts, now).await {
            Ok(bundle) => bundle,
            Err(error) => return Prices::missing(error.code(), error.to_string()),
        };
        bundle.events = Ok(events);
        let assessment = assess(&bundle, now, asx());
        let reason = "The prices have errors, so nothing is said about what they did.";
        let bad = Missing { code: "bad_prices", reason: reason.to_owned() };
        Prices {
            stock: if assessment.report.technicals { Ok(assessment.bars) } else { Err(bad) },
            index: assessment.index,
            provider: bundle.source.name,
            stock_document: None,
            index_document: bundle.benchmark.ok().and_then(|(_, series)| series.document),
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
        let request_hash = hash(&json!([
            config.provider,
            config.route,
            config.period,
            config.limit,
            config.pdf_links,
            seed
        ]));
        let period = config.period.name();
        let provider_id = if config.is_synthetic() { "synthetic" } else { "asx" };
        let id = document::source_id(&symbol, provider_id, period);
        let source = (ANNOUNCEMENTS, id.as_str());
        let known = fresh(job, source, &request_hash, &config, |_| true);
        if let Some(outcome) = known.await? {
            return Ok(outcome);
        }
        let today = asx().date_of(now);
        let from = today.checked_sub(config.period.span()).unwrap_or(today);
        let range = DateRange { from, to: today };
        let (source, list) = self.list(job, &config, &symbol, range, now).await?;
        let events = list.events(range, asx());
        let prices = self.prices(job, &config, &symbol, range, events, now).await;
        let mut warnings = Vec::new();
        if let Err(missing) = &prices.stock {
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
            prices: &prices,
            period,
            request_hash: &request_hash,
        };
        let document = document::announcements(&parts, now, asx());
        Ok(Outcome { documents: vec![document], warnings, ..Outcome::default() })
    }
}
