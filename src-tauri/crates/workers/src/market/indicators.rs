//! Technical indicators, as TA-Lib defines them.
//!
//! Every function gives one value per bar, `None` where there are not enough bars before it: never a
//! value over fewer bars than asked for. They are computed on adjusted prices ([`Columns`]), because
//! a split or a dividend is no movement of the market. The tests hold them to TA-Lib's own results.

use talib_rs::ma_type::MaType;

use super::model::Bar;

/// One value per bar.
pub type Line = Vec<Option<f64>>;

/// Bars as columns, prices adjusted for splits and dividends. The indicators' inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Highest prices.
    pub high: Vec<f64>,
    /// Lowest prices.
    pub low: Vec<f64>,
    /// Closing prices.
    pub close: Vec<f64>,
    /// Shares traded; 0 where that is not known.
    pub volume: Vec<f64>,
}

impl Columns {
    /// Adjusted: each price times adjusted close / close of its bar.
    #[must_use]
    pub fn adjusted(bars: &[Bar]) -> Self {
        let mut columns = Self::default();
        for bar in bars {
            let factor = bar.factor();
            columns.high.push(bar.high_f64() * factor);
            columns.low.push(bar.low_f64() * factor);
            columns.close.push(bar.adjusted_f64());
            columns.volume.push(bar.volume_f64().unwrap_or(0.0));
        }
        columns
    }
}

/// What TA-Lib marks as "not yet" becomes `None`, and so does what is no number at all.
fn line(values: Result<Vec<f64>, talib_rs::error::TaError>, bars: usize) -> Line {
    let Ok(values) = values else { return vec![None; bars] };
    values.into_iter().map(|value| value.is_finite().then_some(value)).collect()
}

/// Simple moving average.
#[must_use]
pub fn sma(close: &[f64], period: usize) -> Line {
    line(talib_rs::overlap::sma(close, period), close.len())
}

/// Exponential moving average; begins with the simple average of the first `period` values.
#[must_use]
pub fn ema(close: &[f64], period: usize) -> Line {
    line(talib_rs::overlap::ema(close, period), close.len())
}

/// Relative strength index with Wilder's smoothing, 0 to 100; 0 while nothing has moved at all.
///
/// Its smoothing remembers: with fewer than about 150 bars before it, a value is still some way from
/// what a longer series would give.
#[must_use]
pub fn rsi(close: &[f64], period: usize) -> Line {
    if period < 1 || close.len() <= period {
        return vec![None; close.len()];
    }
    let mut values = vec![None; period];
    let (mut gain, mut loss) = (0.0, 0.0);
    let weight = 1.0 / f64::from(u32::try_from(period).unwrap_or(u32::MAX));
    for (at, pair) in close.windows(2).enumerate() {
        let change = pair[1] - pair[0];
        let (up, down) = (change.max(0.0), (-change).max(0.0));
        if at < period {
            gain += up * weight;
            loss += down * weight;
        } else {
            gain += (up - gain) * weight;
            loss += (down - loss) * weight;
        }
        if at + 1 >= period {
            let moved = gain + loss;
            // TA-Lib's own bound for "nothing has moved".
            values.push(Some(if moved < 1e-14 { 0.0 } else { 100.0 * gain / moved }));
        }
    }
    values
}

/// Moving average convergence/divergence.
#[derive(Clone, Debug, PartialEq)]
pub struct Macd {
    /// Fast average less slow average.
    pub macd: Line,
    /// Average of `macd`.
    pub signal: Line,
    /// `macd` less `signal`.
    pub histogram: Line,
}

/// MACD 12/26/9 and its like.
#[must_use]
pub fn macd(close: &[f64], fast: usize, slow: usize, signal: usize) -> Macd {
    let bars = close.len();
    match talib_rs::momentum::macd(close, fast, slow, signal) {
        Ok((macd, signal, histogram)) => Macd {
            macd: line(Ok(macd), bars),
            signal: line(Ok(signal), bars),
            histogram: line(Ok(histogram), bars),
        },
        Err(_) => {
            Macd { macd: vec![None; bars], signal: vec![None; bars], histogram: vec![None; bars] }
        }
    }
}

/// Bollinger bands.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// Average plus the deviations.
    pub upper: Line,
    /// Simple moving average.
    pub middle: Line,
    /// Average less the deviations.
    pub lower: Line,
}

/// Bollinger bands: `deviations` population standard deviations around the simple average.
#[must_use]
pub fn bollinger(close: &[f64], period: usize, deviations: f64) -> Bands {
    let bars = close.len();
    match talib_rs::overlap::bbands(close, period, deviations, deviations, MaType::Sma) {
        Ok((upper, middle, lower)) => Bands {
            upper: line(Ok(upper), bars),
            middle: line(Ok(middle), bars),
            lower: line(Ok(lower), bars),
        },
        Err(_) => {
            Bands { upper: vec![None; bars], middle: vec![None; bars], lower: vec![None; bars] }
        }
    }
}

/// Average true range with Wilder's smoothing, in the price's currency.
#[must_use]
pub fn atr(high: &[f64], low: &[f64], close: &[f64], period: usize) -> Line {
    line(talib_rs::volatility::atr(high, low, close, period), close.len())
}

/// On-balance volume, beginning with the first bar's own volume.
#[must_use]
pub fn obv(close: &[f64], volume: &[f64]) -> Line {
    line(talib_rs::volume::obv(close, volume), close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns of a file written by `testdata/indicators.py`.
    fn golden(text: &str) -> impl Fn(&str) -> Line {
        let mut lines = text.lines();
        let names: Vec<String> =
            lines.next().expect("a head").split(',').map(str::to_owned).collect();
        let rows: Vec<Line> = lines
            .map(|line| {
                line.split(',')
                    .map(|f| (!f.is_empty()).then(|| f.parse().expect("a number")))
                    .collect()
            })
            .collect();
        move |name| {
            let at = names.iter().position(|n| n == name).expect(name);
            rows.iter().map(|row| row[at]).collect()
        }
    }

    #[test]
    fn every_value_is_the_one_that_ta_lib_gives() {
        let files = [
            ("walk", include_str!("testdata/indicators_walk.csv")),
            ("gaps", include_str!("testdata/indicators_gaps.csv")),
            ("short", include_str!("testdata/indicators_short.csv")),
        ];
        let mut different = Vec::new();
        let mut compared = 0;
        for (file, text) in files {
            let golden = golden(text);
            let input = |name| -> Vec<f64> { golden(name).into_iter().flatten().collect() };
            let (high, low, close) = (input("high"), input("low"), input("close"));
            let volume = input("volume");
            let macd = macd(&close, 12, 26, 9);
            let bands = bollinger(&close, 20, 2.0);
            for (name, ours) in [
                ("sma20", sma(&close, 20)),
                ("sma50", sma(&close, 50)),
                ("sma200", sma(&close, 200)),
                ("ema20", ema(&close, 20)),
                ("rsi14", rsi(&close, 14)),
                ("macd", macd.macd),
                ("macd_signal", macd.signal),
                ("macd_histogram", macd.histogram),
                ("upper", bands.upper),
                ("middle", bands.middle),
                ("lower", bands.lower),
                ("atr14", atr(&high, &low, &close, 14)),
                ("obv", obv(&close, &volume)),
            ] {
                let theirs = golden(name);
                assert_eq!(ours.len(), theirs.len(), "{file} {name}");
                for (bar, pair) in ours.iter().zip(&theirs).enumerate() {
                    compared += 1;
                    let same = match pair {
                        (Some(a), Some(b)) => (a - b).abs() <= 1e-9,
                        (a, b) => a.is_none() && b.is_none(),
                    };
                    if !same {
                        different.push(format!("{file} {name} bar {bar}: {pair:?}"));
                    }
                }
            }
        }
        assert_eq!(compared, 13 * (420 + 300 + 28));
        assert!(different.is_empty(), "{} values differ: {different:#?}", different.len());
    }

    #[test]
    fn too_few_bars_give_no_value_instead_of_one_over_fewer() {
        for bars in 0..16_u32 {
            let close: Vec<f64> = (0..bars).map(|n| 1.0 + f64::from(n)).collect();
            for (name, line, first) in [
                ("sma", sma(&close, 14), 13),
                ("ema", ema(&close, 14), 13),
                ("rsi", rsi(&close, 14), 14),
                ("atr", atr(&close, &close, &close, 14), 14),
                ("macd", macd(&close, 3, 6, 4).signal, 8),
                ("bands", bollinger(&close, 14, 2.0).upper, 13),
            ] {
                assert_eq!(line.len(), close.len(), "{name} of {bars} bars");
                for (at, value) in line.iter().enumerate() {
                    assert_eq!(value.is_some(), at >= first, "{name} of {bars} bars at {at}");
                }
            }
        }
    }
}
