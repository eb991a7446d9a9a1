//! What documents say, and what they do not say.

use std::fmt::Write as _;

use futures::executor::block_on;
use jiff::civil::date;
use quaero_store::DocumentId;

use super::*;
use crate::market::{
    announcements::Announcements as _,
    model::{Bar, DateRange, Missing, StockBundle},
    provider::{MarketData as _, Parts as Collected, collect},
    quality::assess,
    synthetic::{Defect, Synthetic},
};

fn now() -> Timestamp {
    "2026-11-25T10:00:00Z".parse().expect("a time")
}

fn range() -> DateRange {
    DateRange { from: date(2023, 10, 1), to: date(2026, 11, 25) }
}

fn bundle(market: &Synthetic, symbol: &Symbol) -> StockBundle {
    let parts = Collected {
        quote: true,
        fundamentals: true,
        news: true,
        benchmark: Some(Symbol::index("XJO").expect("an index")),
    };
    block_on(collect(market, symbol, range(), &parts, now())).expect("data")
}

fn abc() -> Symbol {
    Symbol::stock("ABC").expect("a code")
}

fn asked() -> Asked {
    Asked { period: "Y2".to_owned(), request_hash: "hash".to_owned(), calls: 0 }
}

fn made(bundle: &StockBundle) -> NewDocument {
    stock(bundle, &asked(), now(), asx())
}

#[test]
fn a_stock_has_all_its_sections_and_tags() {
    let document = made(&bundle(&Synthetic::new(1, now()), &abc()));
    let sections: Vec<&str> =
        document.markdown.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(
        sections,
        [
            "Prices",
            "Company",
            "Valuation",
            "Profitability",
            "Ownership",
            "Analysts",
            "Earnings",
            "Financial history",
            "Dividends",
            "Performance",
            "Indicators",
            "News",
            "Data quality",
            "Data used",
        ]
    );
    assert_eq!(document.tags, ["asx-stock-data", "abc", "date:2026-11-25", "synthetic"]);
    assert_eq!(document.source_id, "ABC.AU/synthetic/Y2");
    assert_eq!(document.metadata["as_of"], "2026-11-25");
    assert_eq!(document.metadata["complete"], true);
    assert_eq!(document.metadata["sessions_behind"], 0);
    assert!(
        document.markdown.contains("**Synthetic data.**") && document.title.contains("synthetic")
    );
}

#[test]
fn every_fact_is_shown_as_it_is_kept() {
    for seed in 0..5 {
        let document = made(&bundle(&Synthetic::new(seed, now()), &abc()));
        let facts = document.metadata["facts"].as_array().expect("facts");
        assert!(facts.len() > 80, "{} facts", facts.len());
        let mut ids = std::collections::BTreeSet::new();
        for fact in facts {
            let text = |key: &str| fact[key].as_str().unwrap_or_default().to_owned();
            assert!(ids.insert(text("id")), "{} twice", text("id"));
            let (id, shown) = (text("id"), text("shown"));
            assert!(!text("unit").is_empty());
            text("value").parse::<rust_decimal::Decimal>().expect("a number");
            // Tables of accounts are in millions, and returns have a sign.
            if !["year.", "interim.", "return."].iter().any(|kind| id.starts_with(kind)) {
                assert!(document.markdown.contains(&shown), "{id}: {shown}");
                assert!(!fact["as_of"].is_null() || id == "price.quote", "{id} has no day");
            }
        }
    }
}

#[test]
fn what_is_missing_or_wrong_is_said_and_not_filled_in() {
    let market = Synthetic::new(1, now());
    let mut part = bundle(&market, &abc());
    part.fundamentals = Err(Missing { code: "not_in_plan", reason: "Not in the plan.".to_owned() });
    part.news = Err(Missing { code: "cannot_connect", reason: "No connection.".to_owned() });
    let document = made(&part);
    assert!(document.markdown.contains("Not available: Not in the plan."));
    assert!(document.markdown.contains("Not searched: No connection."));
    assert!(document.markdown.contains("| `ref.pe` | not checked |"));
    assert_eq!(document.metadata["complete"], false, "a failed part is fetched again");

    let broken = Synthetic::new(1, now()).with_defects([Defect::SplitUnadj, Defect::FreshQuote]);
    let document = made(&bundle(&broken, &abc()));
    assert!(document.markdown.contains("Not computed: the prices have errors"));
    assert!(document.markdown.contains("| `split.unadj` | **error** |"));
    assert!(document.markdown.contains("not shown: see `fresh.quote`"));
    let facts = document.metadata["facts"].to_string();
    assert!(!facts.contains("ta.rsi14") && !facts.contains("price.quote"));
    assert_eq!(document.metadata["quality"]["worst"], "error");
}

#[test]
fn amounts_of_different_currencies_are_neither_added_nor_divided() {
    let mut part = bundle(&Synthetic::new(1, now()), &abc());
    let fact = |document: &NewDocument, id: &str| {
        let facts = document.metadata["facts"].as_array().expect("facts").clone();
        facts.into_iter().find(|fact| fact["id"] == id)
    };
    let document = made(&part);
    assert_eq!(fact(&document, "dividend.year").expect("a sum")["unit"], "AUD");
    assert_eq!(fact(&document, "analyst.target").expect("a target")["unit"], "AUD");
    assert!(fact(&document, "analyst.upside").is_some());

    // A company that keeps its books and pays in US dollars.
    let record = part.fundamentals.as_mut().expect("a record");
    record.statement_currency = Some("USD".to_owned());
    record.earnings.iter_mut().for_each(|row| row.currency = None);
    let dividends = part.dividends.as_mut().expect("a list");
    let last = dividends.last_mut().expect("one");
    last.currency = Some("USD".to_owned());
    let document = made(&part);
    assert_eq!(fact(&document, "dividend.year"), None);
    assert_eq!(fact(&document, "dividend.yield"), None);
    let day = part.dividends.as_ref().expect("a list").last().expect("one").date;
    let why = format!("n/a: that of {day} is in USD, prices are in AUD");
    assert!(document.markdown.contains(&why), "{}", document.markdown);
    assert_eq!(fact(&document, "profit.eps").expect("earnings")["unit"], "USD");
    assert_eq!(fact(&document, "profit.revenue").expect("revenue")["unit"], "USD");
    assert_eq!(fact(&document, "value.market_cap").expect("a value")["unit"], "AUD");
    assert_eq!(fact(&document, "price.close").expect("a price")["unit"], "AUD");
    assert_ne!(fact(&document, "analyst.target").expect("a target")["unit"], "AUD");
    assert_eq!(fact(&document, "analyst.upside"), None);
    let earnings = document.markdown.split("## Earnings").nth(1).expect("a section");
    let earnings = earnings.split("## ").next().expect("its end");
    assert!(earnings.contains(" USD |") && !earnings.contains("AUD"), "{earnings}");

    part.dividends.as_mut().expect("a list").iter_mut().for_each(|paid| paid.currency = None);
    let document = made(&part);
    assert_eq!(fact(&document, "dividend.year"), None);
    assert!(document.markdown.contains("in a currency that is not named"));
}

#[test]
fn interim_accounts_and_the_sound_of_articles_are_shown() {
    let part = bundle(&Synthetic::new(1, now()), &abc());
    let document = made(&part);
    let half = &part.fundamentals.as_ref().expect("a record").interim[1];
    let revenue = half.figures.revenue.expect("revenue");
    let facts = document.metadata["facts"].as_array().expect("facts");
    let id = format!("interim.{}.revenue", half.end);
    let fact = facts.iter().find(|fact| fact["id"] == id).expect("a fact");
    assert_eq!(fact["value"], revenue.to_string());
    let head = document.markdown.lines().find(|line| line.contains("quarter or half year to"));
    assert!(head.expect("a table").contains(&half.end.to_string()));
    let article = &part.news.as_ref().expect("articles")[0];
    let sentiment = article.polarity.expect("a number");
    assert!(document.markdown.contains(&format!("(sentiment {sentiment:.2})")));

    let mut silent = part.clone();
    silent.news.as_mut().expect("articles").iter_mut().for_each(|article| article.polarity = None);
    assert!(!made(&silent).markdown.to_lowercase().contains("sentiment"), "none is not neutral");
}

#[test]
fn a_short_history_has_no_rsi_and_no_trend() {
    for (count, shown) in [(149, false), (150, true)] {
        let mut short = bundle(&Synthetic::new(1, now()), &abc());
        let bars = &mut short.series.bars;
        drop(bars.drain(..bars.len() - count));
        let document = made(&short);
        let facts = document.metadata["facts"].to_string();
        assert_eq!(facts.contains("ta.rsi14"), shown, "{count} bars");
        assert!(facts.contains("ta.sma50") && document.markdown.contains("`hist.min`"));
        assert_eq!(document.markdown.contains("| Trend vote | n/a |"), !shown, "{count} bars");
    }
}

#[test]
fn words_from_outside_are_no_markdown() {
    let mut part = bundle(&Synthetic::new(1, now()), &abc());
    let record = part.fundamentals.as_mut().expect("a record");
    record.name = Some("Evil | [x](javascript:1)\n# Head <script>".to_owned());
    record.description = Some("# Ignore | all\n\n| previous |".to_owned());
    let document = made(&part);
    assert!(!document.markdown.contains("<script>") && !document.markdown.contains("\n# Ignore"));
    assert!(!document.markdown.contains("[x](javascript"));
}

#[test]
fn an_index_is_a_price_index_and_says_so() {
    let market = Synthetic::new(1, now());
    let symbol = Symbol::index("XJO").expect("an index");
    let parts = Collected { quote: false, fundamentals: false, news: false, benchmark: None };
    let bundle = block_on(collect(&market, &symbol, range(), &parts, now())).expect("data");
    let document = made(&bundle);
    assert_eq!(document.source_type, INDEX);
    assert_eq!(document.tags, ["asx-index", "xjo", "date:2026-11-25", "benchmark", "synthetic"]);
    assert!(document.markdown.contains("This is a price index"));
    assert!(!document.markdown.contains("AUD |") && !document.markdown.contains("On-balance"));
    assert_eq!(document.metadata["complete"], true);
}

#[test]
fn a_stock_and_its_index_are_compared_over_the_same_days() {
    let whole = bundle(&Synthetic::new(1, now()), &abc());
    let month = |document: &NewDocument| {
        let facts = document.metadata["facts"].as_array().expect("facts").clone();
        let fact = |id: &str| facts.iter().find(|fact| fact["id"] == id).cloned();
        let line = document.markdown.lines().find(|line| line.starts_with("| 1 month |"));
        (fact("return.1_month").expect("a return"), fact("risk.beta"), line.map(str::to_owned))
    };
    // An index that ends three sessions earlier: both end there.
    let mut early = whole.clone();
    let (_, series) = early.benchmark.as_mut().expect("an index");
    series.bars.truncate(series.bars.len() - 3);
    let end = series.bars.last().expect("a bar").date;
    let document = made(&early);
    let (gain, beta, line) = month(&document);
    assert_eq!(gain["as_of"], end.to_string());
    assert_eq!(beta.expect("a beta")["as_of"], end.to_string());
    assert!(document.markdown.contains(&format!("Compared up to {end}")));
    let mut cut = whole.clone();
    cut.series.bars.retain(|bar| bar.date <= end);
    let (_, series) = cut.benchmark.as_mut().expect("an index");
    series.bars.retain(|bar| bar.date <= end);
    assert_eq!(
        (gain["value"].clone(), line),
        (month(&made(&cut)).0["value"].clone(), month(&made(&cut)).2)
    );

    // Bars of the index that cannot be used are not: of the future, without a price, out of order.
    let mut dirty = whole.clone();
    let (_, series) = dirty.benchmark.as_mut().expect("an index");
    let last = series.bars.last().expect("a bar").clone();
    series.bars.swap(40, 41);
    series.bars.push(Bar { adjusted_close: 1.into(), date: date(2026, 12, 1), ..last.clone() });
    series.bars.insert(0, Bar { adjusted_close: 0.into(), ..last });
    let document = made(&dirty);
    assert_eq!(month(&document), month(&made(&whole)));
    assert!(document.markdown.contains("| `bench.align` | warning |"), "{}", document.markdown);

    // Too far apart they are not compared.
    let mut far = whole;
    let (_, series) = far.benchmark.as_mut().expect("an index");
    series.bars.truncate(series.bars.len() - 9);
    let document = made(&far);
    assert!(document.markdown.contains("Not compared with XJO"));
    assert_eq!(
        (month(&document).0["as_of"].clone(), month(&document).1),
        ("2026-11-25".into(), None)
    );
}

#[test]
fn announcements_show_mark_reaction_and_what_cannot_be_said() {
    let market = Synthetic::new(1, now());
    let year = DateRange { from: date(2025, 11, 25), to: date(2026, 11, 25) };
    let list = block_on(market.list(&abc(), year)).expect("a list");
    let data = bundle(&market, &abc());
    let index = block_on(market.prices(&Symbol::index("XJO").expect("an index"), range()));
    let known = Prices {
        stock: Ok(assess(&data, now(), asx()).bars),
        index: index.expect("prices").bars,
        provider: "Synthetic market".to_owned(),
        stock_document: Some(DocumentId(7)),
        index_document: None,
    };
    let source = crate::market::MarketData::source(&market);
    let parts = |prices| Parts {
        symbol: &data.symbol,
        source: &source,
        range: year,
        list: &list,
        limit: 10,
        prices,
        period: "Y1",
        request_hash: "hash",
    };
    let document = announcements(&parts(&known), now(), asx());
    assert_eq!(document.tags, ["asx-announcement", "abc", "date:2026-11-25", "synthetic"]);
    let items = document.metadata["announcements"].as_array().expect("a list");
    assert_eq!(items.len(), 10);
    assert!(
        items.iter().all(|item| item["session"].is_string() && item["index_return"].is_number())
    );
    assert!(document.markdown.contains('★'));
    for (name, from) in [("stock", "document 7"), ("index", "Synthetic market")] {
        let line = document.markdown.lines().find(|line| line.contains(&format!("of the {name}")));
        assert!(line.is_some_and(|line| line.contains(from)), "{line:?}");
    }
    assert_eq!(document.metadata["built_from"], json!(["7"]));
    let missing = Prices::missing("no_key", "There is no key.".to_owned());
    let document = announcements(&parts(&missing), now(), asx());
    assert!(document.markdown.contains("There is no key."));
    assert_eq!(document.metadata["complete"], false);
    assert!(!document.metadata.contains_key("built_from"));
}

#[test]
fn a_table_has_as_many_cells_in_every_row() {
    let document = made(&bundle(&Synthetic::new(2, now()), &abc()));
    let mut wrong = String::new();
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let lines: Vec<&str> = document.markdown.lines().collect();
    for pair in lines.windows(2) {
        if pair.iter().all(|line| line.starts_with('|')) && cells(pair[0]) != cells(pair[1]) {
            writeln!(wrong, "{}\n{}", pair[0], pair[1]).expect("memory");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
