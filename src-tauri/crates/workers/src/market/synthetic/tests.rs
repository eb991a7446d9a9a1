//! The invented market is determined by its seed, agrees with itself, and looks like a market.

use futures::executor::block_on;
use jiff::civil::date;
use rust_decimal::Decimal;

use super::*;
use crate::market::model::{Bar, double};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn abc() -> Symbol {
    Symbol::stock("ABC").expect("a code")
}

fn all() -> DateRange {
    DateRange { from: date(2015, 1, 1), to: date(2027, 6, 14) }
}

fn prices(market: &Synthetic) -> Vec<Bar> {
    block_on(market.prices(&abc(), all())).expect("prices").bars
}

#[test]
fn a_seed_determines_everything_and_the_past_does_not_change() {
    let early = Synthetic::new(7, at("2026-03-02T10:00:00Z"));
    let late = Synthetic::new(7, at("2026-11-25T10:00:00Z"));
    let (before, after) = (prices(&early), prices(&late));
    assert_eq!(prices(&Synthetic::new(7, at("2026-11-25T10:00:00Z"))), after);
    assert_eq!(after.last().expect("a bar").date, date(2026, 11, 25));
    for (a, b) in before.iter().zip(&after) {
        // Only the adjustment takes account of what came later.
        assert_eq!((a.date, a.open, a.close, a.volume), (b.date, b.open, b.close, b.volume));
    }
    assert_ne!(prices(&Synthetic::new(8, at("2026-11-25T10:00:00Z"))), after);
}

#[test]
fn known_prices_stay_known() {
    // A change of these numbers changes every sample report.
    let bars = prices(&Synthetic::new(SEED, at("2026-11-25T10:00:00Z")));
    let shown: Vec<String> = bars
        .iter()
        .rev()
        .step_by(900)
        .map(|b| format!("{} {} {}", b.date, b.close, b.adjusted_close))
        .collect();
    assert_eq!(shown, KNOWN);
}

const KNOWN: [&str; 4] = [
    "2026-11-25 1.3 1.3",
    "2023-05-11 1.155 1.0156",
    "2019-10-17 1.46 1.1409",
    "2016-03-30 1.66 1.1443",
];

#[test]
fn accounts_agree_with_prices_and_with_each_other() {
    for seed in 0..20 {
        let market = Synthetic::new(seed, at("2026-11-25T10:00:00Z"));
        let price = prices(&market).last().expect("a bar").close;
        let record = block_on(market.fundamentals(&abc())).expect("a record");
        let near = |a: Option<Decimal>, b: Decimal, what: &str| {
            let a = a.expect(what);
            assert!((double(a) / double(b) - 1.0).abs() < 1e-3, "seed {seed}, {what}: {a} and {b}");
        };
        let shares = record.shares.outstanding.expect("shares");
        let eps = record.highlights.eps.expect("earnings");
        near(record.highlights.market_cap, price * shares, "market value");
        near(record.highlights.pe, price / eps, "P/E");
        let year = &record.yearly[0];
        let income = year.figures.net_income.expect("income");
        let sum: Decimal = record
            .interim
            .iter()
            .skip_while(|half| half.end != year.end)
            .take(2)
            .filter_map(|half| half.figures.net_income)
            .sum();
        near(Some(sum), income, "a year is its two halves");
        let figures = &year.figures;
        let (assets, debts) =
            (figures.assets.expect("assets"), figures.liabilities.expect("debts"));
        near(Some(assets - debts), figures.equity.expect("equity"), "assets less liabilities");
    }
}

#[test]
fn returns_come_in_bursts_and_splits_and_dividends_are_adjusted_for() {
    let (mut clustered, mut split) = (0, 0);
    for seed in 0..40 {
        let market = Synthetic::new(seed, at("2026-11-25T10:00:00Z"));
        let bars = prices(&market);
        let returns: Vec<f64> =
            bars.windows(2).map(|p| (p[1].adjusted_f64() / p[0].adjusted_f64()).ln()).collect();
        let count = returns.len() as f64;
        let deviation = (returns.iter().map(|r| r * r).sum::<f64>() / count).sqrt();
        assert!((0.005..0.03).contains(&deviation), "seed {seed}: {deviation}");
        // Large moves follow large moves: squared returns are correlated over days.
        let squares: Vec<f64> = returns.iter().map(|r| r * r).collect();
        let mean = squares.iter().sum::<f64>() / count;
        let variance: f64 = squares.iter().map(|s| (s - mean).powi(2)).sum();
        let lagged: f64 = squares.windows(2).map(|p| (p[0] - mean) * (p[1] - mean)).sum();
        clustered += u32::from(lagged / variance > 0.02);
        let dividends = block_on(market.dividends(&abc(), all())).expect("dividends");
        assert!((20..=25).contains(&dividends.len()), "seed {seed}: {} dividends", dividends.len());
        split += u32::from(!block_on(market.splits(&abc(), all())).expect("splits").is_empty());
    }
    assert!(clustered >= 20, "bursts in {clustered} of 40");
    assert!((5..=22).contains(&split), "splits in {split} of 40");
}

#[test]
fn everything_says_that_it_is_invented() {
    let market = Synthetic::new(1, at("2026-11-25T10:00:00Z"));
    assert!(market.source().synthetic);
    assert!(market.source().name.contains("Synthetic"));
    let record = block_on(market.fundamentals(&abc())).expect("a record");
    assert!(record.name.expect("a name").contains("synthetic"));
    for article in block_on(market.news(&abc(), all())).expect("articles") {
        assert!(article.title.starts_with("[Synthetic]"), "{}", article.title);
    }
}

#[test]
fn announcements_follow_the_reports_and_are_marked() {
    use crate::market::announcements::Announcements;
    let market = Synthetic::new(1, at("2026-11-25T10:00:00Z"));
    let year = DateRange { from: date(2025, 11, 26), to: date(2026, 11, 25) };
    let list = block_on(market.list(&abc(), year)).expect("a list");
    assert!(list.items.iter().all(|item| item.headline.starts_with("[Synthetic]")));
    let results: Vec<String> = list
        .items
        .iter()
        .filter(|item| item.headline.ends_with("Results"))
        .map(|item| asx().date_of(item.at).to_string())
        .collect();
    assert_eq!(results, ["2026-08-20", "2026-02-20"]);
    let later = Synthetic::new(1, at("2026-08-19T22:00:00Z"));
    let before = block_on(later.list(&abc(), year)).expect("a list");
    assert!(
        before.items.iter().all(|item| item.at < at("2026-08-19T22:00:00Z")),
        "nothing of the future"
    );
}
