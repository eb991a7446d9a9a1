//! The checks of a company's record against its prices, of what is missing, and of what is compared.

use rust_decimal::Decimal;

use super::{Check, Rule, Severity, View, prices::apart};
use crate::market::{
    analysis::{LEAST_RETURNS, SETTLED},
    model::{Fundamentals, Missing, double},
};

const HIGH_LOW: Rule =
    Rule("ref.52w", "warn 1 %, error 5 % from the record, as traded or adjusted");
const MCAP: Rule = Rule("ref.mcap", "warn 5 %, error 25 % from price × shares");
const PE: Rule = Rule("ref.pe", "warn 10 %, error 25 % from price / EPS");
const LISTING: Rule = Rule("cur.listing", "AUD");
const STATEMENT: Rule = Rule("cur.statement", "the listing's currency");
const MISSING: Rule = Rule("fund.missing", "warn 1 of 7 figures, error 4");
const AGE: Rule = Rule("fund.age", "warn 200 days, error 400");
const TRUNCATED: Rule = Rule("plan.truncated", "the whole period that was asked for");
const BENCHMARK: Rule = Rule("bench.align", "the same last day; error 6 sessions apart");
const HISTORY: Rule = Rule("hist.min", "200 bars for SMA 200, 150 for RSI 14, 120 for beta");
const NEWS: Rule = Rule("news.zero", "at least one article");

/// Sessions of 52 weeks.
const YEAR: usize = 252;
/// What the longest indicator needs.
const NEEDED: usize = 200;

pub(super) fn checks(view: &View<'_>) -> Vec<Check> {
    let mut checks = match &view.bundle.fundamentals {
        Ok(record) => vec![
            high_low(view, record),
            market_cap(view, record),
            earnings(view, record),
            listing(record),
            statement(record),
            missing(record),
            age(view, record),
        ],
        Err(reason) => [HIGH_LOW, MCAP, PE, LISTING, STATEMENT, MISSING, AGE]
            .map(|rule| absent(rule, reason))
            .into(),
    };
    checks.extend([truncated(view), benchmark(view), history(view), news(view)]);
    checks
}

/// A check of a part that is not there.
fn absent(rule: Rule, missing: &Missing) -> Check {
    if missing.code == "not_asked" {
        rule.skip(&missing.reason)
    } else {
        rule.open(&missing.reason)
    }
}

/// A number that says something: services write 0 where they know nothing.
fn known(number: Option<Decimal>) -> Option<Decimal> {
    number.filter(|number| !number.is_zero())
}

fn graded(rule: Rule, off: f64, warn: f64, error: f64, what: &str) -> Check {
    let observed = format!("{:.1} %", 100.0 * off);
    if off > error {
        rule.fail(Severity::Error, observed, format!("{what} by far: one of them is wrong."))
    } else if off > warn {
        rule.fail(Severity::Warn, observed, format!("{what}."))
    } else {
        rule.pass(observed)
    }
}

fn high_low(view: &View<'_>, record: &Fundamentals) -> Check {
    let (Some(high), Some(low)) =
        (known(record.technicals.high_52w), known(record.technicals.low_52w))
    else {
        return HIGH_LOW.open("The record has no 52-week range.");
    };
    let Some(start) = view.bars.len().checked_sub(YEAR) else {
        return HIGH_LOW.open("There are fewer than 252 bars.");
    };
    let far = |value: Decimal, own: [f64; 2]| {
        own.iter().map(|own| (double(value) / own - 1.0).abs()).fold(f64::INFINITY, f64::min)
    };
    let bars = &view.bars[start..];
    let adjusted = view.adjusted;
    let top = |values: &[f64]| values.iter().copied().fold(f64::MIN, f64::max);
    let bottom = |values: &[f64]| values.iter().copied().fold(f64::MAX, f64::min);
    let raw_high = bars.iter().map(super::Bar::high_f64).fold(f64::MIN, f64::max);
    let raw_low = bars.iter().map(super::Bar::low_f64).fold(f64::MAX, f64::min);
    let off = far(high, [raw_high, top(&adjusted.high[start..])])
        .max(far(low, [raw_low, bottom(&adjusted.low[start..])]));
    graded(HIGH_LOW, off, 0.01, 0.05, "The record's 52-week range is not that of the prices")
}

fn market_cap(view: &View<'_>, record: &Fundamentals) -> Check {
    let price = view.last().map(|bar| bar.close);
    match (known(record.highlights.market_cap), known(record.shares.outstanding), price) {
        (Some(cap), Some(shares), Some(price)) => match price.checked_mul(shares) {
            Some(own) => {
                graded(MCAP, apart(cap, own), 0.05, 0.25, "Market value is not price × shares")
            }
            None => MCAP.open("Price × shares is too large a number."),
        },
        _ => MCAP.open("Market value, shares or price are not known."),
    }
}

fn earnings(view: &View<'_>, record: &Fundamentals) -> Check {
    let price = view.last().map(|bar| bar.close);
    // Earnings are in the currency of the accounts.
    match (&record.statement_currency, &record.currency) {
        (Some(own), Some(listing)) if own == listing => {}
        (Some(own), Some(listing)) => {
            return PE.open(format!(
                "Earnings are in {own}, prices in {listing}: without an exchange rate nobody can say."
            ));
        }
        _ => return PE.open("The currency of the earnings or of the prices is not known."),
    }
    match (known(record.highlights.pe), record.highlights.eps, price) {
        (_, Some(eps), _) if eps.is_sign_negative() || eps.is_zero() => {
            PE.skip("There are no earnings to divide by.")
        }
        (Some(pe), Some(eps), Some(price)) => {
            let own = price / eps;
            graded(PE, apart(pe, own), 0.10, 0.25, "The P/E is not price / earnings per share")
        }
        _ => PE.open("P/E, earnings per share or price are not known."),
    }
}

fn listing(record: &Fundamentals) -> Check {
    match record.currency.as_deref() {
        None => LISTING.open("The record names no currency."),
        Some("AUD") => LISTING.pass("AUD"),
        Some(other) => {
            let message = format!("The record says that prices are in {other}, not in AUD.");
            LISTING.fail(Severity::Warn, other, message)
        }
    }
}

fn statement(record: &Fundamentals) -> Check {
    match (record.statement_currency.as_deref(), record.currency.as_deref()) {
        (Some(own), Some(listing)) if own == listing => STATEMENT.pass(own),
        (Some(own), Some(listing)) => {
            let message = format!(
                "The accounts are in {own}, prices in {listing}: never divide one by the other without an exchange rate."
            );
            STATEMENT.fail(Severity::Info, own, message)
        }
        _ => STATEMENT.open("The currency of the accounts or of the listing is not known."),
    }
}

fn missing(record: &Fundamentals) -> Check {
    let year = record.yearly.first().map(|year| &year.figures);
    let figure = |read: fn(&crate::market::model::Figures) -> Option<Decimal>| year.and_then(read);
    let figures = [
        ("revenue", known(record.highlights.revenue).or(known(figure(|f| f.revenue)))),
        ("net income", known(figure(|f| f.net_income))),
        ("earnings per share", known(record.highlights.eps)),
        ("shares", known(record.shares.outstanding)),
        ("equity", known(figure(|f| f.equity))),
        ("operating cash flow", known(figure(|f| f.operating_cash_flow))),
        // A company may well have no debt.
        ("debt", figure(|f| f.debt)),
    ];
    let absent: Vec<&str> =
        figures.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
    let observed = format!("{} of {}", absent.len(), figures.len());
    if absent.is_empty() {
        return MISSING.pass(observed);
    }
    let severity = if absent.len() >= 4 { Severity::Error } else { Severity::Warn };
    MISSING.fail(severity, observed, format!("The record has no {}.", absent.join(", ")))
}

fn age(view: &View<'_>, record: &Fundamentals) -> Check {
    let Some(end) = record.most_recent_quarter else {
        return AGE.open("The record does not say which period it is about.");
    };
    let today = view.calendar.date_of(view.now);
    let days = today.duration_since(end).as_hours() / 24;
    let observed = format!("{days} days");
    let message = format!("The last accounts are of the period to {end}.");
    match days {
        ..0 => AGE.fail(Severity::Warn, observed, message),
        401.. => AGE.fail(Severity::Error, observed, message),
        201.. => AGE.fail(Severity::Warn, observed, message),
        _ => AGE.pass(observed),
    }
}

fn truncated(view: &View<'_>) -> Check {
    if let Some(warning) = &view.bundle.series.warning {
        let message = format!("The provider gave only a part of the period: {warning}.");
        return TRUNCATED.fail(Severity::Warn, format!("{} bars", view.bars.len()), message);
    }
    let Some(first) = view.bars.first() else { return TRUNCATED.open("There are no prices.") };
    let from = view.bundle.requested.from;
    let asked = from.max(view.calendar.range().0);
    match view.calendar.sessions_after(asked, first.date) {
        None => TRUNCATED.open("The trading calendar does not reach these days."),
        Some(before) if before.len() > 5 => {
            let message = format!(
                "Prices begin on {}, not on {from}: the stock may not have been listed before.",
                first.date
            );
            TRUNCATED.fail(Severity::Info, format!("from {}", first.date), message).on([first.date])
        }
        Some(_) => TRUNCATED.pass(format!("from {}", first.date)),
    }
}

fn benchmark(view: &View<'_>) -> Check {
    let symbol = match &view.bundle.benchmark {
        Ok((symbol, _)) => symbol,
        Err(missing) => return absent(BENCHMARK, missing),
    };
    let last = view.index.last().map(|bar| bar.date);
    let (Some(own), Some(other)) = (view.last().map(|bar| bar.date), last) else {
        return BENCHMARK.open(format!("There are no prices of the stock or of {symbol}."));
    };
    if let (true, Some(error)) = (own == other, view.index_error) {
        let message = format!("{symbol}: {}", error.message);
        return BENCHMARK.fail(Severity::Warn, error.check_id, message).on(error.dates.clone());
    }
    if own == other {
        return BENCHMARK.pass("the same day");
    }
    let Some(between) = view.calendar.sessions_after(own.min(other), own.max(other)) else {
        return BENCHMARK.open("The trading calendar does not reach these days.");
    };
    let far = between.len() > 5;
    let severity = if far { Severity::Error } else { Severity::Warn };
    let what = if far { "they are not compared" } else { "compared are the days of both" };
    let message = format!("{symbol} ends on {other}, the stock on {own}; {what}.");
    BENCHMARK.fail(severity, format!("{} sessions", between.len()), message).on([own, other])
}

fn history(view: &View<'_>) -> Check {
    let bars = view.bars.len();
    let observed = format!("{bars} bars");
    if bars >= NEEDED {
        return HISTORY.pass(observed);
    }
    let needs =
        [(NEEDED, "SMA 200"), (SETTLED, "RSI 14 and the trend"), (LEAST_RETURNS + 1, "beta")];
    let lost: Vec<&str> =
        needs.iter().filter(|(need, _)| bars < *need).map(|(_, what)| *what).collect();
    let message = format!("There are too few bars for {}.", lost.join(", "));
    HISTORY.fail(Severity::Info, observed, message)
}

fn news(view: &View<'_>) -> Check {
    match &view.bundle.news {
        Ok(list) if list.is_empty() => {
            let message =
                "No article was found in the period. That says nothing about the company.";
            NEWS.fail(Severity::Info, "0 articles", message)
        }
        Ok(list) => NEWS.pass(format!("{} articles", list.len())),
        Err(missing) => absent(NEWS, missing),
    }
}
