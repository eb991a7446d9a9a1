//! The gate finds what is wrong, and nothing where nothing is.

use futures::executor::block_on;
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;

use super::*;
use crate::market::{
    announcements::Announcements as _,
    calendar::asx,
    model::{DateRange, Events, Halt, Split, Symbol},
    provider::{MarketData, Parts, collect},
    synthetic::{Defect, Synthetic},
};

/// Monday 23 November 2026 at noon in Sydney: a session is running.
const NOW: &str = "2026-11-23T01:00:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn bundle(provider: &dyn MarketData, code: &str) -> StockBundle {
    let to = asx().date_of(now());
    let range = DateRange { from: to.checked_sub(3.years()).expect("a day"), to };
    let parts = Parts {
        quote: true,
        fundamentals: true,
        news: true,
        benchmark: Some(Symbol::index("XJO").expect("an index")),
    };
    let symbol = Symbol::stock(code).expect("a code");
    block_on(collect(provider, &symbol, range, &parts, now())).expect("data")
}

fn found(bundle: &StockBundle) -> Vec<&'static str> {
    let report = assess(bundle, now(), asx()).report;
    report.findings().into_iter().map(|check| check.check_id).collect()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let provider = Synthetic::new(seed, now());
        let mut bundle = bundle(&provider, "ABC");
        if seed % 2 == 1 {
            let list = block_on(provider.list(&bundle.symbol, bundle.requested)).expect("a list");
            bundle.events = Ok(list.events(bundle.requested, asx()));
        }
        let assessment = assess(&bundle, now(), asx());
        let findings = assessment.report.findings();
        assert!(findings.is_empty(), "seed {seed}: {findings:#?}");
        assert!(assessment.report.technicals && assessment.report.quote);
        assert_eq!(assessment.bars, bundle.series.bars, "seed {seed}: clean bars stay as they are");
        let evaluated = |check: &&Check| check.status == Status::Pass;
        seen.extend(assessment.report.checks.iter().filter(evaluated).map(|c| c.check_id));
        if seed == 0 {
            assert_eq!(assessment.report.checks.len(), Defect::ALL.len());
        }
    }
    let all: Vec<&str> = Defect::ALL.iter().map(|defect| defect.id()).collect();
    for id in all {
        assert!(seen.contains(id), "{id} was never evaluated");
    }
}

#[test]
fn each_defect_is_found_by_its_check_and_by_no_other() {
    // What one defect brings along by its nature.
    let also = |defect: Defect| -> &'static [&'static str] {
        match defect {
            Defect::FreshLag => &["bench.align", "ref.52w"],
            Defect::VolFlat => &["vol.zero"],
            Defect::GapMissing | Defect::SerOhlc | Defect::Jump => &["ref.52w"],
            Defect::SplitUnadj => &["jump", "ref.52w"],
            Defect::CurListing => &["cur.statement"],
            Defect::HistMin => &["plan.truncated"],
            _ => &[],
        }
    };
    for defect in Defect::ALL.iter().copied() {
        assert_eq!(Defect::of(defect.id()), Some(defect));
        for seed in 0..8 {
            let provider = Synthetic::new(seed, now()).with_defects([defect]);
            let found = found(&bundle(&provider, "ABC"));
            assert!(found.contains(&defect.id()), "{defect:?}, seed {seed}: found {found:?}");
            let other: Vec<_> = found
                .iter()
                .filter(|id| **id != defect.id() && !also(defect).contains(id))
                .collect();
            assert!(other.is_empty(), "{defect:?}, seed {seed}: also found {other:?}");
        }
    }
}

/// The severity that a changed bundle gets from a check.
#[track_caller]
fn check(id: &str, expected: Option<Severity>, change: impl FnOnce(&mut StockBundle)) {
    let mut bundle = bundle(&Synthetic::new(3, now()), "ABC");
    change(&mut bundle);
    let report = assess(&bundle, now(), asx()).report;
    let check = report.check(id).expect(id);
    let severity = (check.status == Status::Fail).then_some(check.severity);
    assert_eq!(severity, expected, "{check:?}");
}

/// Multiplies the prices of some bars.
fn scale(bars: &mut [Bar], hundredths: i64) {
    for bar in bars {
        let by = Decimal::new(hundredths, 2);
        for price in
            [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close, &mut bar.adjusted_close]
        {
            *price *= by;
        }
    }
}

#[test]
fn severities_follow_the_thresholds() {
    use Severity::{Error, Info, Warn};
    let drop_last = |count: usize| {
        move |bundle: &mut StockBundle| {
            let left = bundle.series.bars.len() - count;
            bundle.series.bars.truncate(left);
        }
    };
    check("fresh.lag", Some(Warn), drop_last(1));
    check("fresh.lag", Some(Error), drop_last(2));
    check("fresh.lag", Some(Error), |bundle| bundle.series.bars.clear());
    check("gap.missing", Some(Warn), |bundle| drop(bundle.series.bars.drain(300..304)));
    check("gap.missing", Some(Error), |bundle| drop(bundle.series.bars.drain(300..305)));
    check("gap.missing", Some(Info), |bundle| {
        let gone: Vec<Bar> = bundle.series.bars.drain(300..305).collect();
        let halt = Halt { from: gone[0].date, until: Some(gone[4].date) };
        bundle.events = Ok(Events { halts: vec![halt], ..Events::default() });
    });
    check("ser.dup", Some(Info), |bundle| {
        let bar = bundle.series.bars[5].clone();
        bundle.series.bars.insert(5, bar);
    });
    check("vol.flat", Some(Error), |bundle| {
        for bar in &mut bundle.series.bars[100..110] {
            (bar.open, bar.high, bar.low) = (bar.close, bar.close, bar.close);
            bar.volume = Some(Decimal::ZERO);
        }
    });
    check("jump", Some(Error), |bundle| scale(&mut bundle.series.bars[400..], 140));
    check("jump", Some(Warn), |bundle| {
        scale(&mut bundle.series.bars[400..], 140);
        let sensitive = vec![bundle.series.bars[400].date];
        bundle.events = Ok(Events { sensitive, ..Events::default() });
    });
    check("gap.missing", Some(Info), |bundle| {
        // Nobody said that it was lifted; that the stock is traded again says so.
        let gone: Vec<Bar> = bundle.series.bars.drain(300..312).collect();
        let halt = Halt { from: gone[0].date, until: None };
        bundle.events = Ok(Events { halts: vec![halt], ..Events::default() });
    });
    check("gap.missing", Some(Warn), |bundle| {
        let gone: Vec<Bar> = bundle.series.bars.drain(300..312).collect();
        let halt = Halt { from: gone[0].date, until: None };
        bundle.series.bars.remove(500);
        bundle.events = Ok(Events { halts: vec![halt], ..Events::default() });
    });
    check("adj.k", Some(Error), |bundle| {
        let bar = &mut bundle.series.bars[50];
        bar.adjusted_close = bar.close * Decimal::TWO;
    });
    check("adj.k", Some(Error), |bundle| {
        bundle.series.bars[50].adjusted_close = Decimal::NEGATIVE_ONE;
    });
    check("fresh.quote", Some(Error), |bundle| {
        bundle.quote.as_mut().expect("a price").code = "XYZ.AU".to_owned();
    });
    check("fresh.quote", Some(Warn), |bundle| {
        let quote = bundle.quote.as_mut().expect("a price");
        quote.at = Some(now() - 61.minutes());
    });
    check("fund.age", Some(Warn), |bundle| {
        let record = bundle.fundamentals.as_mut().expect("a record");
        record.most_recent_quarter = Some(jiff::civil::date(2026, 5, 1));
    });
    check("ref.pe", None, |bundle| {
        let record = bundle.fundamentals.as_mut().expect("a record");
        record.highlights.eps = Some(Decimal::NEGATIVE_ONE);
        record.highlights.pe = Some(Decimal::ZERO);
    });
    check("fund.missing", Some(Error), |bundle| {
        let record = bundle.fundamentals.as_mut().expect("a record");
        record.yearly.clear();
    });
}

/// A session on which the price hardly moved.
fn calm(bundle: &StockBundle) -> usize {
    let bars = &bundle.series.bars;
    let still = |at: usize| (bars[at].close_f64() / bars[at - 1].close_f64() - 1.0).abs() < 0.004;
    (400..bars.len() - 60).find(|at| still(*at)).expect("a quiet day")
}

/// What the two checks of large moves say of a price that becomes `hundredths` of itself, as severities,
/// and whether there are indicators.
fn moved(
    hundredths: i64,
    change: impl Fn(&mut StockBundle, usize),
) -> (Option<Severity>, Option<Severity>, bool) {
    let mut bundle = bundle(&Synthetic::new(3, now()), "ABC");
    let at = calm(&bundle);
    scale(&mut bundle.series.bars[at..], hundredths);
    change(&mut bundle, at);
    let report = assess(&bundle, now(), asx()).report;
    let severity = |id: &str| {
        let check = report.check(id).expect(id);
        (check.status == Status::Fail).then_some(check.severity)
    };
    (severity("jump"), severity("split.unadj"), report.technicals)
}

#[test]
fn a_real_move_is_told_and_keeps_the_indicators() {
    use Severity::{Error, Warn};
    let day = |bundle: &StockBundle, at: usize| bundle.series.bars[at].date;
    let announced = |bundle: &mut StockBundle, at: usize| {
        let sensitive = vec![day(bundle, at)];
        bundle.events = Ok(Events { sensitive, ..Events::default() });
    };
    let halted = |bundle: &mut StockBundle, at: usize| {
        let halt = Halt { from: day(bundle, at), until: None };
        bundle.events = Ok(Events { halts: vec![halt], ..Events::default() });
    };
    let traded = |bundle: &mut StockBundle, at: usize| {
        let volume = &mut bundle.series.bars[at].volume;
        *volume = volume.map(|volume| volume * Decimal::from(40));
    };
    let listed = |bundle: &mut StockBundle, at: usize| {
        announced(bundle, at);
        let date = bundle.series.bars[at - 1].date;
        bundle.splits = Ok(vec![Split { date, new: Decimal::TWO, old: Decimal::ONE }]);
    };
    // Falls of 30 to 65 % and rises up to double: each is some ratio of small numbers.
    for hundredths in [35, 50, 60, 70, 140, 150, 175, 200] {
        assert_eq!(moved(hundredths, announced), (Some(Warn), None, true), "{hundredths}");
        assert_eq!(moved(hundredths, halted), (Some(Warn), None, true), "{hundredths}");
        assert_eq!(moved(hundredths, traded), (Some(Warn), None, true), "{hundredths}");
    }
    // Without any of it the data may be wrong; it looks like a split only where companies split so.
    for (hundredths, split) in [(50, Some(Error)), (60, None), (70, None), (200, Some(Error))] {
        assert_eq!(moved(hundredths, |_, _| ()), (Some(Error), split, false), "{hundredths}");
    }
    // A listed split that the earlier prices were not adjusted for is one, whatever was announced.
    assert_eq!(moved(50, listed), (Some(Warn), Some(Error), false));
    // More shares at a tenth of the price are a split, and no trading in earnest.
    let tenfold = |bundle: &mut StockBundle, at: usize| {
        for bar in &mut bundle.series.bars[at..] {
            bar.volume = bar.volume.map(|volume| volume * Decimal::TEN);
        }
    };
    assert_eq!(moved(10, tenfold), (Some(Error), Some(Error), false));
}

#[test]
fn what_is_not_known_is_not_called_in_order() {
    let mut bundle = bundle(&Synthetic::new(3, now()), "ABC");
    let failed = || crate::market::model::Missing { code: "not_in_plan", reason: "No.".to_owned() };
    bundle.fundamentals = Err(failed());
    bundle.news = Err(failed());
    bundle.dividends = Err(failed());
    let mut foreign = bundle.clone();
    let report = assess(&bundle, now(), asx()).report;
    for id in ["ref.52w", "ref.mcap", "ref.pe", "fund.missing", "fund.age", "news.zero", "adj.k"] {
        assert_eq!(report.check(id).expect(id).status, Status::NotEvaluated, "{id}");
    }
    // Earnings of one currency say nothing of a price in another.
    foreign.fundamentals = block_on(
        Synthetic::new(3, now()).with_defects([Defect::RefPe]).fundamentals(&foreign.symbol),
    )
    .map_err(|_| failed());
    let pe = |bundle: &StockBundle| {
        assess(bundle, now(), asx()).report.check("ref.pe").expect("a check").status
    };
    assert_eq!(pe(&foreign), Status::Fail);
    for currency in [Some("USD".to_owned()), None] {
        foreign.fundamentals.as_mut().expect("a record").statement_currency = currency;
        assert_eq!(pe(&foreign), Status::NotEvaluated);
    }
    // Beyond the trading calendar nobody can say how old a price is.
    let later: Timestamp = "2031-03-03T01:00:00Z".parse().expect("a time");
    let report = assess(&bundle, later, asx()).report;
    assert_eq!(report.check("fresh.lag").expect("a check").status, Status::NotEvaluated);
}

#[test]
fn unusable_prices_stop_the_indicators() {
    for (defect, usable) in [
        (Defect::SplitUnadj, false),
        (Defect::VolZero, false),
        (Defect::SerDup, false),
        (Defect::Jump, true),
    ] {
        let provider = Synthetic::new(5, now()).with_defects([defect]);
        let report = assess(&bundle(&provider, "ABC"), now(), asx()).report;
        assert_eq!(report.technicals, usable, "{defect:?}");
    }
}

#[test]
fn an_index_is_not_blamed_for_what_it_cannot_have() {
    let provider = Synthetic::new(1, now());
    let to = asx().date_of(now());
    let range = DateRange { from: to.checked_sub(2.years()).expect("a day"), to };
    let parts = Parts { quote: false, fundamentals: true, news: false, benchmark: None };
    let symbol = Symbol::index("XJO").expect("an index");
    let bundle = block_on(collect(&provider, &symbol, range, &parts, now())).expect("data");
    assert!(found(&bundle).is_empty());
}
