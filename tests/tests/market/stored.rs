//! What is stored is used before a service is asked, and what a service says of its limits is kept to.

use super::*;

/// A quarter of an hour later, and another one.
const LATER: &str = "2026-11-24T10:15:00Z";
const LATER_STILL: &str = "2026-11-24T10:30:00Z";

#[tokio::test]
async fn a_document_is_used_again_until_a_session_closes() {
    let bench = Bench::new();
    let set = bench.set();
    let step = |tags: &[&str]| json!({"asx_codes": ["ABC", "XYZ"], "period": "Y1", "tags": tags});
    let first = bench.run(&set, TUESDAY, "asx_stock_data", step(&[])).await;
    assert_eq!((first.status, first.documents), (RunStatus::Completed, (2, 0, 0)), "{first:?}");
    assert_eq!(first.warnings, Vec::<String>::new());
    let asked = bench.eodhd.requests();
    let targets = bench.eodhd.targets();
    assert_eq!(asked, 13, "six requests for each, and one for the index: {targets:?}");
    assert!(bench.eodhd.targets().iter().all(|target| !target.contains(KEY)));

    let again =
        bench.run(&set, "2026-11-24T20:00:00Z", "asx_stock_collector", step(&["later"])).await;
    assert_eq!((again.status, again.documents), (RunStatus::Completed, (0, 0, 2)), "{again:?}");
    assert_eq!(bench.eodhd.requests(), asked, "nothing is asked again");
    let tagged = bench.documents(&["asx-stock-data", "abc", "later"]).await;
    assert_eq!(tagged.len(), 1, "a document that is used again gets the step's tags");
    assert_eq!(tagged[0].tags, ["abc", "asx-stock-data", "date:2026-11-24", "later"]);
    assert_eq!(tagged[0].metadata["as_of"], "2026-11-24");

    // 22 hours later the next day's prices are out.
    let wednesday = "2026-11-25T08:11:00Z";
    bench.eodhd.at(SEED, at(wednesday));
    let next = bench.run(&set, wednesday, "asx_stock_collector", step(&[])).await;
    assert_eq!((next.status, next.documents), (RunStatus::Completed, (0, 2, 0)), "{next:?}");
    let tagged = bench.documents(&["asx-stock-data", "abc"]).await;
    assert_eq!(tagged[0].tags, ["abc", "asx-stock-data", "date:2026-11-25", "later"]);
    assert_eq!(tagged[0].metadata["as_of"], "2026-11-25");
}

#[tokio::test]
async fn prices_are_kept_with_the_document_and_not_asked_for_again() {
    let bench = Bench::new();
    let set = bench.set();
    let truth = Synthetic::new(SEED, at(TUESDAY));
    let ended = bench.run(&set, TUESDAY, "asx_index_data", json!({})).await;
    assert_eq!((ended.status, bench.eodhd.requests()), (RunStatus::Completed, 1), "{ended:?}");

    // The index is not asked for again, neither for the first stock nor for the second.
    let stocks = json!({"asx_codes": ["ABC", "XYZ"]});
    let ended = bench.run(&set, LATER, "asx_stock_collector", stocks).await;
    assert_eq!((ended.status, bench.eodhd.requests()), (RunStatus::Completed, 13), "{ended:?}");
    let document = bench.documents(&["asx-stock-data", "abc"]).await.remove(0);
    let rows = document.metadata["prices"]["rows"].as_array().expect("rows").clone();
    let range = DateRange {
        from: rows[0][0].as_str().expect("a day").parse().expect("a day"),
        to: jiff::civil::date(2026, 11, 24),
    };
    let bars =
        truth.prices(&Symbol::stock("ABC").expect("a code"), range).await.expect("prices").bars;
    assert_eq!(rows.len(), bars.len());
    for (row, bar) in rows.iter().zip(bars) {
        let row: Vec<&str> =
            row.as_array().expect("a row").iter().filter_map(Value::as_str).collect();
        let told = [bar.open, bar.high, bar.low, bar.close, bar.adjusted_close];
        assert_eq!(row[0], bar.date.to_string());
        assert_eq!(row[1..6], told.map(|price| price.to_string()), "{}", bar.date);
    }

    // Nor is anything asked for what prices did after announcements.
    let announced = json!({"asx_codes": ["ABC", "XYZ"], "accept_asx_terms": true});
    let ended = bench.run(&set, LATER_STILL, "asx_announcements", announced).await;
    assert_eq!((ended.status, ended.documents), (RunStatus::Completed, (2, 0, 0)), "{ended:?}");
    assert_eq!(ended.warnings, Vec::<String>::new());
    assert_eq!(bench.eodhd.requests(), 13, "{:?}", bench.eodhd.targets());
    let told = &bench.documents(&["asx-announcement", "abc"]).await[0];
    let built_from = told.metadata["built_from"].as_array().expect("where the prices are from");
    assert_eq!(built_from.len(), 2, "the stock's document and the index's: {}", told.markdown);
    let document = bench.documents(&["asx-announcement", "xyz"]).await.remove(0);
    let items = document.metadata["announcements"].as_array().expect("a list");
    assert!(items.iter().any(|item| item["index_return"].is_number()));

    // A day later the documents are too old, and everything is asked for: of one stock and the index.
    let wednesday = "2026-11-25T08:11:00Z";
    bench.eodhd.at(SEED, at(wednesday));
    bench.asx.at(SEED, at(wednesday));
    let announced = json!({"asx_codes": ["ABC"], "accept_asx_terms": true});
    let ended = bench.run(&set, wednesday, "asx_announcements", announced).await;
    assert_eq!((ended.status, ended.documents), (RunStatus::Completed, (0, 1, 0)), "{ended:?}");
    assert_eq!(bench.eodhd.requests(), 17, "{:?}", bench.eodhd.targets());
}

#[tokio::test]
async fn what_was_announced_explains_a_fall_and_brings_the_indicators_back() {
    let bench = Bench::new();
    let set = bench.set();
    bench.eodhd.faults(&[EodhdFault::Fall]);
    let jump = |document: &DocumentView| {
        let checks = document.metadata["quality"]["report"]["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["check_id"] == "jump").expect("a check").clone()
    };
    let stocks = || json!({"ticker": "ABC"});
    let ended = bench.run(&set, TUESDAY, "asx_stock_collector", stocks()).await;
    assert_eq!(ended.status, RunStatus::Completed, "{ended:?}");
    let document = bench.documents(&["asx-stock-data", "abc"]).await.remove(0);
    assert_eq!(jump(&document)["severity"], "error", "nobody knows what was announced");
    assert!(jump(&document)["message"].as_str().expect("text").contains("`asx_announcements`"));
    assert_eq!(document.metadata["quality"]["report"]["technicals"], false);

    let announced = json!({"ticker": "ABC", "accept_asx_terms": true});
    let ended = bench.run(&set, LATER, "asx_announcements", announced).await;
    assert_eq!((ended.status, ended.warnings.len()), (RunStatus::Completed, 0), "{ended:?}");

    // The document is young enough, but what it calls an error may now be explained.
    let ended = bench.run(&set, LATER_STILL, "asx_stock_collector", stocks()).await;
    assert_eq!((ended.status, ended.documents), (RunStatus::Completed, (0, 1, 0)), "{ended:?}");
    let document = bench.documents(&["asx-stock-data", "abc"]).await.remove(0);
    assert_eq!(
        (jump(&document)["severity"].as_str(), &jump(&document)["status"]),
        (Some("warn"), &json!("fail"))
    );
    assert!(document.markdown.contains("and the company had announced something"));
    let facts = document.metadata["facts"].to_string();
    assert!(facts.contains("ta.rsi14") && facts.contains("return.1_year"), "{facts}");
    let asked = bench.eodhd.requests();
    let ended = bench.run(&set, "2026-11-24T10:45:00Z", "asx_stock_collector", stocks()).await;
    assert_eq!((ended.documents, bench.eodhd.requests()), ((0, 0, 1), asked), "{ended:?}");
}

#[tokio::test]
async fn when_the_days_calls_run_out_nothing_more_is_asked_and_it_is_said() {
    let bench = Bench::new();
    bench.eodhd.faults(&[EodhdFault::QuotaEnds]);
    let stocks = json!({"asx_codes": ["ABC"]});
    let ended = bench.run(&bench.set(), TUESDAY, "asx_stock_collector", stocks).await;
    assert_eq!((ended.status, ended.documents), (RunStatus::Completed, (1, 0, 0)), "{ended:?}");
    // The prices, dividends, splits, the recent price and the index are there; articles are not even
    // asked for.
    let targets = bench.eodhd.targets();
    assert_eq!(bench.eodhd.requests(), 6, "{targets:?}");
    assert!(!targets.iter().any(|target| target.contains("/news")), "{targets:?}");
    let why = "has no accounts, articles. The day's calls to EODHD are used up. It can be asked again from 2026-11-25 00:00 UTC";
    assert!(ended.warnings.iter().any(|warning| warning.contains(why)), "{:?}", ended.warnings);
    let document = bench.documents(&["abc"]).await.remove(0);
    assert!(
        document.markdown.contains("**Missing:** accounts, articles. The day's calls to EODHD")
    );
    assert_eq!(document.metadata["complete"], false, "it is asked for again");

    // Of three stocks only the first is asked for.
    let bench = Bench::new();
    bench.eodhd.faults(&[EodhdFault::QuotaUsedUp]);
    let stocks = json!({"asx_codes": ["ABC", "XYZ", "A2M"]});
    let ended = bench.run(&bench.set(), TUESDAY, "asx_stock_collector", stocks).await;
    assert_eq!(ended.status, RunStatus::Failed, "{ended:?}");
    // Two tasks may run at the same time.
    assert!(bench.eodhd.requests() <= 2, "{:?}", bench.eodhd.targets());
}

#[tokio::test]
async fn announcements_lead_to_their_pdfs_which_are_looked_up_once() {
    let bench = Bench::new();
    let set = bench.set();
    let pages = |bench: &Bench| bench.asx.requests_for("displayAnnouncement");
    let step = |period: &str, route: &str| json!({"asx_code": "ABC", "accept_asx_terms": true, "period": period, "route": route, "pdf_links": 5});
    let ended = bench.run(&set, TUESDAY, "asx_announcements", step("Y1", "html")).await;
    assert_eq!((ended.status, pages(&bench)), (RunStatus::Completed, 5), "{ended:?}");
    let document = bench.documents(&["asx-announcement"]).await.remove(0);
    let items = document.metadata["announcements"].as_array().expect("a list");
    let found: Vec<&Value> = items.iter().filter(|item| item["pdf"].is_string()).collect();
    assert_eq!(found.len(), 5);
    for item in &found {
        let id = item["id"].as_str().expect("a number");
        let pdf = format!("https://announcements.asx.com.au/asxpdf/20260413/pdf/{id}.pdf");
        assert_eq!(item["pdf"], pdf);
        assert!(document.markdown.contains(&format!("]({pdf})")), "{}", document.markdown);
    }
    let of =
        |sensitive: bool| items.iter().filter(move |item| item["price_sensitive"] == sensitive);
    assert!(of(true).count() < 5 || found.iter().all(|item| item["price_sensitive"] == true));
    assert!(of(false).any(|item| item["pdf"].is_null()), "the others keep the exchange's page");
    // What is known is not looked up again, whichever the way and the period; the rest follows.
    let ended = bench.run(&set, LATER, "asx_announcements", step("M6", "json")).await;
    assert_eq!(ended.status, RunStatus::Completed, "{ended:?}");
    assert!((6..=10).contains(&pages(&bench)), "{:?}", bench.asx.targets());
    for item in found {
        let id = item["id"].as_str().expect("a number");
        assert_eq!(bench.asx.requests_for(&format!("idsId={id}")), 1);
    }
}
