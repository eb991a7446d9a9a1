//! The invented accounts of a company, which agree with its price and with each other.

use jiff::{ToSpan, civil::Date};
use rust_decimal::Decimal;

use super::path::{Dice, HalfYear, History, Nature, rounded};
use crate::market::{
    model::{
        Analysts, Earnings, Figures, Fundamentals, Highlights, Holder, SharesStats, Statement,
        Symbol, Technicals, Valuation, double,
    },
    number::Notes,
};

/// Sessions of 52 weeks.
const YEAR: usize = 252;
/// Equity as a multiple of a year's earnings.
const EQUITY: f64 = 7.0;
/// Debt as a fraction of equity.
const DEBT: f64 = 0.4;

#[allow(clippy::unnecessary_wraps, reason = "every figure of a record may be missing")]
fn amount(value: f64) -> Option<Decimal> {
    Some(rounded(value, 0))
}

#[allow(clippy::unnecessary_wraps, reason = "every figure of a record may be missing")]
fn ratio(value: f64) -> Option<Decimal> {
    Some(rounded(value, 4))
}

/// The accounts of some half years together.
fn figures(nature: &Nature, eps: f64) -> Figures {
    let income = eps * nature.shares;
    let revenue = income / nature.margin;
    let equity = EQUITY * income;
    let operating = income * 1.35;
    let spent = income * 0.55;
    Figures {
        revenue: amount(revenue),
        gross_profit: amount(revenue * 0.52),
        operating_income: amount(income * 1.45),
        net_income: amount(income),
        assets: amount(equity * 1.9),
        liabilities: amount(equity * 0.9),
        equity: amount(equity),
        debt: amount(equity * DEBT),
        cash: amount(equity * 0.15),
        operating_cash_flow: amount(operating),
        capital_expenditure: amount(spent),
        free_cash_flow: amount(operating - spent),
    }
}

/// The record of a company on `today`. None before its second report.
pub(super) fn fundamentals(
    seed: u64,
    symbol: &Symbol,
    nature: &Nature,
    history: &History,
    today: Date,
) -> Option<Fundamentals> {
    let mut dice = Dice::new(seed, &format!("{symbol}/record"));
    let last = history.bars.last()?;
    let price = last.close_f64();
    let reported: Vec<&HalfYear> =
        nature.halves.iter().rev().filter(|half| half.reported() <= today).collect();
    let [newest, second, ..] = reported.as_slice() else { return None };
    let eps = rounded(newest.eps + second.eps, 4);
    let trailing = newest.eps + second.eps;
    let year_before: f64 = reported.iter().skip(2).take(2).map(|half| half.eps).sum();
    let dividends: f64 = {
        let since = today.checked_sub(1.year()).ok()?;
        let paid = history.dividends.iter().filter(|dividend| dividend.date > since);
        paid.map(|dividend| double(dividend.value)).sum()
    };
    let market_cap = nature.shares * price;
    let equity = EQUITY * trailing * nature.shares;
    let enterprise = market_cap + equity * DEBT - equity * 0.15;
    let revenue = trailing * nature.shares / nature.margin;
    let (mut high, mut low) = (last.high, last.low);
    for bar in history.bars.iter().rev().take(YEAR) {
        high = high.max(bar.high);
        low = low.min(bar.low);
    }
    let growth = if year_before > 0.0 { trailing / year_before - 1.0 } else { 0.0 };
    let target = price * dice.between(0.9, 1.25);
    let pe = price / double(eps);
    let sectors = ["Materials", "Financials", "Health Care", "Industrials", "Technology", "Energy"];
    Some(Fundamentals {
        code: Some(symbol.code().to_owned()),
        name: Some(format!("{} (synthetic company)", symbol.code())),
        description: Some(
            "An invented company. Its prices and accounts are made by a computer from a seed."
                .to_owned(),
        ),
        sector: Some(sectors[dice.below(sectors.len())].to_owned()),
        industry: Some("Invented".to_owned()),
        isin: None,
        delisted: Some(false),
        currency: Some("AUD".to_owned()),
        statement_currency: Some("AUD".to_owned()),
        updated: Some(last.date),
        most_recent_quarter: Some(newest.end),
        highlights: Highlights {
            market_cap: amount(market_cap),
            ebitda: amount(trailing * nature.shares * 1.9),
            pe: ratio(pe),
            peg: None,
            target_price: ratio(target),
            book_value: ratio(EQUITY * trailing),
            dividend_share: ratio(dividends),
            dividend_yield: ratio(dividends / price),
            eps: Some(eps),
            eps_this_year: ratio(trailing * (1.0 + growth / 2.0)),
            eps_next_year: ratio(trailing * (1.0 + growth)),
            profit_margin: ratio(nature.margin),
            operating_margin: ratio(nature.margin * 1.45),
            return_on_assets: ratio(1.0 / (EQUITY * 1.9)),
            return_on_equity: ratio(1.0 / EQUITY),
            revenue: amount(revenue),
            gross_profit: amount(revenue * 0.52),
            revenue_growth: ratio(growth),
            earnings_growth: ratio(growth),
        },
        valuation: Valuation {
            trailing_pe: ratio(pe),
            forward_pe: ratio(price / (trailing * (1.0 + growth / 2.0))),
            price_sales: ratio(market_cap / revenue),
            price_book: ratio(market_cap / equity),
            enterprise_value: amount(enterprise),
            ev_revenue: ratio(enterprise / revenue),
            ev_ebitda: ratio(enterprise / (trailing * nature.shares * 1.9)),
        },
        shares: SharesStats {
            outstanding: amount(nature.shares),
            float: amount(nature.shares * 0.92),
            percent_insiders: ratio(8.0),
            percent_institutions: ratio(dice.between(20.0, 60.0)),
            short_percent: ratio(dice.between(0.1, 4.0)),
        },
        technicals: Technicals {
            beta: ratio(nature.beta),
            high_52w: Some(high),
            low_52w: Some(low),
        },
        analysts: Analysts {
            rating: ratio(dice.between(2.5, 4.6)),
            target_price: ratio(target),
            strong_buy: amount(dice.between(0.0, 6.0)),
            buy: amount(dice.between(1.0, 6.0)),
            hold: amount(dice.between(1.0, 7.0)),
            sell: amount(dice.between(0.0, 3.0)),
            strong_sell: amount(dice.between(0.0, 2.0)),
        },
        payout_ratio: ratio(nature.payout),
        ex_dividend: history.dividends.last().map(|dividend| dividend.date),
        yearly: yearly(nature, &reported),
        interim: reported
            .iter()
            .take(6)
            .map(|half| Statement { end: half.end, figures: figures(nature, half.eps) })
            .collect(),
        earnings: earnings(nature, &reported, today),
        holders: ["First Invented Trust", "Second Invented Fund", "Third Invented Fund"]
            .iter()
            .zip([9.0, 6.5, 4.25])
            .map(|(name, percent)| Holder {
                name: (*name).to_owned(),
                date: Some(newest.end),
                percent: ratio(percent),
                shares: amount(nature.shares * percent / 100.0),
            })
            .collect(),
        notes: Notes::default(),
    })
}

/// Years to the end of June, newest first.
fn yearly(nature: &Nature, reported: &[&HalfYear]) -> Vec<Statement> {
    let first = usize::from(reported.first().is_some_and(|half| half.end.month() != 6));
    let years = reported.get(first..).unwrap_or_default().chunks_exact(2).take(5);
    years
        .map(|year| Statement {
            end: year[0].end,
            figures: figures(nature, year[0].eps + year[1].eps),
        })
        .collect()
}

/// What was expected and reported, newest first, beginning with the report to come.
fn earnings(nature: &Nature, reported: &[&HalfYear], today: Date) -> Vec<Earnings> {
    let coming = nature.halves.iter().find(|half| half.reported() > today).map(|half| Earnings {
        period: half.end,
        reported: Some(half.reported()),
        actual: None,
        estimate: ratio(half.eps * 0.99),
        surprise_percent: None,
        currency: Some("AUD".to_owned()),
    });
    let past = reported.iter().take(8).map(|half| Earnings {
        period: half.end,
        reported: Some(half.reported()),
        actual: ratio(half.eps),
        estimate: ratio(half.eps * 0.98),
        surprise_percent: Some(rounded(100.0 * (1.0 / 0.98 - 1.0), 2)),
        currency: Some("AUD".to_owned()),
    });
    coming.into_iter().chain(past).collect()
}
