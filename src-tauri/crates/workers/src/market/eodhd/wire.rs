//! From the vendor's JSON to the types of the market. Field names and shapes are the vendor's; so are
//! the surprises, which [`number`](crate::market::number) takes as they come.

use jiff::Timestamp;
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::Value;

use crate::market::{
    model::{
        Analysts, Bar, Dividend, Earnings, Figures, Fundamentals, Highlights, Holder, News, Quote,
        Series, SharesStats, Split, Statement, Symbol, Technicals, Valuation,
    },
    number::{Fields, Notes, date, entries, text},
    provider::MarketError,
};

/// More rows are not read: a century of sessions has fewer.
const MAX_ROWS: usize = 40_000;
/// Accounts that are kept of each kind.
const MAX_STATEMENTS: usize = 12;
/// Holders that are kept.
const MAX_HOLDERS: usize = 10;
/// Earnings that are kept.
const MAX_EARNINGS: usize = 12;

fn unreadable(what: &str, symbol: &Symbol, reason: &str) -> MarketError {
    MarketError::Unreadable { what: format!("{what} of {symbol}"), reason: reason.to_owned() }
}

/// The rows of an answer that should be a list.
fn rows<'a>(answer: &'a Value, what: &str, symbol: &Symbol) -> Result<Vec<&'a Value>, MarketError> {
    if !answer.is_array() && !answer.is_object() {
        return Err(unreadable(what, symbol, "it is no list"));
    }
    let rows: Vec<&Value> = entries(answer).into_iter().map(|(_, row)| row).collect();
    if rows.len() > MAX_ROWS {
        return Err(unreadable(what, symbol, "it has more than 40,000 rows"));
    }
    Ok(rows)
}

pub(super) fn prices(answer: &Value, symbol: &Symbol) -> Result<Series, MarketError> {
    let mut series = Series::default();
    for row in rows(answer, "prices", symbol)? {
        let fields = Fields::new(row, "a day's prices");
        if let Some(warning) = fields.text("warning") {
            series.warning = Some(warning);
        }
        let notes = &mut series.notes;
        let before = notes.count;
        let bar = (|| {
            Some(Bar {
                date: fields.date("date", notes)?,
                open: fields.decimal("open", notes)?,
                high: fields.decimal("high", notes)?,
                low: fields.decimal("low", notes)?,
                close: fields.decimal("close", notes)?,
                adjusted_close: fields.decimal("adjusted_close", notes)?,
                volume: fields.decimal("volume", notes),
            })
        })();
        match bar {
            Some(bar) => series.bars.push(bar),
            // The row that only carries the warning is no damage.
            None if !fields.raw("warning").is_null() && fields.raw("close").is_null() => {}
            None if series.notes.count == before => {
                let day = fields.text("date").unwrap_or_else(|| "a row without a day".to_owned());
                series.notes.add(format!("The prices of {day} are incomplete"));
            }
            None => {}
        }
    }
    Ok(series)
}

pub(super) fn quote(answer: &Value, symbol: &Symbol) -> Result<Quote, MarketError> {
    let own = symbol.to_string();
    let code_of = |row: &Value| text(&row["code"]).unwrap_or_default();
    let row = match answer {
        Value::Object(_) => answer,
        Value::Array(list) => list
            .iter()
            .find(|row| code_of(row).eq_ignore_ascii_case(&own))
            .or_else(|| list.first())
            .ok_or_else(|| unreadable("the recent price", symbol, "it is empty"))?,
        _ => return Err(unreadable("the recent price", symbol, "it is no object")),
    };
    // Unknown and delisted securities answer with "NA" everywhere; the gate says so.
    let mut notes = Notes::default();
    let fields = Fields::new(row, "the recent price");
    let at = fields.decimal("timestamp", &mut notes).and_then(|seconds| seconds.to_i64());
    let at = at.filter(|seconds| *seconds > 0);
    Ok(Quote {
        code: code_of(row),
        at: at.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        price: fields.decimal("close", &mut notes),
        previous_close: fields.decimal("previousClose", &mut notes),
        change_percent: fields.decimal("change_p", &mut notes),
        volume: fields.decimal("volume", &mut notes),
    })
}

pub(super) fn dividends(answer: &Value, symbol: &Symbol) -> Result<Vec<Dividend>, MarketError> {
    let mut notes = Notes::default();
    let mut list = Vec::new();
    for row in rows(answer, "dividends", symbol)? {
        let fields = Fields::new(row, "a dividend");
        match (fields.date("date", &mut notes), fields.decimal("value", &mut notes)) {
            (Some(date), Some(value)) => list.push(Dividend {
                date,
                payment: fields.date("paymentDate", &mut notes),
                value,
                currency: fields.text("currency"),
            }),
            _ => return Err(unreadable("dividends", symbol, "one has no day or no amount")),
        }
    }
    Ok(list)
}

pub(super) fn splits(answer: &Value, symbol: &Symbol) -> Result<Vec<Split>, MarketError> {
    let mut notes = Notes::default();
    let mut list = Vec::new();
    for row in rows(answer, "splits", symbol)? {
        let fields = Fields::new(row, "a split");
        let ratio = fields.text("split").and_then(|text| ratio(&text));
        match (fields.date("date", &mut notes), ratio) {
            (Some(date), Some((new, old))) => list.push(Split { date, new, old }),
            _ => return Err(unreadable("splits", symbol, "one has no day or no ratio")),
        }
    }
    Ok(list)
}

/// `4.000000/1.000000` or `4:1`: new shares for old ones.
fn ratio(text: &str) -> Option<(Decimal, Decimal)> {
    let (new, old) = text.split_once(['/', ':'])?;
    let number = |text: &str| -> Option<Decimal> {
        let number: Decimal = text.trim().parse().ok()?;
        (number > Decimal::ZERO).then(|| number.normalize())
    };
    Some((number(new)?, number(old)?))
}

pub(super) fn news(answer: &Value, symbol: &Symbol) -> Result<Vec<News>, MarketError> {
    let mut notes = Notes::default();
    let mut list: Vec<News> = Vec::new();
    for row in rows(answer, "articles", symbol)? {
        let fields = Fields::new(row, "an article");
        let at = fields.text("date").and_then(|text| text.parse::<Timestamp>().ok());
        // An article without a time or a headline cannot be placed, and is no news.
        if let (Some(at), Some(title)) = (at, fields.text("title")) {
            let link = fields.text("link").filter(|link| {
                url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
            });
            let polarity = fields.object("sentiment").decimal("polarity", &mut notes);
            list.push(News { at, title, link, polarity });
        }
    }
    list.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.title.cmp(&b.title)));
    Ok(list)
}

pub(super) fn fundamentals(answer: &Value, symbol: &Symbol) -> Result<Fundamentals, MarketError> {
    if !answer.is_object() || !answer["General"].is_object() {
        return Err(unreadable("accounts", symbol, "it has no part `General`"));
    }
    let mut notes = Notes::default();
    let root = Fields::new(answer, "accounts");
    let general = root.object("General");
    let highlights = root.object("Highlights");
    let splits = root.object("SplitsDividends");
    let mut company = Fundamentals {
        code: general.text("Code"),
        name: general.text("Name"),
        description: general.text("Description"),
        sector: general.text("Sector"),
        industry: general.text("Industry"),
        isin: general.text("ISIN"),
        delisted: general.flag("IsDelisted"),
        currency: general.text("CurrencyCode"),
        statement_currency: statement_currency(answer),
        updated: general.date("UpdatedAt", &mut notes),
        most_recent_quarter: highlights.date("MostRecentQuarter", &mut notes),
        highlights: Highlights::read(highlights, &mut notes),
        valuation: Valuation::read(root.object("Valuation"), &mut notes),
        shares: SharesStats::read(root.object("SharesStats"), &mut notes),
        technicals: Technicals::read(root.object("Technicals"), &mut notes),
        analysts: Analysts::read(root.object("AnalystRatings"), &mut notes),
        payout_ratio: splits.decimal("PayoutRatio", &mut notes),
        ex_dividend: splits.date("ExDividendDate", &mut notes),
        yearly: statements(answer, "yearly", &mut notes),
        interim: statements(answer, "quarterly", &mut notes),
        earnings: earnings(answer, &mut notes),
        holders: holders(answer, &mut notes),
        notes: Notes::default(),
    };
    company.notes = notes;
    Ok(company)
}

const STATEMENTS: [&str; 3] = ["Income_Statement", "Balance_Sheet", "Cash_Flow"];

fn statement_currency(answer: &Value) -> Option<String> {
    STATEMENTS.iter().find_map(|name| text(&answer["Financials"][*name]["currency_symbol"]))
}

/// The three statements of each period put together, newest first.
fn statements(answer: &Value, kind: &str, notes: &mut Notes) -> Vec<Statement> {
    let mut list: Vec<(jiff::civil::Date, serde_json::Map<String, Value>)> = Vec::new();
    for name in STATEMENTS {
        for (key, period) in entries(&answer["Financials"][name][kind]) {
            let end = date(key).or_else(|| text(&period["date"]).and_then(|text| date(&text)));
            let (Some(end), Value::Object(fields)) = (end, period) else { continue };
            let known = list.iter_mut().find(|(date, _)| *date == end);
            let whole = match known {
                Some((_, whole)) => whole,
                None => {
                    list.push((end, serde_json::Map::new()));
                    &mut list.last_mut().expect("just pushed").1
                }
            };
            // The first statement that has a figure counts; later ones repeat some of them.
            for (field, value) in fields {
                if whole.get(field).is_none_or(Value::is_null) {
                    whole.insert(field.clone(), value.clone());
                }
            }
        }
    }
    list.sort_by_key(|(end, _)| std::cmp::Reverse(*end));
    list.truncate(MAX_STATEMENTS);
    list.into_iter()
        .map(|(end, fields)| {
            let value = Value::Object(fields);
            let figures = Figures::read(Fields::new(&value, "a statement"), notes);
            Statement { end, figures }
        })
        .collect()
}

fn earnings(answer: &Value, notes: &mut Notes) -> Vec<Earnings> {
    let mut list: Vec<Earnings> = entries(&answer["Earnings"]["History"])
        .into_iter()
        .filter_map(|(key, row)| {
            let fields = Fields::new(row, "earnings");
            Some(Earnings {
                period: fields.date("date", notes).or_else(|| date(key))?,
                reported: fields.date("reportDate", notes),
                actual: fields.decimal("epsActual", notes),
                estimate: fields.decimal("epsEstimate", notes),
                surprise_percent: fields.decimal("surprisePercent", notes),
                currency: fields.text("currency"),
            })
        })
        .collect();
    list.sort_by_key(|row| std::cmp::Reverse(row.period));
    list.truncate(MAX_EARNINGS);
    list
}

fn holders(answer: &Value, notes: &mut Notes) -> Vec<Holder> {
    let mut list: Vec<Holder> = ["Institutions", "Funds"]
        .iter()
        .flat_map(|kind| entries(&answer["Holders"][*kind]))
        .filter_map(|(_, row)| {
            let fields = Fields::new(row, "a holder");
            Some(Holder {
                name: fields.text("name")?,
                date: fields.date("date", notes),
                percent: fields.decimal("totalShares", notes),
                shares: fields.decimal("currentShares", notes),
            })
        })
        .collect();
    list.sort_by(|a, b| b.shares.cmp(&a.shares).then_with(|| a.name.cmp(&b.name)));
    list.truncate(MAX_HOLDERS);
    list
}

/// What an account may ask, without the name and the address that the answer also has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its plan, in the vendor's words.
    pub plan: Option<String>,
    /// Calls of a day.
    pub daily_limit: Option<u64>,
    /// Calls used on `day`.
    pub used: Option<u64>,
    /// The day that `used` is about.
    pub day: Option<jiff::civil::Date>,
    /// Calls beyond those of the day.
    pub extra: Option<u64>,
}

pub(super) fn account(answer: &Value) -> Result<Account, MarketError> {
    if !answer.is_object() {
        return Err(MarketError::Unreadable {
            what: "the account".to_owned(),
            reason: "it is no object".to_owned(),
        });
    }
    let mut notes = Notes::default();
    let fields = Fields::new(answer, "the account");
    let mut count = |key| fields.decimal(key, &mut notes).and_then(|number| number.to_u64());
    Ok(Account {
        daily_limit: count("dailyRateLimit"),
        used: count("apiRequests"),
        extra: count("extraLimit"),
        plan: fields.text("subscriptionType"),
        day: fields.date("apiRequestsDate", &mut notes),
    })
}
