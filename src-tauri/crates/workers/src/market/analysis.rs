//! What prices say over time: returns, risk, trend. On adjusted prices, so that a split is no loss and a
//! dividend is a gain.

use jiff::{Span, ToSpan, civil::Date};

use super::{
    indicators::{self, Columns},
    model::Bar,
};

/// Sessions of a year.
pub(super) const YEAR: usize = 252;
/// Daily returns that beta and volatility need at least.
pub(super) const LEAST_RETURNS: usize = 120;
/// Bars after which RSI, and the trend that it votes in, no longer depend on where the prices begin.
pub(super) const SETTLED: usize = 150;
/// Sessions of the range that is called support and resistance.
const RANGE: usize = 20;
/// A move of a day that is listed, as a fraction.
const BIG_MOVE: f64 = 0.05;
/// Moves that are listed.
const MOST_MOVES: usize = 5;

/// The periods that performance is told for.
#[must_use]
pub(super) fn periods() -> [(&'static str, Span); 7] {
    [
        ("1 week", 1.week()),
        ("1 month", 1.month()),
        ("3 months", 3.months()),
        ("6 months", 6.months()),
        ("1 year", 1.year()),
        ("3 years", 3.years()),
        ("5 years", 5.years()),
    ]
}

/// The return over a period that ends with the last bar, as a fraction, and the day that it begins with:
/// the last session on or before the period's first day. None without such a session.
#[must_use]
pub(super) fn performance(bars: &[Bar], period: Span) -> Option<(Date, f64)> {
    let last = bars.last()?;
    let from = last.date.checked_sub(period).ok()?;
    between(bars, from, last.date).map(|gain| (start(bars, from).unwrap_or(from), gain))
}

fn start(bars: &[Bar], from: Date) -> Option<Date> {
    bars.iter().rev().find(|bar| bar.date <= from).map(|bar| bar.date)
}

/// The return from the last session on or before `from` to the last one on or before `to`.
fn between(bars: &[Bar], from: Date, to: Date) -> Option<f64> {
    let at = |day: Date| bars.iter().rev().find(|bar| bar.date <= day).map(Bar::adjusted_f64);
    let (before, after) = (at(from)?, at(to)?);
    (before > 0.0).then(|| after / before - 1.0)
}

/// The bars of the days that both have. Both are in order, with one bar a day.
#[must_use]
pub(super) fn common(bars: &[Bar], index: &[Bar]) -> (Vec<Bar>, Vec<Bar>) {
    let find = |day: Date| index.binary_search_by_key(&day, |bar| bar.date).ok();
    let pairs = bars.iter().filter_map(|bar| Some((bar.clone(), index[find(bar.date)?].clone())));
    pairs.unzip()
}

/// From each bar to the next, as logarithms.
fn returns(bars: &[Bar]) -> Vec<f64> {
    bars.windows(2).map(|pair| (pair[1].adjusted_f64() / pair[0].adjusted_f64()).ln()).collect()
}

/// The yearly standard deviation of the last year's daily returns, as a fraction.
#[must_use]
pub(super) fn volatility(bars: &[Bar]) -> Option<f64> {
    let returns = returns(&bars[bars.len().saturating_sub(YEAR + 1)..]);
    if returns.len() < LEAST_RETURNS {
        return None;
    }
    let count = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / count;
    let variance = returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some((variance * YEAR as f64).sqrt())
}

/// The largest fall from a high in the bars, as a fraction below 0, with the days of the high and the low.
#[must_use]
pub(super) fn drawdown(bars: &[Bar]) -> Option<(f64, Date, Date)> {
    let mut high = bars.first()?;
    let mut worst = (0.0, high.date, high.date);
    for bar in bars {
        if bar.adjusted_f64() > high.adjusted_f64() {
            high = bar;
        }
        let fall = bar.adjusted_f64() / high.adjusted_f64() - 1.0;
        if fall < worst.0 {
            worst = (fall, high.date, bar.date);
        }
    }
    Some(worst)
}

/// How a stock moves with an index over the last year of [`common`] days. None with fewer than 120
/// returns.
#[must_use]
pub(super) fn beta(bars: &[Bar], index: &[Bar]) -> Option<f64> {
    let year = bars.len().saturating_sub(YEAR + 1)..;
    let pairs: Vec<(f64, f64)> =
        returns(&bars[year.clone()]).into_iter().zip(returns(index.get(year)?)).collect();
    if pairs.len() < LEAST_RETURNS {
        return None;
    }
    let count = pairs.len() as f64;
    let own = pairs.iter().map(|(own, _)| own).sum::<f64>() / count;
    let market = pairs.iter().map(|(_, market)| market).sum::<f64>() / count;
    let together: f64 = pairs.iter().map(|(a, b)| (a - own) * (b - market)).sum();
    let alone: f64 = pairs.iter().map(|(_, b)| (b - market).powi(2)).sum();
    (alone > 0.0).then(|| together / alone)
}

/// The days that moved most: those of 5 % or more, at most five of them; the largest first.
#[must_use]
pub(super) fn big_moves(bars: &[Bar]) -> Vec<(Date, f64)> {
    let mut moves: Vec<(Date, f64)> = bars
        .windows(2)
        .map(|pair| (pair[1].date, pair[1].adjusted_f64() / pair[0].adjusted_f64() - 1.0))
        .filter(|(_, change)| change.abs() >= BIG_MOVE)
        .collect();
    moves.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    moves.truncate(MOST_MOVES);
    moves
}

/// Which way a vote of five simple rules points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trend {
    /// At least two more votes for rising.
    Bullish,
    /// Neither.
    Neutral,
    /// At least two more votes for falling.
    Bearish,
}

impl Trend {
    /// As reports write it.
    #[must_use]
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Bullish => "BULLISH",
            Self::Neutral => "NEUTRAL",
            Self::Bearish => "BEARISH",
        }
    }
}

/// The indicators' last values, in adjusted prices.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Latest {
    /// Simple moving averages of 20, 50 and 200 sessions.
    pub(super) sma: [Option<f64>; 3],
    /// Exponential moving average of 20 sessions.
    pub(super) ema20: Option<f64>,
    /// RSI of 14 sessions, with 150 bars and more.
    pub(super) rsi: Option<f64>,
    /// MACD 12/26/9: line, signal, histogram.
    pub(super) macd: [Option<f64>; 3],
    /// Bollinger bands of 20 sessions and 2 deviations: upper, middle, lower.
    pub(super) bands: [Option<f64>; 3],
    /// Average true range of 14 sessions.
    pub(super) atr: Option<f64>,
    /// On-balance volume.
    pub(super) obv: Option<f64>,
    /// Lowest and highest price of 20 sessions.
    pub(super) range: Option<(f64, f64)>,
    /// The vote, and how many of the rules voted for rising and for falling.
    pub(super) trend: Option<(Trend, u32, u32)>,
}

impl Latest {
    /// Of bars in order.
    #[must_use]
    pub(super) fn of(bars: &[Bar]) -> Self {
        let Columns { high, low, close, volume } = Columns::adjusted(bars);
        let last = |line: Vec<Option<f64>>| line.last().copied().flatten();
        let macd = indicators::macd(&close, 12, 26, 9);
        let bands = indicators::bollinger(&close, 20, 2.0);
        let range = close.len().checked_sub(RANGE).map(|start| {
            let lowest = low[start..].iter().copied().fold(f64::MAX, f64::min);
            (lowest, high[start..].iter().copied().fold(f64::MIN, f64::max))
        });
        let mut latest = Self {
            sma: [20, 50, 200].map(|period| last(indicators::sma(&close, period))),
            ema20: last(indicators::ema(&close, 20)),
            rsi: last(indicators::rsi(&close, 14)).filter(|_| close.len() >= SETTLED),
            macd: [macd.macd, macd.signal, macd.histogram].map(last),
            bands: [bands.upper, bands.middle, bands.lower].map(last),
            atr: last(indicators::atr(&high, &low, &close, 14)),
            obv: last(indicators::obv(&close, &volume)),
            range,
            trend: None,
        };
        latest.trend = close.last().and_then(|price| latest.vote(*price));
        latest
    }

    /// Price above each average, the short average above the middle one, and RSI. None if the shortest
    /// average or RSI is not there; what else is missing does not vote.
    fn vote(&self, price: f64) -> Option<(Trend, u32, u32)> {
        let (rsi, _) = (self.rsi?, self.sma[0]?);
        let mut rules: Vec<bool> =
            self.sma.iter().flatten().map(|average| price > *average).collect();
        if let [Some(short), Some(middle), _] = self.sma {
            rules.push(short > middle);
        }
        rules.push((50.0..70.0).contains(&rsi) || rsi <= 30.0);
        let count = |side: bool| rules.iter().filter(|rule| **rule == side).count();
        let (bull, bear) = (count(true), count(false));
        let trend = if bull > bear + 1 {
            Trend::Bullish
        } else if bear > bull + 1 {
            Trend::Bearish
        } else {
            Trend::Neutral
        };
        Some((trend, u32::try_from(bull).ok()?, u32::try_from(bear).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use rust_decimal::Decimal;

    use super::*;

    fn bars(closes: &[f64]) -> Vec<Bar> {
        let mut day = date(2026, 1, 1);
        closes
            .iter()
            .map(|close| {
                day = day.tomorrow().expect("there is one");
                let price = Decimal::try_from(*close).expect("a price").round_dp(4);
                Bar {
                    date: day,
                    open: price,
                    high: price,
                    low: price,
                    close: price * Decimal::TWO,
                    adjusted_close: price,
                    volume: Some(Decimal::ONE_HUNDRED),
                }
            })
            .collect()
    }

    fn near(found: Option<f64>, expected: f64) {
        let found = found.expect("a value");
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn returns_are_of_adjusted_prices_and_begin_with_a_known_session() {
        let bars = bars(&[100.0, 110.0, 99.0, 120.0, 60.0, 90.0, 95.0, 96.0, 108.0]);
        let (from, gain) = performance(&bars, 1.week()).expect("a week");
        assert_eq!(from, date(2026, 1, 3));
        near(Some(gain), 108.0 / 110.0 - 1.0);
        assert_eq!(performance(&bars, 1.month()), None, "what is not known is not told");
        let (fall, high, low) = drawdown(&bars).expect("bars");
        near(Some(fall), -0.5);
        assert_eq!((high, low), (date(2026, 1, 5), date(2026, 1, 6)));
        let moves: Vec<i64> = big_moves(&bars).iter().map(|(day, _)| day.day().into()).collect();
        assert_eq!(moves, [6, 7, 5, 10, 3]);
    }

    #[test]
    fn a_stock_that_doubles_every_move_of_the_index_has_a_beta_of_two() {
        let mut index = vec![100.0_f64];
        let mut stock = vec![100.0_f64];
        for n in 0..200_i32 {
            let step = f64::from(n % 7 - 3) / 400.0;
            index.push(index[index.len() - 1] * step.exp());
            stock.push(stock[stock.len() - 1] * (2.0 * step).exp());
        }
        let found = beta(&bars(&stock), &bars(&index)).expect("enough days");
        assert!((found - 2.0).abs() < 1e-3, "{found}");
        assert_eq!(beta(&bars(&stock[..100]), &bars(&index)), None);
        assert_eq!(volatility(&bars(&stock[..100])), None);
        let usual = volatility(&bars(&index)).expect("enough days");
        assert!((usual - 0.005 * 252_f64.sqrt()).abs() < 0.002, "{usual}");
    }

    #[test]
    fn the_trend_is_a_vote() {
        let rising: Vec<f64> =
            (0..260).map(|n| 50.0 + f64::from(n) * 0.1 + f64::from(n % 3)).collect();
        let falling: Vec<f64> = rising.iter().rev().copied().collect();
        let of = |closes: &[f64]| Latest::of(&bars(closes)).trend.map(|(trend, ..)| trend);
        assert_eq!(of(&rising), Some(Trend::Bullish));
        assert_eq!(of(&falling), Some(Trend::Bearish));
        assert_eq!(of(&rising[..14]), None);
        assert_eq!(of(&rising[..SETTLED - 1]), None, "its RSI has not settled");
        assert!(of(&rising[..SETTLED]).is_some());
        let latest = Latest::of(&bars(&rising[..100]));
        assert_eq!(latest.rsi, None);
        assert_eq!((latest.sma[2], latest.sma[1].is_some()), (None, true));
    }
}
