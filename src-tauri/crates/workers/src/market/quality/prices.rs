//! The checks of prices: fresh, complete, in order, possible, adjusted.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan, civil::Date};
use rust_decimal::Decimal;

use super::{Check, Rule, Severity, View, moves};
use crate::market::{
    calendar::{Calendar, Day, Kind},
    model::{Bar, Series, double},
};

const LAG: Rule = Rule("fresh.lag", "warn 1 session, error 2");
const FUTURE: Rule = Rule("fresh.future", "no bar after today in Sydney");
const PARTIAL: Rule = Rule("fresh.partial", "no bar of a session that has not closed");
const QUOTE: Rule = Rule("fresh.quote", "own code, above 0, at most 60 min old during a session");
const NONSESSION: Rule = Rule("cal.nonsession", "no bar on a day without trading");
const GAP: Rule = Rule("gap.missing", "warn 1 session, error 5 % or 5 in a row");
const ORDER: Rule = Rule("ser.order", "days in order");
const DUP: Rule = Rule("ser.dup", "one bar a day; error if they differ");
const OHLC: Rule = Rule("ser.ohlc", "0 < low ≤ open, close ≤ high; warn 1 bar, error 1 %");
const UNREADABLE: Rule = Rule("ser.unreadable", "warn 1 row, error 1 %");
const ZERO: Rule = Rule("vol.zero", "warn 3 in a row or 20 % of 60, error 50 % of 60");
const FLAT: Rule = Rule("vol.flat", "warn 3 in a row without a trade, error 10");
const FACTOR: Rule = Rule("adj.k", "adjusted / close moves on ex-dates only, and is never above 1");

/// Sessions in a row that make prices look frozen.
const FROZEN: u32 = 5;
/// Sessions that volume is judged over.
const RECENT: usize = 60;
/// Relative tolerance of the order of a bar's prices.
const OHLC_TOLERANCE: Decimal = Decimal::from_parts(1, 0, 0, false, 4);
/// The steps in which vendors give adjusted prices.
const ADJUSTED_STEP: f64 = 1e-4;

fn sessions(count: usize) -> String {
    if count == 1 { "1 session".to_owned() } else { format!("{count} sessions") }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// The longest run of consecutive items that fit, as (start, length).
fn longest_run(fits: impl Iterator<Item = bool>) -> (usize, usize) {
    let (mut best, mut start) = ((0, 0), 0);
    for (at, fits) in fits.enumerate() {
        if !fits {
            start = at + 1;
        } else if at + 1 - start > best.1 {
            best = (start, at + 1 - start);
        }
    }
    best
}

/// The bars that can be used, and the checks of what had to be put right for that.
pub(super) fn clean(
    series: &Series,
    now: Timestamp,
    calendar: &Calendar,
) -> (Vec<Bar>, Vec<Check>) {
    let mut bars = series.bars.clone();
    let mut checks = Vec::new();

    let misplaced: Vec<Date> = bars
        .windows(2)
        .filter(|pair| pair[1].date < pair[0].date)
        .map(|pair| pair[1].date)
        .collect();
    bars.sort_by_key(|bar| bar.date);
    checks.push(match misplaced.len() {
        0 => ORDER.pass("in order"),
        count => {
            let message = "Bars came out of order and were sorted.";
            ORDER.fail(Severity::Info, format!("{count} out of order"), message).on(misplaced)
        }
    });

    let doubled = |same: bool| -> Vec<Date> {
        let pairs = bars.windows(2).filter(|pair| pair[0].date == pair[1].date);
        pairs.filter(|pair| (pair[0] == pair[1]) == same).map(|pair| pair[0].date).collect()
    };
    let (same, different) = (doubled(true), doubled(false));
    checks.push(if let Some(day) = different.first() {
        let message = format!("{day} has two bars that differ; the one sent last is used.");
        DUP.fail(Severity::Error, format!("{} that differ", different.len()), message).on(different)
    } else if same.is_empty() {
        DUP.pass("none")
    } else {
        let message = "Some days came twice with the same values.";
        DUP.fail(Severity::Info, format!("{} alike", same.len()), message).on(same)
    });
    // The sort is stable: of several bars of a day the last one was sent last.
    bars.reverse();
    bars.dedup_by_key(|bar| bar.date);
    bars.reverse();

    let today = calendar.date_of(now);
    let future: Vec<Date> = bars.iter().map(|bar| bar.date).filter(|date| *date > today).collect();
    bars.retain(|bar| bar.date <= today);
    checks.push(match future.len() {
        0 => FUTURE.pass("none"),
        count => {
            let message = "There are prices of days that have not come yet; they are left out.";
            FUTURE.fail(Severity::Error, format!("{count} bars"), message).on(future)
        }
    });

    checks.push(match calendar.day(today) {
        Day::Unknown => PARTIAL.open("The trading calendar does not reach today."),
        Day::Session(session)
            if now < session.close && bars.last().is_some_and(|bar| bar.date == today) =>
        {
            bars.pop();
            let message = "Today's session has not closed; its unfinished bar is left out.";
            PARTIAL.fail(Severity::Info, "1 bar", message).on([today])
        }
        _ => PARTIAL.pass("none"),
    });

    let possible = |bar: &Bar| {
        let tolerance = bar.high.abs() * OHLC_TOLERANCE;
        bar.low > Decimal::ZERO
            && bar.low <= bar.open.min(bar.close) + tolerance
            && bar.open.max(bar.close) <= bar.high + tolerance
    };
    let impossible: Vec<Date> =
        bars.iter().filter(|bar| !possible(bar)).map(|bar| bar.date).collect();
    checks.push(match impossible.len() {
        0 => OHLC.pass("none"),
        count => {
            let share = percent(count, bars.len());
            let severity = if share > 1.0 { Severity::Error } else { Severity::Warn };
            let message = "Some bars have a high below their low, or prices outside of both.";
            OHLC.fail(severity, format!("{count} bars ({share:.1} %)"), message).on(impossible)
        }
    });
    bars.retain(|bar| bar.close > Decimal::ZERO && bar.adjusted_close > Decimal::ZERO);

    checks.push(match series.notes.count {
        0 => UNREADABLE.pass("none"),
        count => {
            let share = percent(count, series.bars.len() + count);
            let severity = if share > 1.0 { Severity::Error } else { Severity::Warn };
            let message = format!("{}.", series.notes.lines.join("; "));
            UNREADABLE.fail(severity, format!("{count} rows"), message)
        }
    });
    (bars, checks)
}

/// The checks of the bars that can be used.
pub(super) fn checks(view: &View<'_>) -> Vec<Check> {
    vec![
        lag(view),
        quote(view),
        nonsession(view),
        gap(view),
        zero(view),
        flat(view),
        moves::jump(view),
        moves::unadjusted(view),
        factor(view),
    ]
}

fn lag(view: &View<'_>) -> Check {
    let Some(last) = view.last() else {
        return LAG.fail(Severity::Error, "no prices", "There are no prices that can be used.");
    };
    let Some(behind) = view.calendar.sessions_behind(last.date, view.now) else {
        return LAG.open("The trading calendar does not reach today, so nobody can say.");
    };
    let observed = sessions(behind as usize);
    match behind {
        0 => LAG.pass(observed),
        1 => LAG.fail(Severity::Warn, observed, format!("The last prices are of {}.", last.date)),
        FROZEN.. => {
            let message = format!(
                "Nothing has come since {}. The stock may be suspended, delisted or renamed: check its code.",
                last.date
            );
            LAG.fail(Severity::Error, observed, message)
        }
        _ => LAG.fail(Severity::Error, observed, format!("The last prices are of {}.", last.date)),
    }
    .on([last.date])
}

fn quote(view: &View<'_>) -> Check {
    let quote = match &view.bundle.quote {
        Ok(quote) => quote,
        Err(missing) if missing.code == "not_asked" => return QUOTE.skip(&missing.reason),
        Err(missing) => return QUOTE.open(&missing.reason),
    };
    let own = view.bundle.symbol.to_string();
    if !quote.code.eq_ignore_ascii_case(&own) {
        let message = format!("The recent price is that of `{}`, not of {own}.", quote.code);
        return QUOTE.fail(Severity::Error, &quote.code, message);
    }
    match quote.price {
        Some(price) if price > Decimal::ZERO => {}
        _ => {
            let message = "The provider has no recent price; none is shown.";
            return QUOTE.fail(Severity::Error, "no price", message);
        }
    }
    let Some(at) = quote.at else {
        let message = "The recent price does not say of when it is.";
        return QUOTE.fail(Severity::Warn, "no time", message);
    };
    let minutes = view.now.duration_since(at).as_mins();
    let observed = format!("{minutes} min");
    match view.calendar.is_open(view.now) {
        Some(true) if minutes > 60 => {
            QUOTE.fail(Severity::Warn, observed, format!("The recent price is {minutes} min old."))
        }
        _ if minutes < -5 => {
            QUOTE.fail(Severity::Warn, observed, "The recent price is of a time to come.")
        }
        _ => QUOTE.pass(observed),
    }
}

fn nonsession(view: &View<'_>) -> Check {
    let kind = |bar: &Bar| view.calendar.kind(bar.date);
    let odd: Vec<Date> = view
        .bars
        .iter()
        .filter(|bar| matches!(kind(bar), Kind::Weekend | Kind::Holiday))
        .map(|bar| bar.date)
        .collect();
    if !view.bars.is_empty() && view.bars.iter().all(|bar| kind(bar) == Kind::Unknown) {
        return NONSESSION.open("The trading calendar does not reach these days.");
    }
    match odd.len() {
        0 => NONSESSION.pass("none"),
        count => {
            let message = "There are prices of days on which the exchange was closed.";
            NONSESSION.fail(Severity::Warn, format!("{count} bars"), message).on(odd)
        }
    }
}

fn gap(view: &View<'_>) -> Check {
    let [first, .., last] = view.bars else { return GAP.open("There are fewer than two bars.") };
    let Some(expected) = view.calendar.sessions_after(first.date, last.date) else {
        return GAP.open("The trading calendar does not reach these days.");
    };
    let there: BTreeSet<Date> = view.bars.iter().map(|bar| bar.date).collect();
    let missing: Vec<Date> = expected.iter().copied().filter(|day| !there.contains(day)).collect();
    if missing.is_empty() {
        return GAP.pass("none");
    }
    // Sessions without trading by announcement are told, and are no gap.
    let halted: BTreeSet<Date> =
        missing.iter().copied().filter(|day| is_halted(view, *day)).collect();
    let gone = |day: &Date| !there.contains(day) && !halted.contains(day);
    let (start, run) = longest_run(expected.iter().map(gone));
    let count = missing.len() - halted.len();
    if count == 0 {
        let observed = format!("{} of a halt", sessions(halted.len()));
        let message = "Sessions are missing in which trading was halted.";
        return GAP.fail(Severity::Info, observed, message).on(missing);
    }
    let share = percent(count, expected.len());
    let observed = format!("{} ({share:.1} %), {run} in a row", sessions(count));
    let severity = if share > 5.0 || run >= 5 { Severity::Error } else { Severity::Warn };
    let message = match run {
        1 => "Some sessions have no prices.".to_owned(),
        _ => format!("Sessions have no prices, most of them in a row from {}.", expected[start]),
    };
    GAP.fail(severity, observed, message).on(missing.into_iter().filter(gone))
}

/// Whether an announced halt covers a day. One that was never said to be lifted lasts until the stock
/// is traded again.
fn is_halted(view: &View<'_>, day: Date) -> bool {
    let Ok(events) = &view.bundle.events else { return false };
    events.halts.iter().any(|halt| {
        let traded = || view.bars.iter().map(|bar| bar.date).find(|date| *date > halt.from);
        let until = halt.until.or_else(traded).unwrap_or(Date::MAX);
        let (before, after) = (halt.from.checked_sub(1.day()), until.saturating_add(1.day()));
        before.is_ok_and(|before| (before..=after).contains(&day))
    })
}

fn zero(view: &View<'_>) -> Check {
    if view.bundle.symbol.is_index() {
        return ZERO.skip("An index has no volume.");
    }
    let recent = &view.bars[view.bars.len().saturating_sub(RECENT)..];
    let is_zero = |bar: &Bar| bar.volume.is_some_and(|volume| volume.is_zero());
    if recent.is_empty() || recent.iter().all(|bar| bar.volume.is_none()) {
        return ZERO.open("No volume is known.");
    }
    let share = percent(recent.iter().filter(|bar| is_zero(bar)).count(), recent.len());
    let (start, run) = longest_run(view.bars.iter().map(is_zero));
    let observed = format!("{share:.0} % of {}, {run} in a row", recent.len());
    let days = || view.bars[start..start + run].iter().map(|bar| bar.date);
    if share > 50.0 {
        let message = "Most sessions pass without a trade; indicators would mean nothing.";
        ZERO.fail(Severity::Error, observed, message).on(days())
    } else if share > 20.0 || run >= 3 {
        ZERO.fail(Severity::Warn, observed, "Sessions pass without a trade.").on(days())
    } else {
        ZERO.pass(observed)
    }
}

fn flat(view: &View<'_>) -> Check {
    if view.bundle.symbol.is_index() {
        return FLAT.skip("An index has no volume.");
    }
    let is_flat = |bar: &Bar| {
        bar.open == bar.close
            && bar.high == bar.low
            && bar.high == bar.close
            && bar.volume.is_some_and(|volume| volume.is_zero())
    };
    let (start, run) = longest_run(view.bars.iter().map(is_flat));
    let observed = format!("{run} in a row");
    if run < 3 {
        return FLAT.pass(observed);
    }
    let severity = if run >= 10 { Severity::Error } else { Severity::Warn };
    let message = format!("The price stood still without a trade from {}.", view.bars[start].date);
    let days = view.bars[start..start + run].iter().map(|bar| bar.date);
    FLAT.fail(severity, observed, message).on(days)
}

fn factor(view: &View<'_>) -> Check {
    let bundle = view.bundle;
    let splits = bundle.splits.as_ref().ok();
    let reverse = |after: Date| {
        splits
            .is_none_or(|list| list.iter().any(|split| split.date > after && split.old > split.new))
    };
    let too_high: Vec<Date> = bundle
        .series
        .bars
        .iter()
        .filter(|bar| {
            bar.adjusted_close <= Decimal::ZERO
                || (bar.factor() > 1.001 + ADJUSTED_STEP / bar.close_f64().max(ADJUSTED_STEP)
                    && !reverse(bar.date))
        })
        .map(|bar| bar.date)
        .collect();
    if let Some(day) = too_high.first() {
        let message = format!("The adjusted price of {day} is impossible.");
        return FACTOR
            .fail(Severity::Error, format!("{} bars", too_high.len()), message)
            .on(too_high);
    }
    let (Some(splits), Ok(dividends)) = (splits, &bundle.dividends) else {
        if bundle.symbol.is_index() {
            return FACTOR.skip("An index is not adjusted.");
        }
        return FACTOR
            .open("Dividends and splits are not known, so nobody can say when it should.");
    };
    let mut moved = Vec::new();
    for pair in view.bars.windows(2) {
        let change = (pair[1].factor() / pair[0].factor() - 1.0).abs();
        // Two prices in steps of a hundredth of a cent.
        let rounding = ADJUSTED_STEP / pair.iter().map(Bar::adjusted_f64).fold(f64::MAX, f64::min);
        let due = |date: Date| pair[0].date < date && date <= pair[1].date;
        let explained = dividends.iter().any(|dividend| due(dividend.date))
            || splits.iter().any(|split| due(split.date));
        if change > 1e-3 + rounding && !explained {
            moved.push(pair[1].date);
        }
    }
    match moved.first() {
        None => FACTOR.pass("none"),
        Some(day) => {
            let message =
                format!("The adjustment of prices changes on {day} without a dividend or a split.");
            FACTOR.fail(Severity::Warn, format!("{} days", moved.len()), message).on(moved)
        }
    }
}

/// How far two amounts are apart, as a fraction of the second.
pub(super) fn apart(a: Decimal, b: Decimal) -> f64 {
    let b = double(b);
    if b == 0.0 { f64::INFINITY } else { (double(a) / b - 1.0).abs() }
}
