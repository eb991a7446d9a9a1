//! An invented market that looks like a real one, for trying things out without a key or a network.
//!
//! It is determined by a seed, trades on the exchange's real days, and gives the same past whenever it
//! is asked. Everything from it is marked as synthetic. It can be told to have any of the defects that
//! [`quality`](super::quality) looks for.

mod announce;
mod company;
mod defect;
mod path;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan, civil::Date};

use super::{
    calendar::{Calendar, asx},
    model::{DateRange, Dividend, Fundamentals, News, Quote, Series, Source, Split, Symbol},
    provider::{MarketData, MarketError},
};

pub use defect::Defect;
use path::{Dice, History, rounded};

/// The seed that is used where none is given.
pub const SEED: u64 = 1;

/// The invented market, seen at a moment.
pub struct Synthetic {
    seed: u64,
    now: Timestamp,
    calendar: &'static Calendar,
    defects: Vec<Defect>,
    /// Each takes a moment to make and is asked for several times.
    known: Mutex<HashMap<Symbol, Arc<History>>>,
}

impl Synthetic {
    /// The market of a seed as it is known at `now`.
    #[must_use]
    pub fn new(seed: u64, now: Timestamp) -> Self {
        Self { seed, now, calendar: asx(), defects: Vec::new(), known: Mutex::default() }
    }

    /// The same market with defects in what it tells.
    #[must_use]
    pub fn with_defects(mut self, defects: impl IntoIterator<Item = Defect>) -> Self {
        self.defects.extend(defects);
        self
    }

    fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    /// The last session that is known: a real vendor would have it by now.
    fn last(&self) -> Date {
        match self.calendar.expected(self.now) {
            Some(session) => session.date,
            // The calendar ends; so does the market that is made from it.
            None => self.calendar.range().1,
        }
    }

    fn history(&self, symbol: &Symbol) -> Arc<History> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(history) = known.get(symbol) {
            return history.clone();
        }
        let make = if symbol.is_index() { path::index } else { path::company };
        let history = Arc::new(make(self.seed, symbol, self.calendar, self.last()));
        known.insert(symbol.clone(), history.clone());
        history
    }

    /// The company behind a symbol as its history has made it.
    fn record(&self, symbol: &Symbol) -> Result<Fundamentals, MarketError> {
        let history = self.history(symbol);
        let nature = path::nature(self.seed, symbol);
        company::fundamentals(self.seed, symbol, &nature, &history, self.calendar.date_of(self.now))
            .ok_or_else(|| unknown(symbol))
    }
}

fn unknown(symbol: &Symbol) -> MarketError {
    MarketError::UnknownSymbol { provider: "The synthetic market", symbol: symbol.to_string() }
}

fn within<T: Clone>(list: &[T], range: DateRange, date: impl Fn(&T) -> Date) -> Vec<T> {
    list.iter().filter(|item| (range.from..=range.to).contains(&date(item))).cloned().collect()
}

#[async_trait]
impl MarketData for Synthetic {
    fn source(&self) -> Source {
        Source {
            name: format!("Synthetic market (invented data, seed {})", self.seed),
            id: "synthetic",
            synthetic: true,
        }
    }

    async fn prices(&self, symbol: &Symbol, range: DateRange) -> Result<Series, MarketError> {
        let bars = within(&self.history(symbol).bars, range, |bar| bar.date);
        let mut series = Series { bars, ..Series::default() };
        for defect in &self.defects {
            defect.damage(&mut series, symbol, self.calendar, self.now);
        }
        Ok(series)
    }

    async fn quote(&self, symbol: &Symbol) -> Result<Quote, MarketError> {
        let history = self.history(symbol);
        let [.., before, last] = history.bars.as_slice() else { return Err(unknown(symbol)) };
        let delayed = self.now.checked_sub(15.minutes()).unwrap_or(self.now);
        let at = match self.calendar.is_open(self.now) {
            Some(true) => delayed,
            _ => self.calendar.session(last.date).map_or(delayed, |session| session.close),
        };
        let change = (last.close_f64() / before.close_f64() - 1.0) * 100.0;
        let mut quote = Quote {
            code: symbol.to_string(),
            at: Some(at),
            price: Some(last.close),
            previous_close: Some(before.close),
            change_percent: Some(rounded(change, 3)),
            volume: last.volume,
        };
        if self.has(Defect::FreshQuote) {
            quote = Quote { price: None, at: None, change_percent: None, ..quote };
        }
        Ok(quote)
    }

    async fn dividends(
        &self,
        symbol: &Symbol,
        range: DateRange,
    ) -> Result<Vec<Dividend>, MarketError> {
        Ok(within(&self.history(symbol).dividends, range, |dividend| dividend.date))
    }

    async fn splits(&self, symbol: &Symbol, range: DateRange) -> Result<Vec<Split>, MarketError> {
        Ok(within(&self.history(symbol).splits, range, |split| split.date))
    }

    async fn fundamentals(&self, symbol: &Symbol) -> Result<Fundamentals, MarketError> {
        let mut record = self.record(symbol)?;
        for defect in &self.defects {
            defect.damage_record(&mut record);
        }
        Ok(record)
    }

    async fn news(&self, symbol: &Symbol, range: DateRange) -> Result<Vec<News>, MarketError> {
        if self.has(Defect::NewsZero) {
            return Ok(Vec::new());
        }
        let mut dice = Dice::new(self.seed, &format!("{symbol}/news"));
        let bars = within(&self.history(symbol).bars, range, |bar| bar.date);
        let recent = bars.iter().rev().step_by(9).take(6);
        let news = recent.filter_map(|bar| {
            let session = self.calendar.session(bar.date)?;
            let topic = ["sector in focus", "analysts compare peers", "board visits a site"];
            let topic = topic[dice.below(topic.len())];
            Some(News {
                at: session.open,
                title: format!("[Synthetic] {}: {topic}", symbol.local_code()),
                link: None,
                polarity: Some(rounded(dice.between(-0.6, 0.8), 2)),
            })
        });
        Ok(news.collect())
    }

    fn calls(&self) -> u32 {
        0
    }
}

#[cfg(test)]
mod tests;
