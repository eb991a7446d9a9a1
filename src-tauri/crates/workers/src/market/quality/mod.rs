//! The gate that data passes before anybody builds on it.
//!
//! [`assess`] is a pure function: the same data at the same moment gives the same verdict. Every check
//! says what it observed, what it allows, and on which days; what could not be looked at is told apart
//! from what is in order. The verdict is stored with the document and copied into reports by code.
//!
//! The thresholds were chosen on one large US stock; for small companies that trade rarely they may be
//! too strict.

mod company;
mod moves;
mod prices;

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::{
    calendar::Calendar,
    indicators::Columns,
    model::{Bar, Series, StockBundle},
};

/// Days that a check lists.
const MOST_DATES: usize = 10;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Figures may be off.
    Warn,
    /// Figures are wrong or may not be used.
    Error,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In order.
    Pass,
    /// Not in order.
    Fail,
    /// It makes no sense for this security, or the part was not asked for.
    NotApplicable,
    /// What it needs is not there.
    NotEvaluated,
}

/// One check's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its stable name.
    pub check_id: &'static str,
    /// How bad it is; `info` unless it failed.
    pub severity: Severity,
    /// What came of it.
    pub status: Status,
    /// What was found.
    pub observed: String,
    /// What is allowed.
    pub threshold: &'static str,
    /// The days it is about, at most ten.
    #[serde(serialize_with = "as_texts")]
    pub dates: Vec<Date>,
    /// A sentence for people.
    pub message: String,
}

fn as_texts<S: serde::Serializer>(dates: &[Date], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(dates.iter().map(ToString::to_string))
}

impl Check {
    fn new(check_id: &'static str, threshold: &'static str, status: Status) -> Self {
        Self {
            check_id,
            severity: Severity::Info,
            status,
            observed: String::new(),
            threshold,
            dates: Vec::new(),
            message: String::new(),
        }
    }

    fn on(mut self, dates: impl IntoIterator<Item = Date>) -> Self {
        self.dates = dates.into_iter().take(MOST_DATES).collect();
        self
    }
}

/// A check's name and what it allows; makes its verdicts.
#[derive(Clone, Copy)]
struct Rule(&'static str, &'static str);

impl Rule {
    fn pass(self, observed: impl Into<String>) -> Check {
        Check { observed: observed.into(), ..Check::new(self.0, self.1, Status::Pass) }
    }

    fn fail(
        self,
        severity: Severity,
        observed: impl Into<String>,
        message: impl Into<String>,
    ) -> Check {
        Check {
            severity,
            observed: observed.into(),
            message: message.into(),
            ..Check::new(self.0, self.1, Status::Fail)
        }
    }

    /// It makes no sense here.
    fn skip(self, why: impl Into<String>) -> Check {
        Check { message: why.into(), ..Check::new(self.0, self.1, Status::NotApplicable) }
    }

    /// What it needs is not there.
    fn open(self, why: impl Into<String>) -> Check {
        Check { message: why.into(), ..Check::new(self.0, self.1, Status::NotEvaluated) }
    }
}

/// The verdict on one security's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Every check, in a fixed order.
    pub checks: Vec<Check>,
    /// Whether indicators may be computed and shown.
    pub technicals: bool,
    /// Whether the recent price may be shown.
    pub quote: bool,
    /// Whether the stock may be compared with the index.
    pub benchmark: bool,
}

impl Report {
    /// What is not in order, the worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<&Check> {
        let mut found: Vec<&Check> =
            self.checks.iter().filter(|check| check.status == Status::Fail).collect();
        found.sort_by_key(|check| std::cmp::Reverse(check.severity));
        found
    }

    /// The worst finding's severity.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings().first().map(|check| check.severity)
    }

    /// A check by its name.
    #[must_use]
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.check_id == id)
    }

    fn is_error(&self, id: &str) -> bool {
        self.check(id)
            .is_some_and(|check| check.status == Status::Fail && check.severity == Severity::Error)
    }
}

/// Bars that can be used, and the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// Sorted, one per day, none of the future or of an unfinished session, each with a price.
    pub bars: Vec<Bar>,
    /// Those of the index, likewise; none without an index.
    pub index: Vec<Bar>,
    /// The verdict.
    pub report: Report,
}

/// What the checks look at.
struct View<'a> {
    bundle: &'a StockBundle,
    /// The bars that can be used.
    bars: &'a [Bar],
    /// Their adjusted prices.
    adjusted: &'a Columns,
    /// The bars of the index that can be used.
    index: &'a [Bar],
    /// What had to be put right in them, if it was an error.
    index_error: Option<&'a Check>,
    now: Timestamp,
    calendar: &'a Calendar,
}

impl View<'_> {
    fn last(&self) -> Option<&Bar> {
        self.bars.last()
    }
}

/// The bars of a series that can be used: sorted, one per day, none of the future or of an unfinished
/// session, each with a price.
#[must_use]
pub fn usable(series: &Series, now: Timestamp, calendar: &Calendar) -> Vec<Bar> {
    prices::clean(series, now, calendar).0
}

/// Judges a stock's or an index' data as of `now`.
#[must_use]
pub fn assess(bundle: &StockBundle, now: Timestamp, calendar: &Calendar) -> Assessment {
    let (bars, mut checks) = prices::clean(&bundle.series, now, calendar);
    let (index, of_index) = match &bundle.benchmark {
        Ok((_, series)) => prices::clean(series, now, calendar),
        Err(_) => (Vec::new(), Vec::new()),
    };
    let index_error = of_index.iter().find(|check| check.severity == Severity::Error);
    let adjusted = Columns::adjusted(&bars);
    let view = View {
        bundle,
        bars: &bars,
        index: &index,
        index_error,
        adjusted: &adjusted,
        now,
        calendar,
    };
    checks.extend(prices::checks(&view));
    checks.extend(company::checks(&view));
    let mut report = Report { checks, technicals: true, quote: true, benchmark: true };
    let spoilt = ["split.unadj", "adj.k", "vol.zero", "ser.dup", "jump"];
    report.technicals = !bars.is_empty() && !spoilt.iter().any(|id| report.is_error(id));
    report.quote = !report.is_error("fresh.quote");
    report.benchmark = !index.is_empty() && !report.is_error("bench.align");
    Assessment { bars, index, report }
}

#[cfg(test)]
mod tests;
