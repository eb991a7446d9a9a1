//! The checks of large moves: which are the market's own, and which are errors of the data.
//!
//! A price halves because of bad news, because of a split for which nobody adjusted the earlier prices,
//! or because a number is wrong. The market's own move is announced, or is traded on: a split and a
//! wrong number move no money. It is told, and nothing is withheld because of it.

use jiff::civil::Date;

use super::{Check, Rule, Severity, View};
use crate::market::model::{Bar, double};

const JUMP: Rule =
    Rule("jump", "warn max(8 %, 5 MAD), error max(25 %, 8 MAD) that nothing explains");
const SPLIT: Rule = Rule("split.unadj", "no split without an adjustment of the earlier prices");

/// Returns that a jump is measured against.
const WINDOW: usize = 60;
/// Fewer are no measure.
const LEAST_WINDOW: usize = 20;
/// From the median absolute deviation to a standard deviation.
const MAD: f64 = 1.4826;
/// Sessions whose trading is usual.
const USUAL: usize = 20;
/// So many times the usual trading is that of a day with news, in shares and in money.
const BUSY: f64 = 3.0;
/// Sessions by which a listed split may be off.
const LISTED: usize = 3;
/// What a price is divided by in splits that companies make, as new and old shares.
const SPLITS: [(u8, u8); 17] = [
    (3, 2),
    (2, 1),
    (3, 1),
    (4, 1),
    (5, 1),
    (10, 1),
    (20, 1),
    (1, 2),
    (1, 4),
    (1, 5),
    (1, 10),
    (1, 20),
    (1, 25),
    (1, 30),
    (1, 40),
    (1, 50),
    (1, 100),
];

/// The middle of the values; the upper one of two. There is at least one.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

pub(super) fn jump(view: &View<'_>) -> Check {
    let close = &view.adjusted.close;
    let returns: Vec<f64> = close.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect();
    if returns.len() <= LEAST_WINDOW {
        return JUMP.open("There are too few bars to know what is usual.");
    }
    let (mut warned, mut failed, mut largest) = (Vec::new(), Vec::new(), 0.0_f64);
    let mut explained = None;
    for (at, value) in returns.iter().enumerate().skip(LEAST_WINDOW) {
        largest = largest.max(value.abs());
        // It could only be a jump if the price usually rose or fell by a twentieth a day.
        if value.abs() < 0.03 {
            continue;
        }
        let mut window = returns[at.saturating_sub(WINDOW)..at].to_vec();
        let middle = median(&mut window);
        let mut away: Vec<f64> = window.iter().map(|value| (value - middle).abs()).collect();
        let usual = MAD * median(&mut away);
        let jump = (value - middle).abs();
        let date = view.bars[at + 1].date;
        if jump > (8.0 * usual).max(0.25) {
            match explanation(view, at + 1) {
                Some(why) => {
                    explained.get_or_insert((date, value.exp_m1(), why));
                    warned.push(date);
                }
                None => failed.push(date),
            }
        } else if jump > (5.0 * usual).max(0.08) {
            warned.push(date);
        }
    }
    let observed = format!("largest {:.1} %", 100.0 * largest);
    if let Some(day) = failed.first().copied() {
        let unknown = !view.bundle.events.as_ref().is_ok_and(|events| events.knows(day));
        let hint = if unknown && !view.bundle.symbol.is_index() {
            " What was announced then is not known: an `asx_announcements` step finds out."
        } else {
            ""
        };
        let message = format!(
            "The price jumped on {day}, with no dividend, split, announcement or heavy trading near it: the data may be wrong.{hint}"
        );
        JUMP.fail(Severity::Error, observed, message).on(failed)
    } else if let Some((day, change, why)) = explained {
        let message = format!("The price moved by {:.1} % on {day}, and {why}.", 100.0 * change);
        JUMP.fail(Severity::Warn, observed, message).on(warned)
    } else if let Some(day) = warned.first() {
        let message = format!("The price moved far more than usual on {day}.");
        JUMP.fail(Severity::Warn, observed, message).on(warned)
    } else {
        JUMP.pass(observed)
    }
}

/// What makes the move of a bar the market's own.
fn explanation(view: &View<'_>, at: usize) -> Option<&'static str> {
    let bundle = view.bundle;
    let near = |date: Date| is_near(view, at, 1, date);
    if is_announced(view, at) {
        Some("the company had announced something")
    } else if bundle.splits.iter().flatten().any(|split| near(split.date)) {
        Some("the shares were split")
    } else if bundle.dividends.iter().flatten().any(|dividend| near(dividend.date)) {
        Some("a dividend was due")
    } else if is_traded(view, at) {
        Some("far more shares than usual were traded")
    } else {
        None
    }
}

/// Whether a day is within so many sessions of a bar.
fn is_near(view: &View<'_>, at: usize, sessions: usize, date: Date) -> bool {
    let from = view.bars[at.saturating_sub(sessions)].date;
    let to = view.bars[(at + sessions).min(view.bars.len() - 1)].date;
    (from..=to).contains(&date)
}

/// Whether something price-sensitive was announced, or trading halted, within a session of a bar.
fn is_announced(view: &View<'_>, at: usize) -> bool {
    let near = |date: Date| is_near(view, at, 1, date);
    view.bundle.events.iter().any(|events| {
        events.sensitive.iter().copied().any(near)
            || events.halts.iter().any(|halt| near(halt.from) || halt.until.is_some_and(near))
    })
}

/// Whether far more than usual was traded with a bar, in shares and in money. A wrong price moves no
/// shares, and a split no money.
fn is_traded(view: &View<'_>, at: usize) -> bool {
    let before = &view.bars[at.saturating_sub(USUAL)..at];
    let busy = |amount: fn(&Bar) -> Option<f64>| {
        let mut usual: Vec<f64> = before.iter().filter_map(amount).collect();
        let Some(own) = amount(&view.bars[at]).filter(|_| usual.len() >= USUAL / 2) else {
            return false;
        };
        let usual = median(&mut usual);
        usual > 0.0 && own >= BUSY * usual
    };
    busy(Bar::volume_f64) && busy(|bar| Some(bar.volume_f64()? * bar.close_f64()))
}

pub(super) fn unadjusted(view: &View<'_>) -> Check {
    let mut days = Vec::new();
    for (before, pair) in view.bars.windows(2).enumerate() {
        let ratio = pair[1].close_f64() / pair[0].close_f64();
        let still = (pair[1].factor() / pair[0].factor() - 1.0).abs() < 1e-3;
        if !still || (ratio - 1.0).abs() < 0.2 {
            continue;
        }
        let at = before + 1;
        let own = is_announced(view, at) || is_traded(view, at);
        if is_listed(view, at, ratio) || (is_usual(ratio) && !own) {
            days.push(pair[1].date);
        }
    }
    match days.first() {
        None => SPLIT.pass("none"),
        Some(day) => {
            let message = format!(
                "The price changed on {day} as it does by a split, and the earlier prices were not adjusted."
            );
            SPLIT.fail(Severity::Error, format!("{} days", days.len()), message).on(days)
        }
    }
}

/// Whether a split is listed near a bar that changes a price so.
fn is_listed(view: &View<'_>, at: usize, ratio: f64) -> bool {
    view.bundle.splits.iter().flatten().any(|split| {
        let due = double(split.old) / double(split.new);
        is_near(view, at, LISTED, split.date) && (ratio / due - 1.0).abs() <= 0.1
    })
}

/// Whether a price changes within 2 % as it does by a split that companies make.
fn is_usual(ratio: f64) -> bool {
    SPLITS.iter().any(|(new, old)| {
        let due = f64::from(*old) / f64::from(*new);
        (ratio / due - 1.0).abs() <= 0.02
    })
}
