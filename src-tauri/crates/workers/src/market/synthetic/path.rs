//! The invented history of a market: one index, and companies that move with it.
//!
//! A company's earnings grow by half years; its price wanders around what those earnings are worth,
//! with volatility that comes in bursts; dividends are paid out of the earnings, and some companies
//! split their shares once. Market value is shares times price, earnings per share times shares is
//! net income, and adjusted prices follow from the dividends and splits.
//!
//! Only additions, products, quotients and roots are used: they give the same numbers everywhere.

use jiff::civil::{Date, date};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use crate::market::{
    calendar::Calendar,
    model::{Bar, Dividend, Split, Symbol},
};

/// A day's move stays below this, so that no invented day looks like an error in data.
const LARGEST_MOVE: f64 = 0.07;
/// Half years since July 2013, so that the first session has a year of accounts behind it.
const HALF_YEARS: usize = 29;

/// A stream of numbers that a seed determines (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// A stream for a seed and a name.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        let hash = blake3::hash(format!("{seed}/{name}").as_bytes());
        let bytes = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        Self(u64::from_le_bytes(*bytes))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Between two values.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// One of so many.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count.max(1) as u64).unwrap_or(0)
    }

    /// Close to normal, with mean 0, deviation 1 and no value beyond 3.2.
    fn normal(&mut self) -> f64 {
        let sum: f64 = (0..12).map(|_| self.unit()).sum();
        (sum - 6.0).clamp(-3.2, 3.2)
    }
}

/// A number with so many decimals.
pub(super) fn rounded(value: f64, decimals: u32) -> Decimal {
    let scaled = (value * 10_f64.powi(decimals.cast_signed())).round();
    Decimal::new(scaled.to_i64().unwrap_or(i64::MAX), decimals).normalize()
}

/// The exchange's smallest steps: 0.1 cent below 10 cents, half a cent below 2 dollars, else 1 cent.
fn tick(price: f64) -> (f64, u32) {
    if price < 0.1 {
        (0.001, 3)
    } else if price < 2.0 {
        (0.005, 3)
    } else {
        (0.01, 2)
    }
}

fn on_tick(price: f64) -> f64 {
    let (tick, _) = tick(price);
    ((price / tick).round() * tick).max(0.001)
}

fn money(price: f64) -> Decimal {
    rounded(price, 3)
}

/// What a company earned in half a year, per share of today.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfYear {
    /// Its last day: 30 June or 31 December.
    pub(super) end: Date,
    /// Earnings per share.
    pub(super) eps: f64,
}

impl HalfYear {
    /// The day on which it is reported.
    pub(super) fn reported(&self) -> Date {
        let month = if self.end.month() == 6 { 8 } else { 2 };
        let year = if month == 2 { self.end.year() + 1 } else { self.end.year() };
        date(year, month, 20)
    }
}

/// What does not change about a company.
#[derive(Clone, Debug)]
pub(super) struct Nature {
    /// Shares of today.
    pub(super) shares: f64,
    /// What the market pays for earnings.
    pub(super) multiple: f64,
    /// Net income / revenue.
    pub(super) margin: f64,
    /// Dividends / earnings.
    pub(super) payout: f64,
    /// How it moves with the index.
    pub(super) beta: f64,
    /// Its half years, oldest first.
    pub(super) halves: Vec<HalfYear>,
}

/// A security's history as it is known at the end of its last bar.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// One per session.
    pub(super) bars: Vec<Bar>,
    /// Dividends, oldest first.
    pub(super) dividends: Vec<Dividend>,
    /// Splits, oldest first.
    pub(super) splits: Vec<Split>,
}

/// The sessions that the calendar knows, up to `last`.
fn sessions(calendar: &Calendar, last: Date) -> Vec<Date> {
    let (first, end) = calendar.range();
    calendar.sessions_after(first, last.min(end)).unwrap_or_default()
}

/// The moves of the whole market, one per session.
fn market(seed: u64, count: usize) -> Vec<f64> {
    let mut dice = Dice::new(seed, "market");
    let mut burst = Burst::new(0.0065);
    (0..count).map(|_| 0.0002 + burst.next(&mut dice)).collect()
}

/// Volatility that comes in bursts: GARCH(1,1).
struct Burst {
    usual: f64,
    variance: f64,
}

impl Burst {
    const fn new(usual: f64) -> Self {
        Self { usual, variance: usual * usual }
    }

    fn next(&mut self, dice: &mut Dice) -> f64 {
        let movement = self.variance.sqrt() * dice.normal();
        let usual = self.usual * self.usual;
        let next = 0.04 * usual + 0.08 * movement * movement + 0.88 * self.variance;
        self.variance = next.clamp(usual * 0.3, usual * 3.0);
        movement
    }
}

/// The history of an index: prices only, and no volume.
pub(super) fn index(seed: u64, symbol: &Symbol, calendar: &Calendar, last: Date) -> History {
    let days = sessions(calendar, last);
    let mut dice = Dice::new(seed, &symbol.to_string());
    let mut level = dice.between(4_000.0, 6_000.0);
    let bars = days
        .iter()
        .zip(market(seed, days.len()))
        .map(|(day, movement)| {
            let open = level;
            level *= 1.0 + movement;
            let wide = 1.0 + 0.003 * dice.unit();
            Bar {
                date: *day,
                open: rounded(open, 1),
                high: rounded(open.max(level) * wide, 1),
                low: rounded(open.min(level) / wide, 1),
                close: rounded(level, 1),
                adjusted_close: rounded(level, 1),
                volume: Some(Decimal::ZERO),
            }
        })
        .collect();
    History { bars, dividends: Vec::new(), splits: Vec::new() }
}

/// What kind of company a symbol is.
pub(super) fn nature(seed: u64, symbol: &Symbol) -> Nature {
    let mut dice = Dice::new(seed, &format!("{symbol}/nature"));
    let multiple = dice.between(11.0, 24.0);
    let price = [1.2, 4.5, 12.0, 30.0, 75.0][dice.below(5)] * dice.between(0.8, 1.3);
    let growth = dice.between(0.99, 1.05);
    let mut eps = price / multiple / 2.0;
    let halves = (0..HALF_YEARS)
        .map(|half| {
            let year = 2013 + i16::try_from(half.div_ceil(2)).unwrap_or(0);
            let end = if half % 2 == 0 { date(year, 12, 31) } else { date(year, 6, 30) };
            eps *= growth;
            HalfYear { end, eps: eps * dice.between(0.94, 1.06) }
        })
        .collect();
    Nature {
        shares: (dice.between(80.0, 3_000.0)).round() * 1e6,
        multiple,
        margin: dice.between(0.06, 0.28),
        payout: dice.between(0.35, 0.75),
        beta: dice.between(0.6, 1.4),
        halves,
    }
}

/// What a company is worth from each day on: its multiple of the earnings of a year, as reported the day
/// before.
struct Worth {
    /// Oldest first; the day after each report.
    steps: Vec<(Date, f64)>,
    at: usize,
}

impl Worth {
    fn new(nature: &Nature) -> Self {
        let year = nature.halves.windows(2);
        let steps = year
            .filter_map(|pair| {
                let from = pair[1].reported().tomorrow().ok()?;
                Some((from, nature.multiple * (pair[0].eps + pair[1].eps)))
            })
            .collect();
        Self { steps, at: 0 }
    }

    /// Asked for one day after the other.
    fn on(&mut self, day: Date) -> f64 {
        while self.steps.get(self.at + 1).is_some_and(|(from, _)| *from <= day) {
            self.at += 1;
        }
        self.steps.get(self.at).map_or(1.0, |(_, value)| *value)
    }
}

/// The history of a company.
pub(super) fn company(seed: u64, symbol: &Symbol, calendar: &Calendar, last: Date) -> History {
    let nature = nature(seed, symbol);
    let days = sessions(calendar, last);
    // The whole market is drawn as far as the calendar goes, so that a longer history begins alike.
    let market = market(seed, days.len());
    let mut dice = Dice::new(seed, &format!("{symbol}/path"));
    let split = split(&mut dice, calendar);
    let mut payments = payments(&nature, calendar).into_iter().peekable();
    let mut burst = Burst::new(dice.between(0.008, 0.013));
    let turnover = dice.between(0.0008, 0.004);

    // Prices per share of today; what was traded then is a multiple of it until the split.
    let mut worth = Worth::new(&nature);
    let mut price = worth.on(days.first().copied().unwrap_or_default());
    let mut bars: Vec<Bar> = Vec::with_capacity(days.len());
    let mut dividends = Vec::new();
    let mut splits = Vec::new();
    // What a holder gains, to which adjusted prices are proportional.
    let mut gained: Vec<f64> = Vec::with_capacity(days.len());
    for (day, market) in days.iter().zip(market) {
        let fair = worth.on(*day);
        let pull = ((fair / price - 1.0) * 0.01).clamp(-0.004, 0.004);
        let own = burst.next(&mut dice);
        let movement = (nature.beta * market + own + pull).clamp(-LARGEST_MOVE, LARGEST_MOVE);
        while payments.next_if(|payment| payment.date < *day).is_some() {}
        let paid = payments.next_if(|payment| payment.date == *day);
        let value = paid.as_ref().map_or(0.0, |payment| payment.amount);
        if let Some(payment) = paid {
            dividends.push(Dividend {
                date: *day,
                payment: Some(payment.paid),
                value: rounded(value, 4),
                currency: Some("AUD".to_owned()),
            });
        }
        let (ratio, today) = split.map_or((1.0, false), |split| {
            (if *day < split.date { split.ratio } else { 1.0 }, *day == split.date)
        });
        if let (Some(split), true) = (split, today) {
            splits.push(Split { date: *day, new: rounded(split.ratio, 0), old: Decimal::ONE });
        }
        let before = price;
        let open = (before - value) * (1.0 + 0.25 * movement);
        price = (before - value) * (1.0 + movement);
        // Traded prices lie on the exchange's steps, and what follows starts from what was traded.
        let close = on_tick(price * ratio);
        let open = on_tick(open * ratio);
        let reach = 1.0 + 0.006 * dice.unit();
        let high = on_tick(open.max(close) * reach).max(open.max(close));
        let low = on_tick(open.min(close) / reach).min(open.min(close));
        price = close / ratio;
        let factor = if bars.is_empty() { 1.0 } else { (price + value) / before };
        gained.push(gained.last().copied().unwrap_or(1.0) * factor);
        let busy = dice.between(0.5, 1.8) * (1.0 + 20.0 * movement.abs());
        bars.push(Bar {
            date: *day,
            open: money(open),
            high: money(high),
            low: money(low),
            close: money(close),
            adjusted_close: Decimal::ZERO,
            volume: Some(rounded(nature.shares * turnover * busy, 0)),
        });
    }
    adjust(&mut bars, &gained);
    History { bars, dividends, splits }
}

/// Sets the adjusted closes: the last one is the price itself, the others follow what a holder gained.
fn adjust(bars: &mut [Bar], gained: &[f64]) {
    let Some((last, end)) = bars.last().zip(gained.last()) else { return };
    let close = last.close_f64();
    for (bar, gain) in bars.iter_mut().zip(gained) {
        bar.adjusted_close = rounded(close * gain / end, 4);
    }
}

#[derive(Clone, Copy)]
struct PlannedSplit {
    date: Date,
    ratio: f64,
}

/// One company in three splits its shares, in some year from 2018 to 2026.
fn split(dice: &mut Dice, calendar: &Calendar) -> Option<PlannedSplit> {
    let year = 2018 + i16::try_from(dice.below(9)).unwrap_or(0);
    let ratio = [2.0, 3.0, 4.0, 5.0][dice.below(4)];
    let day = calendar.next_session(date(year, 5, 10))?.date;
    (dice.below(3) == 0).then_some(PlannedSplit { date: day, ratio })
}

struct Payment {
    date: Date,
    paid: Date,
    amount: f64,
}

/// Dividends: ex two weeks after each report.
fn payments(nature: &Nature, calendar: &Calendar) -> Vec<Payment> {
    let pay = |half: &HalfYear| {
        let reported = half.reported();
        let month = reported.month() + 1;
        let date = calendar.next_session(date(reported.year(), month, 2))?.date;
        let paid = calendar.next_session(jiff::civil::date(reported.year(), month, 25))?.date;
        Some(Payment { date, paid, amount: (half.eps * nature.payout * 1e4).round() / 1e4 })
    };
    nature.halves.iter().filter_map(pay).collect()
}
