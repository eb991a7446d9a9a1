//! The document of a stock or an index.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use quaero_store::NewDocument;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{
    INDEX, STOCK, banner, document,
    format::{Sheet, Unit, change, computed, shown},
    history, metadata, origin, quality,
};
use crate::{
    market::{
        analysis::{self, Latest},
        calendar::Calendar,
        model::{Bar, Events, Missing, Part, Series, StockBundle},
        quality::{Assessment, assess},
    },
    services::{link, plain},
};

/// Rows of a list.
const MOST_ROWS: usize = 8;

/// What was asked for, for the document's identity.
#[derive(Clone, Debug)]
pub(in crate::market) struct Asked {
    /// `Y2` and its like.
    pub(in crate::market) period: String,
    /// Tells a later run whether the same was asked for.
    pub(in crate::market) request_hash: String,
    /// What it cost, in the provider's calls.
    pub(in crate::market) calls: u32,
}

/// What a document is made of.
pub(super) struct View<'a> {
    pub(super) bundle: &'a StockBundle,
    assessment: &'a Assessment,
    pub(super) currency: String,
}

/// The document of what was collected, judged as of `now`.
pub(in crate::market) fn stock(
    bundle: &StockBundle,
    asked: &Asked,
    now: Timestamp,
    calendar: &Calendar,
) -> NewDocument {
    let assessment = assess(bundle, now, calendar);
    let record = bundle.fundamentals.as_ref().ok();
    let currency = record
        .and_then(|record| record.currency.clone())
        .unwrap_or_else(|| bundle.symbol.currency().to_owned());
    let view = View { bundle, assessment: &assessment, currency };
    let kind = if bundle.symbol.is_index() { INDEX } else { STOCK };
    let name = record.and_then(|record| record.name.clone());
    let title = match &name {
        Some(name) => format!("{} {name}", bundle.symbol),
        None if bundle.symbol.is_index() => format!("{} index", bundle.symbol.local_code()),
        None => bundle.symbol.to_string(),
    };

    let mut sheet = Sheet::default();
    sheet.line(&format!("# {}", plain(&title)));
    banner(&mut sheet, &bundle.source);
    view.head(&mut sheet, now, calendar);
    view.missing(&mut sheet);
    view.prices(&mut sheet);
    if let Some(record) = record {
        view.company(&mut sheet, record);
    } else if let (Err(missing), false) = (&bundle.fundamentals, bundle.symbol.is_index()) {
        sheet.section("Company");
        sheet.line(&format!("Not available: {}", plain(&missing.reason)));
    }
    if !bundle.symbol.is_index() {
        view.dividends(&mut sheet);
    }
    view.performance(&mut sheet);
    view.indicators(&mut sheet);
    view.news(&mut sheet);
    quality(&mut sheet, &assessment.report);
    view.sources(&mut sheet, asked);

    let mut data = metadata(kind, &bundle.symbol, &bundle.source, bundle.fetched);
    view.describe(&mut data, asked, now, calendar);
    history::keep(&mut data, view.bars(), bundle.requested);
    if let Ok((_, Series { document: Some(id), .. })) = &bundle.benchmark {
        data.insert("built_from".to_owned(), json!([id]));
    }
    let identity = (&bundle.symbol, &bundle.source, asked.period.as_str());
    document(kind, identity, title, sheet, data, (bundle.fetched, &asked.request_hash))
}

/// Parts that were asked for and could not be had for the same cause.
pub(in crate::market) struct Lacking<'a> {
    /// The first of them is why.
    pub(in crate::market) why: &'a Missing,
    parts: Vec<&'static str>,
}

impl Lacking<'_> {
    /// `accounts, articles`.
    pub(in crate::market) fn parts(&self) -> String {
        self.parts.join(", ")
    }
}

/// What was asked for and could not be had.
pub(in crate::market) fn lacking(bundle: &StockBundle) -> Vec<Lacking<'_>> {
    fn why<T>(part: &Part<T>) -> Option<&Missing> {
        part.as_ref().err().filter(|missing| missing.code != "not_asked")
    }
    let parts = [
        ("dividends", why(&bundle.dividends)),
        ("splits", why(&bundle.splits)),
        ("the recent price", why(&bundle.quote)),
        ("the index to compare with", why(&bundle.benchmark)),
        ("accounts", why(&bundle.fundamentals)),
        ("articles", why(&bundle.news)),
    ];
    let mut found: Vec<Lacking<'_>> = Vec::new();
    for (name, why) in parts.into_iter().filter_map(|(name, why)| Some((name, why?))) {
        match found.iter_mut().find(|known| known.why.code == why.code) {
            Some(known) => known.parts.push(name),
            None => found.push(Lacking { why, parts: vec![name] }),
        }
    }
    found
}

/// Tells whether more is known of announcements than when a document was made.
pub(in crate::market) fn events_hash(events: &Events) -> String {
    blake3::hash(events.to_value().to_string().as_bytes()).to_hex().to_string()
}

fn utc(at: Timestamp) -> String {
    format!("{} UTC", at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M"))
}

impl View<'_> {
    pub(super) fn bars(&self) -> &[Bar] {
        &self.assessment.bars
    }

    pub(super) fn price(&self) -> Unit {
        if self.bundle.symbol.is_index() {
            Unit::Number
        } else {
            Unit::Price(self.currency.clone())
        }
    }

    fn head(&self, sheet: &mut Sheet, now: Timestamp, calendar: &Calendar) {
        let Some(last) = self.bars().last() else {
            sheet.line("No prices that can be used.");
            return;
        };
        let age = match calendar.sessions_behind(last.date, now) {
            Some(0) => "up to date".to_owned(),
            Some(1) => "1 session behind".to_owned(),
            Some(count) => format!("{count} sessions behind"),
            None => "age not known: the trading calendar ends before today".to_owned(),
        };
        sheet.line(&format!(
            "Prices as of the close of {} ({age}). Fetched {} from {}.",
            last.date,
            utc(self.bundle.fetched),
            plain(&self.bundle.source.name)
        ));
        if self.bundle.symbol.is_index() {
            sheet.line("This is a price index: dividends are not in it, so its returns are lower than what holders of its shares had.");
        }
    }

    /// What was asked for and could not be had.
    fn missing(&self, sheet: &mut Sheet) {
        for lacking in lacking(self.bundle) {
            let why = plain(&lacking.why.reason);
            sheet.line(&format!("**Missing:** {}. {why}", lacking.parts()));
        }
    }

    fn prices(&self, sheet: &mut Sheet) {
        sheet.section("Prices");
        let [.., before, last] = self.bars() else { return };
        let day = Some(last.date);
        let row = |sheet: &mut Sheet, id: &str, label: &str, value: Decimal, day| {
            sheet.fact(id, label, Some(value), self.price(), day);
        };
        row(sheet, "price.close", "Last close", last.close, day);
        row(sheet, "price.previous", "Close before", before.close, Some(before.date));
        let moved = computed(last.adjusted_f64() / before.adjusted_f64() - 1.0);
        sheet.fact("price.change", "Change, adjusted", moved, Unit::Fraction, day);
        row(sheet, "price.open", "Open", last.open, day);
        row(sheet, "price.high", "High", last.high, day);
        row(sheet, "price.low", "Low", last.low, day);
        if !self.bundle.symbol.is_index() {
            sheet.fact("price.volume", "Volume, shares", last.volume, Unit::Count, day);
        }
        let year = &self.bars()[self.bars().len().saturating_sub(analysis::YEAR)..];
        if year.len() == analysis::YEAR {
            let high = year.iter().max_by_key(|bar| bar.high);
            let low = year.iter().min_by_key(|bar| bar.low);
            if let (Some(high), Some(low)) = (high, low) {
                row(sheet, "price.high_52w", "Highest of 252 sessions", high.high, Some(high.date));
                row(sheet, "price.low_52w", "Lowest of 252 sessions", low.low, Some(low.date));
            }
        }
        match &self.bundle.quote {
            Ok(quote) if self.assessment.report.quote => {
                let at = quote.at.map_or_else(|| "at an unknown time".to_owned(), utc);
                sheet.fact("price.quote", "Recent price, delayed", quote.price, self.price(), None);
                sheet.note("Recent price taken", &at);
            }
            Ok(_) => sheet.note("Recent price", "not shown: see `fresh.quote` below"),
            Err(_) => {}
        }
    }

    fn performance(&self, sheet: &mut Sheet) {
        sheet.section("Performance");
        if !self.assessment.report.technicals {
            sheet.line("Not computed: the prices have errors (see Data quality).");
            return;
        }
        let bars = self.bars();
        let Some(last) = bars.last() else { return };
        // What is compared is of the same days.
        let compared = self.assessment.report.benchmark;
        let benchmark = self.bundle.benchmark.as_ref().ok().filter(|_| compared);
        let (own, index) = match benchmark {
            Some(_) => analysis::common(bars, &self.assessment.index),
            None => (bars.to_vec(), Vec::new()),
        };
        let end = own.last().map(|bar| bar.date);
        let rows: Vec<Vec<String>> = analysis::periods()
            .into_iter()
            .filter_map(|(name, span)| {
                let (from, gain) = analysis::performance(&own, span)?;
                let id = format!("return.{}", name.replace(' ', "_"));
                let label = format!("Return over {name}");
                sheet.keep(&id, &label, computed(gain)?, &Unit::Fraction, end);
                let mut row = vec![name.to_owned(), from.to_string(), change(gain)];
                if benchmark.is_some() {
                    let other = analysis::performance(&index, span);
                    let told = |value: fn(f64, f64) -> f64| {
                        other.map_or_else(|| "n/a".to_owned(), |(_, of)| change(value(gain, of)))
                    };
                    row.push(told(|_, other| other));
                    row.push(told(|own, other| (1.0 + own) / (1.0 + other) - 1.0));
                }
                Some(row)
            })
            .collect();
        if let (Ok((symbol, _)), false) = (&self.bundle.benchmark, compared) {
            let code = symbol.local_code();
            sheet.line(&format!("Not compared with {code} (see `bench.align` in Data quality)."));
        }
        if rows.is_empty() {
            sheet.line("There are too few prices.");
        } else if let Some((symbol, _)) = benchmark {
            if let Some(end) = end.filter(|end| *end != last.date) {
                sheet.line(&format!("Compared up to {end}, the last day that both have."));
            }
            let index = format!("{} (price index)", symbol.local_code());
            let own = "Return with dividends";
            sheet.table(&["Period", "From", own, &index, "Beyond the index"], &rows);
        } else {
            sheet.table(&["Period", "From", "Return"], &rows);
        }
        let day = Some(last.date);
        let volatility = analysis::volatility(bars).and_then(computed);
        sheet.fact("risk.volatility", "Volatility, yearly", volatility, Unit::Fraction, day);
        let year = &bars[bars.len().saturating_sub(analysis::YEAR + 1)..];
        if let Some((fall, high, low)) = analysis::drawdown(year) {
            let label = format!("Largest fall of a year ({high} to {low})");
            sheet.fact("risk.drawdown", &label, computed(fall), Unit::Fraction, day);
        }
        if benchmark.is_some() {
            let beta = analysis::beta(&own, &index).and_then(computed);
            sheet.fact("risk.beta", "Beta, 252 sessions", beta, Unit::Number, end);
        }
        let moves = analysis::big_moves(year);
        if !moves.is_empty() {
            let rows: Vec<Vec<String>> =
                moves.iter().map(|(day, by)| vec![day.to_string(), change(*by)]).collect();
            sheet.table(&["Large moves of a year", "Change"], &rows);
        }
    }

    fn indicators(&self, sheet: &mut Sheet) {
        sheet.section("Indicators");
        if !self.assessment.report.technicals {
            sheet.line("Not computed: the prices have errors (see Data quality).");
            return;
        }
        let Some(last) = self.bars().last() else { return };
        sheet.line("Computed on prices adjusted for splits and dividends; n/a where there are too few of them (see `hist.min`: RSI and the trend need 150 bars).");
        let latest = Latest::of(self.bars());
        let day = Some(last.date);
        let mut fact = |id: &str, label: &str, value: Option<f64>, unit| {
            sheet.fact(id, label, value.and_then(computed), unit, day);
        };
        let price = || self.price();
        for (value, period) in latest.sma.into_iter().zip([20, 50, 200]) {
            fact(&format!("ta.sma{period}"), &format!("SMA {period}"), value, price());
        }
        fact("ta.ema20", "EMA 20", latest.ema20, price());
        fact("ta.rsi14", "RSI 14 (Wilder)", latest.rsi, Unit::Number);
        for (value, (id, label)) in latest.macd.into_iter().zip([
            ("ta.macd", "MACD 12/26/9"),
            ("ta.macd_signal", "MACD signal"),
            ("ta.macd_histogram", "MACD histogram"),
        ]) {
            fact(id, label, value, price());
        }
        for (value, (id, label)) in latest.bands.into_iter().zip([
            ("ta.bollinger_upper", "Bollinger 20/2, upper"),
            ("ta.bollinger_middle", "Bollinger 20/2, middle"),
            ("ta.bollinger_lower", "Bollinger 20/2, lower"),
        ]) {
            fact(id, label, value, price());
        }
        fact("ta.atr14", "ATR 14 (Wilder)", latest.atr, price());
        if !self.bundle.symbol.is_index() {
            fact("ta.obv", "On-balance volume", latest.obv, Unit::Count);
        }
        if let Some((low, high)) = latest.range {
            fact("ta.range20_low", "20-day range, low", Some(low), price());
            fact("ta.range20_high", "20-day range, high", Some(high), price());
        }
        match latest.trend {
            Some((trend, bull, bear)) => {
                let text =
                    format!("**{}** ({bull} rules for rising, {bear} for falling)", trend.label());
                sheet.note("Trend vote", &text);
            }
            None => sheet.note("Trend vote", "n/a"),
        }
    }

    fn news(&self, sheet: &mut Sheet) {
        if self.bundle.symbol.is_index() {
            return;
        }
        sheet.section("News");
        match &self.bundle.news {
            Ok(list) if list.is_empty() => sheet
                .line("None found in the requested period. That says nothing about the company."),
            Ok(list) => {
                if list.iter().any(|article| article.polarity.is_some()) {
                    sheet.line("Sentiment is how an article sounds by the provider's reckoning, from -1 to 1. It is no judgement of the company.");
                }
                for article in list.iter().take(MOST_ROWS) {
                    let title = match &article.link {
                        Some(address) => link(&article.title, address),
                        None => plain(&article.title),
                    };
                    let sentiment = article.polarity.map_or_else(String::new, |value| {
                        format!(" (sentiment {})", shown(value, &Unit::Number))
                    });
                    sheet.line(&format!("- {} {title}{sentiment}", utc(article.at)));
                }
            }
            Err(missing) => sheet.line(&format!("Not searched: {}", plain(&missing.reason))),
        }
    }

    fn sources(&self, sheet: &mut Sheet, asked: &Asked) {
        sheet.section("Data used");
        let bundle = self.bundle;
        let state = |part: Result<String, &Missing>| match part {
            Ok(text) => text,
            Err(missing) => format!("not available ({})", missing.code),
        };
        sheet.note("Provider", &plain(&bundle.source.name));
        sheet.note("Fetched", &utc(bundle.fetched));
        sheet.note("Asked for", &format!("{} to {}", bundle.requested.from, bundle.requested.to));
        let days = match self.bars() {
            [first, .., last] => {
                format!("{} bars, {} to {}", self.bars().len(), first.date, last.date)
            }
            bars => format!("{} bars", bars.len()),
        };
        sheet.note("Prices", &days);
        sheet.note(
            "Accounts",
            &state(bundle.fundamentals.as_ref().map(|r| match r.most_recent_quarter {
                Some(end) => format!("period to {end}"),
                None => "period not named".to_owned(),
            })),
        );
        sheet.note(
            "Dividends",
            &state(bundle.dividends.as_ref().map(|list| list.len().to_string())),
        );
        if !bundle.symbol.is_index() {
            let known = |events: &Events| {
                let days = events.known.iter().map(|days| format!("{} to {}", days.from, days.to));
                days.collect::<Vec<_>>().join(", ")
            };
            sheet.note("Announcements", &state(bundle.events.as_ref().map(known)));
        }
        if let Ok((index, series)) = &bundle.benchmark {
            let from = origin(series.document, &bundle.source.name);
            sheet.note("Index", &format!("{index}, from {from}"));
        }
        sheet.note("Articles", &state(bundle.news.as_ref().map(|list| list.len().to_string())));
        if asked.calls > 0 {
            sheet.note("Cost", &format!("{} calls of the provider's allowance", asked.calls));
        }
    }

    fn describe(
        &self,
        data: &mut Map<String, Value>,
        asked: &Asked,
        now: Timestamp,
        calendar: &Calendar,
    ) {
        fn part<T>(part: &Part<T>) -> Value {
            part.as_ref().map_or_else(|missing| missing.code.into(), |_| "ok".into())
        }
        let bundle = self.bundle;
        let last = self.bars().last().map(|bar| bar.date);
        let parts = json!({
            "quote": part(&bundle.quote),
            "dividends": part(&bundle.dividends),
            "splits": part(&bundle.splits),
            "fundamentals": part(&bundle.fundamentals),
            "news": part(&bundle.news),
            "announcements": part(&bundle.events),
            "benchmark": part(&bundle.benchmark),
        });
        let whole = |value: &Value| {
            matches!(value.as_str(), Some("ok" | "not_asked" | "not_in_plan" | "not_collected"))
        };
        let complete = parts.as_object().is_some_and(|parts| parts.values().all(whole));
        let report = &self.assessment.report;
        data.insert("as_of".to_owned(), json!(last.map(|day: Date| day.to_string())));
        data.insert(
            "sessions_behind".to_owned(),
            json!(last.and_then(|day| calendar.sessions_behind(day, now))),
        );
        data.insert("parts".to_owned(), parts);
        data.insert("complete".to_owned(), complete.into());
        data.insert("quality".to_owned(), json!({"worst": report.worst(), "report": report}));
        data.insert("api_calls".to_owned(), asked.calls.into());
        data.insert("events_hash".to_owned(), json!(bundle.events.as_ref().ok().map(events_hash)));
    }
}
