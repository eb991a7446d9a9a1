//! Defects that real data has, put into the invented market: one for each check of the gate.

use jiff::{Timestamp, ToSpan, civil::Weekday};
use rust_decimal::Decimal;

use crate::market::{
    calendar::Calendar,
    model::{Bar, Fundamentals, Series, Symbol},
};

macro_rules! defects {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)*) => {
        /// A defect, named after the check that finds it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Defect { $($(#[$doc])* $name,)* }

        impl Defect {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The id of the check that finds it.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// The defect that a check finds.
            #[must_use]
            pub fn of(id: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|defect| defect.id() == id)
            }
        }
    };
}

defects! {
    /// The last three sessions are missing.
    FreshLag = "fresh.lag",
    /// A bar of next week.
    FreshFuture = "fresh.future",
    /// A bar of a session that is still running; only while one is.
    FreshPartial = "fresh.partial",
    /// The recent price is `NA`.
    FreshQuote = "fresh.quote",
    /// A bar on a Sunday.
    CalNonsession = "cal.nonsession",
    /// Six sessions are missing in a row.
    GapMissing = "gap.missing",
    /// Two bars change places.
    SerOrder = "ser.order",
    /// A day comes twice with different prices.
    SerDup = "ser.dup",
    /// A bar whose highest price is below its lowest.
    SerOhlc = "ser.ohlc",
    /// A row that cannot be read.
    SerUnreadable = "ser.unreadable",
    /// Two of three sessions have no volume.
    VolZero = "vol.zero",
    /// Nothing traded in four sessions.
    VolFlat = "vol.flat",
    /// A price that is a fifth too high, for a day.
    Jump = "jump",
    /// A split that nobody adjusted for.
    SplitUnadj = "split.unadj",
    /// An adjusted price that moves alone.
    AdjK = "adj.k",
    /// A highest price of 52 weeks that nobody paid.
    Ref52w = "ref.52w",
    /// A market value of other shares.
    RefMcap = "ref.mcap",
    /// A price/earnings ratio of other earnings.
    RefPe = "ref.pe",
    /// A listing in another currency.
    CurListing = "cur.listing",
    /// Accounts in another currency.
    CurStatement = "cur.statement",
    /// No revenue in the accounts.
    FundMissing = "fund.missing",
    /// Accounts from long ago.
    FundAge = "fund.age",
    /// A plan that gives one year.
    PlanTruncated = "plan.truncated",
    /// An index that ends two sessions earlier.
    BenchAlign = "bench.align",
    /// A hundred sessions of history.
    HistMin = "hist.min",
    /// No article.
    NewsZero = "news.zero",
}

impl Defect {
    /// Puts the defect into prices, if that is where it belongs.
    pub(super) fn damage(
        self,
        series: &mut Series,
        symbol: &Symbol,
        calendar: &Calendar,
        now: Timestamp,
    ) {
        let bars = &mut series.bars;
        if symbol.is_index() {
            if self == Self::BenchAlign {
                bars.truncate(bars.len().saturating_sub(2));
            }
            return;
        }
        let count = bars.len();
        // The place of a defect: long before the end, with a history before it.
        let Some(place) = count.checked_sub(40).filter(|place| *place > 2) else { return };
        match self {
            Self::FreshLag => bars.truncate(count - 3),
            Self::FreshFuture => {
                let date = calendar.date_of(now).checked_add(7.days());
                bars.extend(date.ok().map(|date| Bar { date, ..bars[count - 1].clone() }));
            }
            Self::FreshPartial => {
                if calendar.is_open(now) == Some(true) {
                    let date = calendar.date_of(now);
                    bars.push(Bar { date, ..bars[count - 1].clone() });
                }
            }
            Self::CalNonsession => {
                let friday = |bar: &Bar| bar.date.weekday() == Weekday::Friday;
                if let Some(at) = bars[place..].iter().position(friday) {
                    let friday = &bars[place + at];
                    let date = friday.date.checked_add(2.days()).unwrap_or(friday.date);
                    let sunday = Bar { date, ..friday.clone() };
                    bars.insert(place + at + 1, sunday);
                }
            }
            Self::GapMissing => drop(bars.drain(place..place + 6)),
            Self::SerOrder => bars.swap(place, place + 1),
            Self::SerDup => {
                let mut other = bars[place].clone();
                other.volume = other.volume.map(|volume| volume + Decimal::ONE);
                bars.insert(place, other);
            }
            Self::SerOhlc => {
                let bar = &mut bars[place];
                bar.high = bar.low * Decimal::new(9, 1);
            }
            Self::SerUnreadable => {
                // A row beside those of the sessions, so that no session is missing.
                let date = bars[place].date;
                series.notes.add(format!("A row after {date} has no day"));
            }
            Self::VolZero => {
                let recent = bars.iter_mut().rev().take(60).enumerate();
                recent
                    .filter(|(at, _)| at % 3 != 0)
                    .for_each(|(_, bar)| bar.volume = Some(Decimal::ZERO));
            }
            Self::VolFlat => {
                for bar in &mut bars[place..place + 4] {
                    (bar.open, bar.high, bar.low) = (bar.close, bar.close, bar.close);
                    bar.volume = Some(Decimal::ZERO);
                }
            }
            Self::Jump => scale(&mut bars[place..=place], Decimal::new(118, 2)),
            Self::SplitUnadj => scale(&mut bars[..place], Decimal::TWO),
            Self::AdjK => bars[place].adjusted_close *= Decimal::new(98, 2),
            Self::PlanTruncated => {
                series.warning = Some("Data is limited by one year".to_owned());
                drop(bars.drain(..count.saturating_sub(253)));
            }
            Self::HistMin => drop(bars.drain(..count.saturating_sub(100))),
            Self::FreshQuote
            | Self::Ref52w
            | Self::RefMcap
            | Self::RefPe
            | Self::CurListing
            | Self::CurStatement
            | Self::FundMissing
            | Self::FundAge
            | Self::BenchAlign
            | Self::NewsZero => {}
        }
    }

    /// Puts the defect into a company's record, if that is where it belongs.
    pub(super) fn damage_record(self, record: &mut Fundamentals) {
        let times = |value: &mut Option<Decimal>, by| *value = value.map(|value| value * by);
        match self {
            Self::Ref52w => times(&mut record.technicals.high_52w, Decimal::new(115, 2)),
            Self::RefMcap => times(&mut record.highlights.market_cap, Decimal::new(14, 1)),
            Self::RefPe => times(&mut record.highlights.pe, Decimal::new(13, 1)),
            Self::CurListing => record.currency = Some("USD".to_owned()),
            Self::CurStatement => record.statement_currency = Some("USD".to_owned()),
            Self::FundMissing => {
                record.highlights.revenue = None;
                record.yearly.iter_mut().for_each(|year| year.figures.revenue = None);
            }
            Self::FundAge => {
                let long_ago = |day: jiff::civil::Date| day.checked_sub(500.days()).ok();
                record.most_recent_quarter = record.most_recent_quarter.and_then(long_ago);
            }
            _ => {}
        }
    }
}

fn scale(bars: &mut [Bar], by: Decimal) {
    for bar in bars {
        for price in
            [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close, &mut bar.adjusted_close]
        {
            *price *= by;
        }
    }
}
