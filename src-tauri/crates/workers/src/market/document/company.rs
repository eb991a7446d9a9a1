//! The parts of a stock's document that are about the company: its record, accounts and dividends.

use rust_decimal::Decimal;

use super::{
    format::{Sheet, Unit, computed, grouped, shown},
    stock::View,
};
use crate::{
    market::model::{Dividend, Fundamentals, Statement, double},
    services::plain,
};

/// Rows of a list.
const MOST_ROWS: usize = 8;
/// Statements of a kind.
const MOST_STATEMENTS: usize = 5;
/// Characters of a description.
const MOST_WORDS: usize = 1_200;
/// Stands where a currency should, if the provider does not say which it is.
const UNNAMED: &str = "(currency not named)";

impl View<'_> {
    pub(super) fn company(&self, sheet: &mut Sheet, record: &Fundamentals) {
        let day = record.updated;
        let money = || Unit::Amount(self.currency.clone());
        let accounts = record.statement_currency.clone().unwrap_or_else(|| UNNAMED.to_owned());
        let amount = || Unit::Amount(accounts.clone());
        // What is made of prices and accounts, or may be either, is in a known currency only if the
        // two have the same.
        let mixed = if accounts == self.currency { accounts.as_str() } else { UNNAMED };
        let highlights = &record.highlights;
        let valuation = &record.valuation;
        // Services write 0 where they know nothing.
        let known = |value: Option<Decimal>| value.filter(|value| !value.is_zero());

        sheet.section("Company");
        for (label, text) in
            [("Sector", &record.sector), ("Industry", &record.industry), ("ISIN", &record.isin)]
        {
            if let Some(text) = text {
                sheet.note(label, &plain(text));
            }
        }
        if record.delisted == Some(true) {
            sheet.note("Listing", "**delisted**");
        }
        if let Some(text) = &record.description {
            let text: String = plain(text).chars().take(MOST_WORDS).collect();
            sheet.line(&format!("In its vendor's words: {text}"));
        }

        sheet.section("Valuation");
        let mut fact = |id: &str, label: &str, value, unit| {
            sheet.fact(id, label, known(value), unit, day);
        };
        fact("value.market_cap", "Market value", highlights.market_cap, money());
        fact("value.pe", "P/E, last twelve months", highlights.pe, Unit::Number);
        fact("value.forward_pe", "P/E, expected earnings", valuation.forward_pe, Unit::Number);
        fact("value.peg", "P/E to growth", highlights.peg, Unit::Number);
        fact("value.price_book", "Price / book value", valuation.price_book, Unit::Number);
        fact("value.price_sales", "Price / sales", valuation.price_sales, Unit::Number);
        let enterprise = Unit::Amount(mixed.to_owned());
        fact("value.enterprise", "Enterprise value", valuation.enterprise_value, enterprise);
        fact("value.ev_ebitda", "Enterprise value / EBITDA", valuation.ev_ebitda, Unit::Number);

        sheet.section("Profitability");
        let mut fact = |id: &str, label: &str, value, unit| {
            sheet.fact(id, label, known(value), unit, record.most_recent_quarter);
        };
        let per_share = Unit::Price(accounts.clone());
        fact("profit.eps", "Earnings per share, last twelve months", highlights.eps, per_share);
        fact("profit.revenue", "Revenue, last twelve months", highlights.revenue, amount());
        fact("profit.ebitda", "EBITDA, last twelve months", highlights.ebitda, amount());
        fact("profit.margin", "Net margin", highlights.profit_margin, Unit::Fraction);
        fact(
            "profit.operating_margin",
            "Operating margin",
            highlights.operating_margin,
            Unit::Fraction,
        );
        fact("profit.roe", "Return on equity", highlights.return_on_equity, Unit::Fraction);
        fact("profit.roa", "Return on assets", highlights.return_on_assets, Unit::Fraction);
        fact(
            "profit.revenue_growth",
            "Revenue growth, year on year",
            highlights.revenue_growth,
            Unit::Fraction,
        );
        fact(
            "profit.earnings_growth",
            "Earnings growth, year on year",
            highlights.earnings_growth,
            Unit::Fraction,
        );

        sheet.section("Ownership");
        let shares = &record.shares;
        let mut fact = |id: &str, label: &str, value, unit| sheet.fact(id, label, value, unit, day);
        fact("own.shares", "Shares", known(shares.outstanding), Unit::Count);
        fact("own.float", "Shares that are traded", known(shares.float), Unit::Count);
        fact("own.insiders", "Held by insiders", shares.percent_insiders, Unit::Percent);
        fact(
            "own.institutions",
            "Held by institutions",
            shares.percent_institutions,
            Unit::Percent,
        );
        fact("own.short", "Sold short, of the float", shares.short_percent, Unit::Percent);
        if !record.holders.is_empty() {
            let rows: Vec<Vec<String>> = record
                .holders
                .iter()
                .take(MOST_ROWS)
                .map(|holder| {
                    vec![
                        plain(&holder.name),
                        optional(holder.percent, &Unit::Percent),
                        optional(holder.shares, &Unit::Count),
                        holder.date.map(|day| day.to_string()).unwrap_or_default(),
                    ]
                })
                .collect();
            sheet.table(&["Holder", "Part", "Shares", "As of"], &rows);
        }

        sheet.section("Analysts");
        let analysts = &record.analysts;
        let target = known(analysts.target_price).or(known(highlights.target_price));
        sheet.fact("analyst.target", "Mean target", target, Unit::Price(mixed.to_owned()), day);
        let upside = match (target, self.bars().last()) {
            (Some(target), Some(last)) => computed(double(target) / last.close_f64() - 1.0),
            _ => None,
        };
        if target.is_some() && mixed == UNNAMED {
            let why = format!("n/a: nobody says whether the target is in {}", self.currency);
            sheet.note("Target against last close", &plain(&why));
        } else {
            sheet.fact("analyst.upside", "Target against last close", upside, Unit::Fraction, day);
        }
        sheet.fact(
            "analyst.rating",
            "Mean rating, 1 sell to 5 buy",
            known(analysts.rating),
            Unit::Number,
            day,
        );
        for (id, label, value) in [
            ("analyst.strong_buy", "Strong buy", analysts.strong_buy),
            ("analyst.buy", "Buy", analysts.buy),
            ("analyst.hold", "Hold", analysts.hold),
            ("analyst.sell", "Sell", analysts.sell),
            ("analyst.strong_sell", "Strong sell", analysts.strong_sell),
        ] {
            sheet.fact(id, label, value, Unit::Count, day);
        }

        earnings(sheet, record, &accounts);
        history(sheet, record, &accounts);
    }

    pub(super) fn dividends(&self, sheet: &mut Sheet) {
        sheet.section("Dividends");
        let list = match &self.bundle.dividends {
            Ok(list) => list,
            Err(missing) => {
                return sheet.line(&format!("Not available: {}", plain(&missing.reason)));
            }
        };
        let Some(last) = self.bars().last() else { return };
        let since = last.date.checked_sub(jiff::Span::new().years(1)).unwrap_or(last.date);
        let year: Vec<&Dividend> =
            list.iter().filter(|paid| paid.date > since && paid.date <= last.date).collect();
        let day = Some(last.date);
        // Amounts of several currencies have no sum, and an amount of another one is no part of a price.
        let other =
            year.iter().find(|paid| paid.currency.as_deref() != Some(self.currency.as_str()));
        let (paid, yielded) = match other {
            None => {
                let paid: Decimal = year.iter().map(|dividend| dividend.value).sum();
                let yielded = paid.checked_div(last.close).map(|part| part.round_dp(6));
                (Some(paid), yielded)
            }
            Some(_) => (None, None),
        };
        sheet.fact("dividend.year", "Paid in twelve months, per share", paid, self.price(), day);
        sheet.fact("dividend.yield", "Yield at the last close", yielded, Unit::Fraction, day);
        if let Some(other) = other {
            let what = other.currency.as_deref().unwrap_or("a currency that is not named");
            let why = format!(
                "n/a: that of {} is in {what}, prices are in {}, and no exchange rate is known",
                other.date, self.currency
            );
            sheet.note("Sum and yield", &plain(&why));
        }
        if let Ok(record) = &self.bundle.fundamentals {
            let payout = record.payout_ratio.filter(|ratio| !ratio.is_zero());
            sheet.fact(
                "dividend.payout",
                "Paid out of earnings",
                payout,
                Unit::Fraction,
                record.updated,
            );
        }
        let rows: Vec<Vec<String>> = list
            .iter()
            .rev()
            .take(MOST_ROWS)
            .map(|dividend| {
                let currency = dividend.currency.clone().unwrap_or_else(|| UNNAMED.to_owned());
                vec![
                    dividend.date.to_string(),
                    dividend.payment.map(|day| day.to_string()).unwrap_or_default(),
                    shown(dividend.value, &Unit::Price(currency)),
                ]
            })
            .collect();
        if rows.is_empty() {
            sheet.line("None in the requested period.");
        } else {
            sheet.table(&["Ex-date", "Paid", "Per share"], &rows);
        }
        for split in self.bundle.splits.iter().flatten() {
            sheet.line(&format!(
                "Split on {}: {} new shares for {}.",
                split.date, split.new, split.old
            ));
        }
    }
}

/// Earnings per share, each in its own currency or else in that of the accounts.
fn earnings(sheet: &mut Sheet, record: &Fundamentals, accounts: &str) {
    sheet.section("Earnings");
    let rows: Vec<Vec<String>> = record
        .earnings
        .iter()
        .take(MOST_ROWS)
        .map(|row| {
            let unit = Unit::Price(row.currency.as_deref().unwrap_or(accounts).to_owned());
            vec![
                row.period.to_string(),
                row.reported.map(|day| day.to_string()).unwrap_or_default(),
                row.actual.map_or_else(|| "to come".to_owned(), |value| shown(value, &unit)),
                optional(row.estimate, &unit),
                optional(row.surprise_percent, &Unit::Percent),
            ]
        })
        .collect();
    if rows.is_empty() {
        sheet.line("None known.");
    } else {
        sheet.table(&["Period to", "Report", "EPS", "Expected", "Surprise"], &rows);
    }
}

fn optional(value: Option<Decimal>, unit: &Unit) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| shown(value, unit))
}

/// The accounts of the last years, and of the quarters or half years, in millions.
fn history(sheet: &mut Sheet, record: &Fundamentals, currency: &str) {
    sheet.section("Financial history");
    if record.yearly.is_empty() && record.interim.is_empty() {
        return sheet.line("None known.");
    }
    statements(sheet, &record.yearly, ("year", "year"), currency);
    statements(sheet, &record.interim, ("interim", "quarter or half year"), currency);
}

/// A table of statements. Facts have the first word in their ids, people read the second.
fn statements(sheet: &mut Sheet, list: &[Statement], (key, period): (&str, &str), currency: &str) {
    if list.is_empty() {
        return;
    }
    let columns: Vec<&Statement> = list.iter().take(MOST_STATEMENTS).collect();
    type Read = fn(&Statement) -> Option<Decimal>;
    let read: [(&str, &str, Read); 9] = [
        ("revenue", "Revenue", |of| of.figures.revenue),
        ("operating_income", "Operating income", |of| of.figures.operating_income),
        ("net_income", "Net income", |of| of.figures.net_income),
        ("operating_cash_flow", "Operating cash flow", |of| of.figures.operating_cash_flow),
        ("free_cash_flow", "Free cash flow", |of| of.figures.free_cash_flow),
        ("assets", "Assets", |of| of.figures.assets),
        ("equity", "Equity", |of| of.figures.equity),
        ("debt", "Debt", |of| of.figures.debt),
        ("cash", "Cash", |of| of.figures.cash),
    ];
    let million = Decimal::from(1_000_000);
    let rows: Vec<Vec<String>> = read
        .iter()
        .map(|(id, label, value)| {
            let mut row = vec![(*label).to_owned()];
            for statement in &columns {
                let (value, end) = (value(statement), statement.end);
                if let Some(value) = value {
                    let id = format!("{key}.{end}.{id}");
                    let label = format!("{label}, {period} to {end}");
                    sheet.keep(&id, &label, value, &Unit::Amount(currency.to_owned()), Some(end));
                }
                row.push(value.map_or_else(|| "n/a".to_owned(), |v| grouped(v / million, 1)));
            }
            row
        })
        .collect();
    let mut head = vec![format!("Million {currency}, {period} to")];
    head.extend(columns.iter().map(|statement| statement.end.to_string()));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    sheet.table(&head, &rows);
}
