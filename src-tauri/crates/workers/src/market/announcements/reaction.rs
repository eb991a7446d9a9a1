//! How the price answered an announcement.
//!
//! The answer is that of the first session that could trade on it
//! ([`reacting_session`](crate::market::calendar::Calendar::reacting_session)), on adjusted prices, less
//! what the index did in the same time. It is no proof of a cause: other things happen on the same day.

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::Relevance;
use crate::market::{calendar::Calendar, model::Bar};

/// Sessions whose volume is usual.
const USUAL: usize = 20;
/// Sessions before it that are looked at for a drift.
const DRIFT: usize = 5;
/// A drift from here on is worth a remark, as a fraction.
pub const REMARKABLE_DRIFT: f64 = 0.02;

/// How clearly the market answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Below all of these.
    None,
    /// 0.5 %, or 1.2 times the usual volume.
    Low,
    /// 1.5 %, or 1.5 times the usual volume.
    Moderate,
    /// 3 %, or twice the usual volume.
    High,
}

impl Signal {
    /// As reports write it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Moderate => "moderate",
            Self::Low => "low",
            Self::None => "none",
        }
    }
}

/// Where announcement and answer do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Anomaly {
    /// It should have mattered, and nothing happened.
    NoReaction,
    /// It should not have mattered, and much happened.
    UnexpectedReaction,
}

/// The answer of one session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reaction {
    /// The session.
    pub session: Date,
    /// Its return, as a fraction.
    pub stock: f64,
    /// The index' return, if it is known.
    pub index: Option<f64>,
    /// Its volume as a multiple of the usual one.
    pub volume: Option<f64>,
    /// The return of the four sessions that ended the session before, as a fraction.
    pub drift: Option<f64>,
    /// How clear it was.
    pub signal: Signal,
}

impl Reaction {
    /// The return beyond that of the index, or the return itself without an index.
    #[must_use]
    pub fn relative(&self) -> f64 {
        self.stock - self.index.unwrap_or(0.0)
    }
}

/// How the price answered something released at `at`. Bars are in order, one per day.
///
/// # Errors
/// Says why there is no answer to be told.
pub fn reaction(
    at: Timestamp,
    bars: &[Bar],
    index: &[Bar],
    calendar: &Calendar,
) -> Result<Reaction, &'static str> {
    let session = calendar.reacting_session(at).ok_or("beyond the trading calendar")?.date;
    let find = |bars: &[Bar], date| bars.binary_search_by_key(&date, |bar: &Bar| bar.date).ok();
    let here = match find(bars, session) {
        Some(here) => here,
        None if bars.last().is_none_or(|last| last.date < session) => return Err("not traded yet"),
        None => return Err("no price of that session"),
    };
    // The session before is the calendar's: a gap is no reaction.
    let before = calendar.previous_session(session).ok_or("beyond the trading calendar")?.date;
    let earlier = find(bars, before).ok_or("no price of the session before")?;
    let gain = |bars: &[Bar], from: usize, to: usize| {
        bars[to].adjusted_f64() / bars[from].adjusted_f64() - 1.0
    };
    let stock = gain(bars, earlier, here);
    let index_gain =
        find(index, session).zip(find(index, before)).map(|(to, from)| gain(index, from, to));
    let usual: Vec<f64> =
        bars[here.saturating_sub(USUAL)..here].iter().filter_map(Bar::volume_f64).collect();
    let mean = usual.iter().sum::<f64>() / usual.len() as f64;
    let volume = bars[here]
        .volume_f64()
        .filter(|_| usual.len() == USUAL && mean > 0.0)
        .map(|own| own / mean);
    let drift = here.checked_sub(DRIFT).map(|start| gain(bars, start, earlier));
    let moved = (stock - index_gain.unwrap_or(0.0)).abs();
    let busy = volume.unwrap_or(0.0);
    let signal = match () {
        () if moved >= 0.03 || busy >= 2.0 => Signal::High,
        () if moved >= 0.015 || busy >= 1.5 => Signal::Moderate,
        () if moved >= 0.005 || busy >= 1.2 => Signal::Low,
        () => Signal::None,
    };
    Ok(Reaction { session, stock, index: index_gain, volume, drift, signal })
}

/// Whether announcement and answer go together.
#[must_use]
pub fn anomaly(relevance: Relevance, signal: Signal) -> Option<Anomaly> {
    match (relevance, signal) {
        (Relevance::High, Signal::None) => Some(Anomaly::NoReaction),
        (Relevance::Low | Relevance::Noise, Signal::High) => Some(Anomaly::UnexpectedReaction),
        _ => None,
    }
}
