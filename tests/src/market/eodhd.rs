//! EODHD, by its documentation (<https://eodhd.com/financial-apis/>) and recorded answers of public
//! client libraries: the shapes of its JSON, its errors as plain text, its numbers as text.

use std::io;

use futures::executor::block_on;
use jiff::{Timestamp, civil::date};
use quaero_workers::market::{
    MarketData as _,
    announcements::Announcements as _,
    calendar::asx,
    model::{DateRange, Figures, Fundamentals, Statement, Symbol},
};
use serde_json::{Map, Value, json};

use super::{Answer, Asked, Eodhd, State};

/// The key that is accepted.
pub const KEY: &str = "emulated.key-0001";

/// What EODHD does at times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EodhdFault {
    /// The free plan: prices of one year with a warning in the last row, nothing else (403, as text).
    FreePlan,
    /// The day's calls are used up: 402 with a sentence.
    QuotaUsedUp,
    /// The day's calls do not suffice for what costs most: 402 for accounts and articles.
    QuotaEnds,
    /// The same sentence with status 200, as old clients saw it.
    QuotaAsText,
    /// Maintenance between 5:30 and 6:00 GMT: 502.
    Maintenance,
    /// The minute's requests are used up: 429.
    TooMany,
    /// `"NA"` in every field of a recent price, as for unknown and delisted codes.
    NaQuote,
    /// A page where JSON should be.
    Page,
    /// A fall by two fifths that stays, on the session of something that the company announced.
    Fall,
}

impl Eodhd {
    /// Starts the service with an invented market as known at `now`.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(seed: u64, now: Timestamp) -> io::Result<Self> {
        Self::serve(seed, now, answer)
    }
}

fn answer(state: &State<EodhdFault>, asked: &Asked) -> Answer {
    const USED_UP: &str =
        "You exceeded your daily API requests limit. Please contact support@eodhistoricaldata.com";
    const FREE: &str = "Only EOD data allowed for free users. Please, contact our support team";
    let key =
        asked.get("api_token").or_else(|| asked.authorization.as_deref()?.strip_prefix("Bearer "));
    if key != Some(KEY) {
        return Answer::text("401 Unauthorized", "Unauthenticated");
    }
    for (fault, status, body) in [
        (EodhdFault::Maintenance, "502 Bad Gateway", "<html>502 Bad Gateway</html>"),
        (EodhdFault::TooMany, "429 Too Many Requests", "Too Many Requests"),
        (EodhdFault::QuotaUsedUp, "402 Payment Required", USED_UP),
        (EodhdFault::QuotaAsText, "200 OK", USED_UP),
        (EodhdFault::Page, "200 OK", "<!doctype html><title>EODHD</title>"),
    ] {
        if state.has(fault) {
            return Answer::text(status, body);
        }
    }
    let costly = asked.path.iter().any(|part| part == "fundamentals" || part == "news");
    if costly && state.has(EodhdFault::QuotaEnds) {
        return Answer::text("402 Payment Required", USED_UP);
    }
    // Without `fmt=json` it is CSV.
    if asked.get("fmt") != Some("json") {
        return Answer::text("200 OK", "Date,Open,High,Low,Close,Adjusted_close,Volume\n0\n");
    }
    let [api, endpoint, rest @ ..] = asked.path.as_slice() else {
        return Answer::text("404 Not Found", "Not Found");
    };
    if api != "api" {
        return Answer::text("404 Not Found", "Not Found");
    }
    let free = state.has(EodhdFault::FreePlan);
    let subject = match endpoint.as_str() {
        "user" => return Answer::json(user()),
        "news" => asked.get("s"),
        _ => rest.first().map(String::as_str),
    };
    let Some(symbol) = subject.and_then(|text| Symbol::stock(text).or(Symbol::index(text)).ok())
    else {
        return Answer::text("404 Not Found", "Ticker Not Found.");
    };
    // One code stands for those that nobody knows.
    if symbol.code() == "GONE" {
        return match endpoint.as_str() {
            "real-time" => Answer::json(na(&symbol)),
            _ => Answer::text("404 Not Found", "Ticker Not Found."),
        };
    }
    if free && endpoint != "eod" {
        return Answer::text("403 Forbidden", FREE);
    }
    let market = state.market();
    let range = range(asked);
    let limits = "X-RateLimit-Limit: 1200\r\nX-RateLimit-Remaining: 1100\r\n";
    let body = match endpoint.as_str() {
        "eod" => prices(&market, &symbol, range, (free, state.has(EodhdFault::Fall))),
        "real-time" if state.has(EodhdFault::NaQuote) => Some(na(&symbol)),
        "real-time" => quote(&market, &symbol),
        "div" => dividends(&market, &symbol, range),
        "splits" => splits(&market, &symbol, range),
        "fundamentals" => block_on(market.fundamentals(&symbol)).ok().map(|f| fundamentals(&f)),
        "news" => news(&market, &symbol, range),
        _ => None,
    };
    match body {
        Some(body) => Answer(
            "200 OK",
            format!("Content-Type: application/json\r\n{limits}"),
            body.to_string(),
        ),
        None => Answer::text("404 Not Found", "Not Found"),
    }
}

/// A bad day is ignored, and the whole history comes.
fn range(asked: &Asked) -> DateRange {
    let day = |key| asked.get(key).and_then(|text| text.parse().ok());
    DateRange {
        from: day("from").unwrap_or(date(1980, 1, 1)),
        to: day("to").unwrap_or(date(2100, 1, 1)),
    }
}

type Market = quaero_workers::market::synthetic::Synthetic;

fn prices(
    market: &Market,
    symbol: &Symbol,
    range: DateRange,
    (free, fall): (bool, bool),
) -> Option<Value> {
    let bars = block_on(market.prices(symbol, range)).ok()?.bars;
    let kept = if free { bars.len().saturating_sub(250) } else { 0 };
    let number = |text: String| text.parse::<f64>().map_or(Value::Null, Value::from);
    let mut rows: Vec<Value> = bars[kept..]
        .iter()
        .map(|bar| {
            json!({
                "date": bar.date.to_string(),
                "open": number(bar.open.to_string()),
                "high": number(bar.high.to_string()),
                "low": number(bar.low.to_string()),
                "close": number(bar.close.to_string()),
                "adjusted_close": number(bar.adjusted_close.to_string()),
                "volume": bar.volume.map(|volume| number(volume.to_string())),
            })
        })
        .collect();
    if fall {
        fallen(market, symbol, &mut rows);
    }
    if let (true, Some(last)) = (free, rows.last_mut()) {
        last["warning"] = "Data is limited by one year as you have free subscription".into();
    }
    Some(rows.into())
}

/// Prices from the last price-sensitive announcement of three months ago or before on are two fifths
/// lower.
fn fallen(market: &Market, symbol: &Symbol, rows: &mut [Value]) {
    let range = DateRange { from: date(2015, 1, 1), to: date(2027, 12, 31) };
    let list = block_on(market.list(symbol, range));
    let sessions = list.map(|list| list.events(range, asx()).sensitive).unwrap_or_default();
    let Some(until) = rows.len().checked_sub(63).map(|at| rows[at]["date"].clone()) else { return };
    let mut days = sessions.iter().rev().map(ToString::to_string);
    let day = days.find(|day| Some(day.as_str()) < until.as_str());
    let Some(day) = day.filter(|_| !symbol.is_index()) else { return };
    for row in rows.iter_mut().filter(|row| row["date"].as_str() >= Some(day.as_str())) {
        for key in ["open", "high", "low", "close", "adjusted_close"] {
            let price = row[key].as_f64().unwrap_or_default() * 0.6;
            row[key] = ((price * 1e4).round() / 1e4).into();
        }
    }
}

fn quote(market: &Market, symbol: &Symbol) -> Option<Value> {
    let quote = block_on(market.quote(symbol)).ok()?;
    // Numbers come as text at times.
    Some(json!({
        "code": quote.code, "timestamp": quote.at?.as_second(), "gmtoffset": 0,
        "close": quote.price?.to_string(), "previousClose": quote.previous_close?.to_string(),
        "change_p": quote.change_percent?.to_string(), "volume": null,
    }))
}

fn na(symbol: &Symbol) -> Value {
    json!({
        "code": symbol.to_string(), "timestamp": "NA", "gmtoffset": 0, "open": "NA", "high": "NA",
        "low": "NA", "close": "NA", "volume": "NA", "previousClose": "NA", "change": "NA", "change_p": "NA",
    })
}

fn dividends(market: &Market, symbol: &Symbol, range: DateRange) -> Option<Value> {
    let list = block_on(market.dividends(symbol, range)).ok()?;
    Some(
        list.iter()
            .map(|dividend| {
                json!({
                    "date": dividend.date.to_string(), "declarationDate": null, "recordDate": null,
                    "paymentDate": dividend.payment.map(|day| day.to_string()), "period": null,
                    "value": dividend.value.to_string(), "unadjustedValue": dividend.value.to_string(),
                    "currency": dividend.currency,
                })
            })
            .collect(),
    )
}

fn splits(market: &Market, symbol: &Symbol, range: DateRange) -> Option<Value> {
    let list = block_on(market.splits(symbol, range)).ok()?;
    let ratio = |new, old| format!("{new}.000000/{old}.000000");
    Some(
        list.iter()
            .map(|split| json!({"date": split.date.to_string(), "split": ratio(split.new, split.old)}))
            .collect(),
    )
}

fn news(market: &Market, symbol: &Symbol, range: DateRange) -> Option<Value> {
    let list = block_on(market.news(symbol, range)).ok()?;
    Some(
        list.iter()
            .map(|article| {
                json!({
                    "date": format!("{}", article.at.strftime("%Y-%m-%dT%H:%M:%S+00:00")),
                    "title": article.title, "content": "", "link": "https://example.org/news",
                    "symbols": [symbol.to_string()], "tags": [],
                    "sentiment": article.polarity.map(|p| json!({"polarity": p.to_string(), "neg": 0, "neu": 1, "pos": 0})),
                })
            })
            .collect(),
    )
}

fn user() -> Value {
    json!({
        "name": "Somebody", "email": "somebody@example.org", "subscriptionType": "monthly",
        "paymentMethod": "Not Available", "apiRequests": 5_301, "apiRequestsDate": "2026-11-25",
        "dailyRateLimit": 100_000, "extraLimit": 500, "subscriptionMode": "demo", "availableDataFeeds": [],
    })
}

/// A record: collections as objects keyed "0", "1", … or by date, statements as text.
fn fundamentals(record: &Fundamentals) -> Value {
    let text = |value: Option<_>| value.map(|value: jiff::civil::Date| value.to_string());
    macro_rules! numbers {
        ($from:expr, $($key:literal: $field:ident),* $(,)?) => {
            json!({ $($key: $from.$field.map(|value| value.to_string())),* })
        };
    }
    let keyed = |list: Vec<Value>| -> Value {
        if list.is_empty() {
            return json!([]);
        }
        let numbered = list.into_iter().enumerate().map(|(at, item)| (at.to_string(), item));
        Value::Object(numbered.collect::<Map<_, _>>())
    };
    let mut highlights = numbers!(record.highlights,
        "MarketCapitalization": market_cap, "EBITDA": ebitda, "PERatio": pe, "PEGRatio": peg,
        "WallStreetTargetPrice": target_price, "BookValue": book_value, "DividendShare": dividend_share,
        "DividendYield": dividend_yield, "EarningsShare": eps, "EPSEstimateCurrentYear": eps_this_year,
        "EPSEstimateNextYear": eps_next_year, "ProfitMargin": profit_margin,
        "OperatingMarginTTM": operating_margin, "ReturnOnAssetsTTM": return_on_assets,
        "ReturnOnEquityTTM": return_on_equity, "RevenueTTM": revenue, "GrossProfitTTM": gross_profit,
        "QuarterlyRevenueGrowthYOY": revenue_growth, "QuarterlyEarningsGrowthYOY": earnings_growth);
    highlights["MostRecentQuarter"] = json!(text(record.most_recent_quarter));
    let mut technicals =
        numbers!(record.technicals, "Beta": beta, "52WeekHigh": high_52w, "52WeekLow": low_52w);
    // By calendar days, so not what anybody else calls a 50-day average.
    technicals["50DayMA"] = json!(1.0);
    technicals["200DayMA"] = json!(1.0);
    let holders = record.holders.iter().map(|holder| {
        json!({
            "name": holder.name, "date": text(holder.date),
            "totalShares": holder.percent.map(|p| p.to_string()),
            "currentShares": holder.shares.map(|s| s.to_string()),
        })
    });
    let history: Map<String, Value> = record
        .earnings
        .iter()
        .map(|row| {
            let number = |value: Option<_>| value.map(|value| format!("{value}"));
            let value = json!({
                "reportDate": text(row.reported), "date": row.period.to_string(), "currency": row.currency,
                "epsActual": number(row.actual), "epsEstimate": number(row.estimate),
                "surprisePercent": number(row.surprise_percent),
            });
            (row.period.to_string(), value)
        })
        .collect();
    json!({
        "General": {
            "Code": record.code, "Name": record.name, "Type": "Common Stock", "Exchange": "AU",
            "CurrencyCode": record.currency, "Sector": record.sector, "Industry": record.industry,
            "Description": record.description, "IsDelisted": false, "ISIN": "NA",
            "UpdatedAt": text(record.updated), "Officers": {"0": {"Name": "Somebody", "Title": "CEO"}},
        },
        "Highlights": highlights,
        "Valuation": numbers!(record.valuation, "TrailingPE": trailing_pe, "ForwardPE": forward_pe,
            "PriceSalesTTM": price_sales, "PriceBookMRQ": price_book, "EnterpriseValue": enterprise_value,
            "EnterpriseValueRevenue": ev_revenue, "EnterpriseValueEbitda": ev_ebitda),
        "SharesStats": numbers!(record.shares, "SharesOutstanding": outstanding, "SharesFloat": float,
            "PercentInsiders": percent_insiders, "PercentInstitutions": percent_institutions,
            "ShortPercentFloat": short_percent),
        "Technicals": technicals,
        "SplitsDividends": {
            "PayoutRatio": record.payout_ratio.map(|p| p.to_string()),
            "ExDividendDate": text(record.ex_dividend), "LastSplitFactor": "2:1", "LastSplitDate": "0000-00-00",
        },
        "AnalystRatings": numbers!(record.analysts, "Rating": rating, "TargetPrice": target_price,
            "StrongBuy": strong_buy, "Buy": buy, "Hold": hold, "Sell": sell, "StrongSell": strong_sell),
        "Holders": {"Institutions": keyed(holders.collect()), "Funds": []},
        "Earnings": {"History": history, "Trend": {}, "Annual": {}},
        "Financials": {
            "Income_Statement": statements(record, |f| numbers!(f, "totalRevenue": revenue,
                "grossProfit": gross_profit, "operatingIncome": operating_income, "netIncome": net_income)),
            "Balance_Sheet": statements(record, |f| numbers!(f, "totalAssets": assets, "totalLiab": liabilities,
                "totalStockholderEquity": equity, "shortLongTermDebtTotal": debt, "cash": cash)),
            "Cash_Flow": statements(record, |f| numbers!(f,
                "totalCashFromOperatingActivities": operating_cash_flow,
                "capitalExpenditures": capital_expenditure, "freeCashFlow": free_cash_flow)),
        },
    })
}

fn statements(record: &Fundamentals, figures: impl Fn(&Figures) -> Value) -> Value {
    let by_date = |list: &[Statement]| -> Map<String, Value> {
        list.iter()
            .map(|statement| {
                let mut value = figures(&statement.figures);
                value["date"] = statement.end.to_string().into();
                (statement.end.to_string(), value)
            })
            .collect()
    };
    json!({
        "currency_symbol": record.statement_currency,
        "quarterly": by_date(&record.interim),
        "yearly": by_date(&record.yearly),
    })
}
