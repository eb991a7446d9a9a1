//! What the client makes of answers. The bodies are made up, in the shapes that the vendor documents.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
};

use jiff::civil::date;
use rust_decimal::Decimal;
use serde_json::json;

use super::*;

const KEY: &str = "5f3e.secret-Key_01";

fn bhp() -> Symbol {
    Symbol::stock("BHP").expect("a code")
}

/// A clock that stands.
struct Still(i64);

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        self.0
    }

    fn sleep(&self, _: Duration) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn client(base: &str) -> Eodhd {
    client_at(base, KEY, 1_000_000, SharedRate::default())
}

fn client_at(base: &str, key: &str, now_ms: i64, rate: SharedRate) -> Eodhd {
    let provider = Provider {
        info: quaero_net::provider_info("eodhd").expect("it is known"),
        base_url: base.parse().expect("an address"),
        key: Some(key.into()),
        is_own: true,
    };
    Eodhd::new(provider, Arc::new(Still(now_ms)), rate).expect("a key")
}

const BASE: &str = "https://eodhd.com/api/";

/// A server that gives each connection the next answer; returns its base and the requests it gets.
fn serve(answers: Vec<String>) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}/api/", listener.local_addr().expect("an address"));
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().expect("a connection");
            let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
            let first = lines.next().expect("a line").expect("text");
            let headers = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
            let key = headers.filter(|line| line.to_ascii_lowercase().starts_with("authorization"));
            let _ = send.send(format!("{first}\n{}", key.collect::<String>()));
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    (base, receive)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn year() -> DateRange {
    DateRange { from: date(2026, 1, 1), to: date(2026, 11, 25) }
}

#[test]
fn each_answer_that_is_an_error_is_told_as_what_it_is() {
    let client = client(BASE);
    let symbol = bhp();
    let request = Request::about("prices", "eod", &symbol, 1);
    let rows = [
        (401, "Unauthenticated", "key_refused"),
        (402, "You exceeded your daily API requests limit.", "quota_used_up"),
        (403, "Only EOD data allowed for free users.", "not_in_plan"),
        (404, "Ticker Not Found.", "unknown_symbol"),
        (422, r#"{"errors":{"s":["The s field is required."]}}"#, "rejected"),
        (429, "Too Many Requests", "too_many_requests"),
        (502, "<html>Bad Gateway</html>", "unavailable"),
        (200, "You exceeded your daily API requests limit. Please contact us", "quota_used_up"),
        (200, "Unauthenticated", "key_refused"),
        (200, "Only EOD data allowed for free users", "not_in_plan"),
        (200, "Ticker Not Found.", "unknown_symbol"),
        (200, "<!doctype html><title>Maintenance</title>", "unreadable"),
        (200, "Date,Open,High\n2026-01-02,1,2\n24835", "unreadable"),
        (200, "", "unreadable"),
        (200, "[{\"date\":", "unreadable"),
        (200, r#"{"errors":{"from":["bad"]}}"#, "rejected"),
        (200, r#"{"error":"no"}"#, "rejected"),
        (302, "", "rejected"),
    ];
    for (status, body, code) in rows {
        let error = client.judge(&request, status, body, None).expect_err(body);
        assert_eq!(error.code(), code, "{status} {body}");
    }
    client.judge(&request, 200, " [] ", None).expect("an empty list is an answer");
}

#[tokio::test]
async fn the_key_is_in_no_message() {
    let echo = format!("Bad request: /api/eod/BHP.AU?api_token={KEY}&fmt=json, token {KEY}");
    for status in ["200 OK", "403 Forbidden", "422 Unprocessable Content", "500 Error"] {
        let (base, _requests) = serve(vec![answer(status, "", &echo)]);
        let error = client(&base).prices(&bhp(), year()).await.expect_err("an error");
        assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_fails_or_redirects_does_not_tell_the_key() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}/api/", listener.local_addr().expect("an address"))
    };
    let error = client(&closed).prices(&bhp(), year()).await.expect_err("nobody listens");
    assert_eq!(error.code(), "cannot_connect");
    assert!(!format!("{error:?}").contains(KEY), "{error:?}");

    let location = format!("Location: http://127.0.0.1:1/elsewhere?api_token={KEY}\r\n");
    let (base, _requests) = serve(vec![answer("302 Found", &location, "")]);
    let error = client(&base).prices(&bhp(), year()).await.expect_err("redirects are not followed");
    assert_eq!(error.code(), "bad_redirect");
    assert!(!format!("{error:?}").contains(KEY), "{error:?}");
}

#[tokio::test]
async fn limits_are_kept_and_calls_are_counted() {
    let limited = "X-RateLimit-Limit: 1200\r\nX-RateLimit-Remaining: 0\r\n";
    let rows = json!([{"date": "2026-11-24", "open": 1, "high": 2, "low": 1, "close": 2, "adjusted_close": 2, "volume": 3}]);
    let (base, requests) = serve(vec![
        answer("404 Not Found", "", "Ticker Not Found."),
        answer("403 Forbidden", "", "Only EOD data allowed for free users."),
        answer("200 OK", limited, &rows.to_string()),
    ]);
    let client = client(&base);
    let symbol = bhp();
    client.prices(&symbol, year()).await.expect_err("unknown");
    assert_eq!(client.calls(), 1, "an unknown symbol costs one call");
    client.fundamentals(&symbol).await.expect_err("not in the plan");
    assert_eq!(client.calls(), 1, "an error costs nothing");
    let series = client.prices(&symbol, year()).await.expect("prices");
    assert_eq!((series.bars.len(), client.calls()), (1, 2));
    assert_eq!(client.rate_limit().limit, Some(1200));
    let error = client.quote(&symbol).await.expect_err("the minute is used up");
    assert_eq!(error, MarketError::TooManyRequests { provider: NAME, wait_ms: 60_000 });
    let asked: Vec<String> = requests.try_iter().collect();
    assert_eq!(asked.len(), 3, "what would be refused is not asked: {asked:?}");
    assert_eq!(
        asked[2],
        format!(
            "GET /api/eod/BHP.AU?fmt=json&from=2026-01-01&to=2026-11-25&period=d&order=a HTTP/1.1\nauthorization: Bearer {KEY}"
        )
    );
}

#[tokio::test]
async fn what_is_used_up_is_not_asked_for_before_midnight() {
    let (base, requests) = serve(vec![
        answer("402 Payment Required", "", "You exceeded your daily API requests limit."),
        answer("200 OK", "", r#"{"dailyRateLimit": 20, "apiRequests": 20}"#),
        answer("200 OK", "", "[]"),
        answer("200 OK", "", "[]"),
    ]);
    // 24 November 2026, 10:00 UTC.
    let now = 1_795_514_400_000;
    let rate = SharedRate::default();
    let client = client_at(&base, KEY, now, rate.clone());
    let error = client.fundamentals(&bhp()).await.expect_err("used up");
    assert_eq!(error.code(), "quota_used_up");
    assert!(error.to_string().contains("from 2026-11-25 00:00 UTC"), "{error}");
    // Neither other parts nor other clients of the account ask for more; the account is free.
    assert_eq!(client.news(&bhp(), year()).await, Err(error.clone()));
    let other = client_at(&base, KEY, now + 1_000, rate.clone());
    assert_eq!(other.prices(&bhp(), year()).await.expect_err("used up"), error);
    assert_eq!(requests.try_iter().count(), 1);
    other.account().await.expect("an account");
    // From midnight on it is asked again, and another account at once.
    let morning = client_at(&base, KEY, now + 14 * 3_600_000, rate.clone());
    morning.prices(&bhp(), year()).await.expect("prices");
    rate.lock().expect("nobody panics").used_up_until_ms = Some(i64::MAX);
    client_at(&base, "another.key", now, rate).prices(&bhp(), year()).await.expect("prices");
}

#[test]
fn prices_keep_what_can_be_read_and_name_what_cannot() {
    let row = |date: &str, close: Value| json!({"date": date, "open": "41.50", "high": 42, "low": 41.1, "close": close, "adjusted_close": "20.75", "volume": null});
    let answer = json!([
        row("2026-11-20", json!("41.90")),
        row("2026-11-23", json!("NA")),
        row("2026-11-24", json!("4 1")),
        row("someday", json!(41.9)),
        {"date": "2026-11-25", "open": 1, "high": 1, "low": 1, "close": 1, "adjusted_close": 1, "volume": 5, "warning": "Data is limited by one year"},
        {"warning": "Data is limited by one year as you have free subscription"},
    ]);
    let series = wire::prices(&answer, &bhp()).expect("rows");
    let days: Vec<String> = series.bars.iter().map(|bar| bar.date.to_string()).collect();
    assert_eq!(days, ["2026-11-20", "2026-11-25"]);
    let bar = &series.bars[0];
    assert_eq!((bar.open.to_string(), bar.close.to_string()), ("41.5".into(), "41.9".into()));
    assert_eq!((bar.low.to_string(), bar.volume), ("41.1".into(), None));
    assert_eq!(series.notes.count, 3, "{:?}", series.notes);
    assert_eq!(series.notes.lines[0], "The prices of 2026-11-23 are incomplete");
    assert!(series.warning.expect("a warning").contains("free subscription"));
    for odd in [json!(41.2), json!("text"), json!(null)] {
        wire::prices(&odd, &bhp()).expect_err("no list");
    }
    assert!(wire::prices(&json!([]), &bhp()).expect("empty").bars.is_empty());
}

#[test]
fn a_price_that_is_not_available_is_none_and_never_zero() {
    let na = json!({"code": "BHP.AU", "timestamp": "NA", "open": "NA", "close": "NA", "previousClose": "NA", "change_p": "NA", "volume": "NA"});
    let quote = wire::quote(&na, &bhp()).expect("an answer");
    assert_eq!((quote.at, quote.price, quote.volume), (None, None, None));
    let list = json!([{"code": "XYZ.AU", "close": 1}, {"code": "bhp.au", "close": "41.90", "timestamp": 1_795_586_400, "change_p": -1.2}]);
    let quote = wire::quote(&list, &bhp()).expect("an answer");
    assert_eq!(quote.price.map(|p| p.to_string()).as_deref(), Some("41.9"));
    assert_eq!(quote.at.map(|at| at.to_string()).as_deref(), Some("2026-11-25T06:00:00Z"));
    let other = wire::quote(&json!([{"code": "XYZ.AU", "close": 1}]), &bhp()).expect("an answer");
    assert_eq!(other.code, "XYZ.AU", "whose price it is stays known");
    wire::quote(&json!([]), &bhp()).expect_err("empty");
}

#[test]
fn events_are_read_whole_or_refused() {
    let dividends = json!([{"date": "2026-09-03", "paymentDate": "2026-09-24", "value": "0.92500", "unadjustedValue": 0.925, "currency": "AUD"}]);
    let dividends = wire::dividends(&dividends, &bhp()).expect("a list");
    assert_eq!(dividends[0].value.to_string(), "0.925");
    wire::dividends(&json!([{"date": "2026-09-03", "value": "NA"}]), &bhp())
        .expect_err("no amount");
    let ratio = |text: &str| {
        let splits = wire::splits(&json!([{"date": "2026-03-02", "split": text}]), &bhp());
        splits.ok().map(|list| format!("{}:{}", list[0].new, list[0].old))
    };
    for (text, expected) in [
        ("4.000000/1.000000", Some("4:1")),
        ("1/10", Some("1:10")),
        ("4:1", Some("4:1")),
        ("0/1", None),
        ("4", None),
        ("NA", None),
    ] {
        assert_eq!(ratio(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn accounts_are_read_from_objects_that_stand_for_lists() {
    let answer = json!({
        "General": {"Code": "BHP", "Name": "Example Mining", "CurrencyCode": "AUD", "IsDelisted": "0", "UpdatedAt": "2026-11-24", "ISIN": "NA"},
        "Highlights": {"MarketCapitalization": "212000000000", "PERatio": 0, "EarningsShare": null, "MostRecentQuarter": "2026-06-30", "ProfitMargin": "0.21", "EBITDA": "1,5"},
        "Valuation": [],
        "Technicals": {"Beta": 0.8, "50DayMA": 40.0, "52WeekHigh": "48.2"},
        "Holders": {"Institutions": {"1": {"name": "B", "totalShares": 1.5, "currentShares": 10}, "0": {"name": "A", "currentShares": "20"}}, "Funds": []},
        "Earnings": {"History": {
            "2026-06-30": {"date": "2026-06-30", "reportDate": "2026-08-18", "epsActual": "1.02", "epsEstimate": 1.0, "surprisePercent": 2},
            "2026-12-31": {"date": "2026-12-31", "reportDate": "2027-02-16", "epsActual": null, "epsEstimate": 1.1}}},
        "Financials": {
            "Income_Statement": {"currency_symbol": "USD", "yearly": {"2026-06-30": {"date": "2026-06-30", "totalRevenue": "55000000000.00", "netIncome": null}, "2025-06-30": {"totalRevenue": "54000000000.00"}}, "quarterly": {}},
            "Balance_Sheet": {"yearly": {"2026-06-30": {"totalStockholderEquity": "45000000000.00", "netIncome": "11000000000.00"}}, "quarterly": []},
            "Cash_Flow": {"yearly": {}}},
    });
    let company = wire::fundamentals(&answer, &bhp()).expect("accounts");
    assert_eq!((company.isin, company.delisted), (None, Some(false)));
    assert_eq!(
        (company.currency.as_deref(), company.statement_currency.as_deref()),
        (Some("AUD"), Some("USD"))
    );
    assert_eq!(company.highlights.eps, None);
    assert_eq!(company.highlights.pe, Some(Decimal::ZERO), "0 is kept; the gate judges it");
    let names: Vec<&str> = company.holders.iter().map(|holder| holder.name.as_str()).collect();
    assert_eq!(names, ["A", "B"]);
    assert_eq!(company.earnings[0].actual, None, "a report to come");
    assert_eq!(company.earnings[1].actual.map(|n| n.to_string()).as_deref(), Some("1.02"));
    let years: Vec<String> = company.yearly.iter().map(|y| y.end.to_string()).collect();
    assert_eq!(years, ["2026-06-30", "2025-06-30"]);
    let figures = &company.yearly[0].figures;
    assert_eq!(figures.revenue.map(|n| n.to_string()).as_deref(), Some("55000000000"));
    assert_eq!(figures.net_income.map(|n| n.to_string()).as_deref(), Some("11000000000"));
    assert!(company.interim.is_empty());
    assert_eq!(company.notes.lines, ["Highlights.EBITDA is not a number: \"1,5\""]);
    for odd in [json!([]), json!("NA"), json!({}), json!({"General": []})] {
        wire::fundamentals(&odd, &bhp()).expect_err("no accounts");
    }
}

#[test]
fn an_account_is_read_without_its_owner() {
    let answer = json!({"name": "N", "email": "e@example.org", "subscriptionType": "monthly", "apiRequests": 5301, "apiRequestsDate": "2026-11-25", "dailyRateLimit": "100000", "extraLimit": 500});
    let account = wire::account(&answer).expect("an account");
    assert_eq!(
        (account.daily_limit, account.used, account.extra),
        (Some(100_000), Some(5301), Some(500))
    );
    assert!(!format!("{account:?}").contains("example.org"));
}
