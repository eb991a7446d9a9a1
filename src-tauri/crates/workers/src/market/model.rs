//! What is known of a stock or an index, whoever provided it.
//!
//! Prices, amounts and ratios are [`Decimal`]s and stay what was sent; `None` means that the provider
//! does not say. Conversion to a double happens where statistics are computed, and nowhere else.

use jiff::{Timestamp, civil::Date};
use quaero_store::DocumentId;
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::number::{Fields, Notes};
pub use super::symbol::{BadSymbol, Symbol};

/// Who provided data, and whether it is real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// For people: `EODHD`.
    pub name: String,
    /// For keys: `eodhd`.
    pub id: &'static str,
    /// Whether the data is invented. Everything made from it says so.
    pub synthetic: bool,
}

/// Days from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateRange {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
}

/// One session's prices. They are as traded; only `adjusted_close` takes account of later splits and
/// dividends, and `volume` of later splits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// The session.
    pub date: Date,
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Last price, adjusted.
    pub adjusted_close: Decimal,
    /// Shares traded.
    pub volume: Option<Decimal>,
}

impl Bar {
    /// What a price of this bar is multiplied with to be adjusted; 1 for a bar without a price.
    #[must_use]
    pub fn factor(&self) -> f64 {
        let close = double(self.close);
        if close > 0.0 { double(self.adjusted_close) / close } else { 1.0 }
    }

    /// The highest price as a double.
    #[must_use]
    pub fn high_f64(&self) -> f64 {
        double(self.high)
    }

    /// The lowest price as a double.
    #[must_use]
    pub fn low_f64(&self) -> f64 {
        double(self.low)
    }

    /// The last price as a double.
    #[must_use]
    pub fn close_f64(&self) -> f64 {
        double(self.close)
    }

    /// The adjusted last price as a double.
    #[must_use]
    pub fn adjusted_f64(&self) -> f64 {
        double(self.adjusted_close)
    }

    /// The volume as a double.
    #[must_use]
    pub fn volume_f64(&self) -> Option<f64> {
        self.volume.map(double)
    }
}

/// A decimal as the nearest double. Every decimal has one.
#[must_use]
pub fn double(number: Decimal) -> f64 {
    number.to_f64().expect("a decimal is within the range of a double")
}

/// Prices over time as the provider sent them: unsorted, doubled and damaged ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// One per row that could be read.
    pub bars: Vec<Bar>,
    /// What the provider said about the limits of its answer.
    pub warning: Option<String>,
    /// What could not be read.
    pub notes: Notes,
    /// The document that they were taken from, if the provider was not asked.
    pub document: Option<DocumentId>,
}

/// A recent price, 15 to 20 minutes old during a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The code that the provider answered for.
    pub code: String,
    /// When it was taken.
    pub at: Option<Timestamp>,
    /// The price.
    pub price: Option<Decimal>,
    /// The close before.
    pub previous_close: Option<Decimal>,
    /// The change from it, in percent.
    pub change_percent: Option<Decimal>,
    /// Shares traded so far.
    pub volume: Option<Decimal>,
}

/// A dividend per share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dividend {
    /// The ex-date: who buys on it does not get the dividend.
    pub date: Date,
    /// When it is paid.
    pub payment: Option<Date>,
    /// Per share as of today, adjusted for later splits.
    pub value: Decimal,
    /// Its currency.
    pub currency: Option<String>,
}

/// A split of shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The first session with the new number.
    pub date: Date,
    /// New shares.
    pub new: Decimal,
    /// For so many old ones.
    pub old: Decimal,
}

/// An article about a stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// When it appeared.
    pub at: Timestamp,
    /// Its headline.
    pub title: String,
    /// Where it is.
    pub link: Option<String>,
    /// How it sounds, -1 to 1, by the provider's reckoning.
    pub polarity: Option<Decimal>,
}

/// Structs of numbers, each read from the field that is named beside it.
macro_rules! numbers {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident = $key:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$doc])* pub $field: Option<Decimal>,)* }

        impl $name {
            /// Reads what is there.
            pub fn read(fields: Fields<'_>, notes: &mut Notes) -> Self {
                Self { $($field: fields.decimal($key, notes),)* }
            }
        }
    };
}

numbers! {
    /// Headline figures. Shares of one are fractions: 0.05 is 5 %.
    Highlights {
        /// In the listing's currency.
        market_cap = "MarketCapitalization",
        /// Last twelve months, in the statements' currency.
        ebitda = "EBITDA",
        /// Price / earnings.
        pe = "PERatio",
        /// Price / earnings / growth.
        peg = "PEGRatio",
        /// The analysts' mean target.
        target_price = "WallStreetTargetPrice",
        /// Book value per share, in the statements' currency.
        book_value = "BookValue",
        /// Dividend per share of the last twelve months.
        dividend_share = "DividendShare",
        /// A fraction.
        dividend_yield = "DividendYield",
        /// Earnings per share of the last twelve months, in the statements' currency.
        eps = "EarningsShare",
        /// Expected for this year.
        eps_this_year = "EPSEstimateCurrentYear",
        /// Expected for the next year.
        eps_next_year = "EPSEstimateNextYear",
        /// A fraction.
        profit_margin = "ProfitMargin",
        /// A fraction.
        operating_margin = "OperatingMarginTTM",
        /// A fraction.
        return_on_assets = "ReturnOnAssetsTTM",
        /// A fraction.
        return_on_equity = "ReturnOnEquityTTM",
        /// Last twelve months.
        revenue = "RevenueTTM",
        /// Last twelve months.
        gross_profit = "GrossProfitTTM",
        /// A fraction, year on year.
        revenue_growth = "QuarterlyRevenueGrowthYOY",
        /// A fraction, year on year.
        earnings_growth = "QuarterlyEarningsGrowthYOY",
    }
}

numbers! {
    /// What the market pays for the company.
    Valuation {
        /// Price / earnings of the last twelve months.
        trailing_pe = "TrailingPE",
        /// Price / expected earnings.
        forward_pe = "ForwardPE",
        /// Price / sales.
        price_sales = "PriceSalesTTM",
        /// Price / book value.
        price_book = "PriceBookMRQ",
        /// Market value plus debt less cash.
        enterprise_value = "EnterpriseValue",
        /// Enterprise value / revenue.
        ev_revenue = "EnterpriseValueRevenue",
        /// Enterprise value / EBITDA.
        ev_ebitda = "EnterpriseValueEbitda",
    }
}

numbers! {
    /// Who holds the shares. Percentages are percentages: 5 is 5 %.
    SharesStats {
        /// All shares.
        outstanding = "SharesOutstanding",
        /// Those that are traded.
        float = "SharesFloat",
        /// Held by insiders, in percent.
        percent_insiders = "PercentInsiders",
        /// Held by institutions, in percent.
        percent_institutions = "PercentInstitutions",
        /// Sold short, in percent of the float.
        short_percent = "ShortPercentFloat",
    }
}

numbers! {
    /// The vendor's own technical figures. Its "50-day" and "200-day" averages are left out: they run
    /// over calendar days and are not what anybody else calls by that name.
    Technicals {
        /// Against the vendor's choice of index.
        beta = "Beta",
        /// Highest price of 52 weeks, as traded or adjusted.
        high_52w = "52WeekHigh",
        /// Lowest price of 52 weeks, as traded or adjusted.
        low_52w = "52WeekLow",
    }
}

numbers! {
    /// What analysts say, in numbers of analysts.
    Analysts {
        /// 1 (sell) to 5 (buy).
        rating = "Rating",
        /// Mean target.
        target_price = "TargetPrice",
        /// Analysts.
        strong_buy = "StrongBuy",
        /// Analysts.
        buy = "Buy",
        /// Analysts.
        hold = "Hold",
        /// Analysts.
        sell = "Sell",
        /// Analysts.
        strong_sell = "StrongSell",
    }
}

numbers! {
    /// One period's accounts, in the statements' currency.
    Figures {
        /// Revenue.
        revenue = "totalRevenue",
        /// Revenue less its direct cost.
        gross_profit = "grossProfit",
        /// Before interest and tax.
        operating_income = "operatingIncome",
        /// What is left.
        net_income = "netIncome",
        /// All assets.
        assets = "totalAssets",
        /// All liabilities.
        liabilities = "totalLiab",
        /// What belongs to the owners.
        equity = "totalStockholderEquity",
        /// Borrowed.
        debt = "shortLongTermDebtTotal",
        /// Cash.
        cash = "cash",
        /// From operations.
        operating_cash_flow = "totalCashFromOperatingActivities",
        /// Spent on plant and equipment.
        capital_expenditure = "capitalExpenditures",
        /// What is left of the cash flow.
        free_cash_flow = "freeCashFlow",
    }
}

/// The accounts of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its last day.
    pub end: Date,
    /// The figures of its three statements together.
    pub figures: Figures,
}

/// Earnings per share of a period, expected and reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earnings {
    /// The period's last day.
    pub period: Date,
    /// When it was or will be reported.
    pub reported: Option<Date>,
    /// `None` for a report that is still to come.
    pub actual: Option<Decimal>,
    /// What analysts expected.
    pub estimate: Option<Decimal>,
    /// How far off they were, in percent.
    pub surprise_percent: Option<Decimal>,
    /// The currency of both.
    pub currency: Option<String>,
}

/// One who holds shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its name.
    pub name: String,
    /// As of.
    pub date: Option<Date>,
    /// Of all shares, in percent.
    pub percent: Option<Decimal>,
    /// Shares.
    pub shares: Option<Decimal>,
}

/// What a company is, earns and owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fundamentals {
    /// The code that the provider answered for.
    pub code: Option<String>,
    /// The company's name.
    pub name: Option<String>,
    /// What it does, in its vendor's words.
    pub description: Option<String>,
    /// Sector.
    pub sector: Option<String>,
    /// Industry.
    pub industry: Option<String>,
    /// International number of the security.
    pub isin: Option<String>,
    /// Whether it is no longer traded.
    pub delisted: Option<bool>,
    /// Currency of the prices.
    pub currency: Option<String>,
    /// Currency of the accounts.
    pub statement_currency: Option<String>,
    /// When the vendor last changed the record.
    pub updated: Option<Date>,
    /// End of the last period reported.
    pub most_recent_quarter: Option<Date>,
    /// Headline figures.
    pub highlights: Highlights,
    /// What the market pays.
    pub valuation: Valuation,
    /// Shares.
    pub shares: SharesStats,
    /// Vendor's technical figures.
    pub technicals: Technicals,
    /// Analysts.
    pub analysts: Analysts,
    /// Fraction of the earnings that is paid out.
    pub payout_ratio: Option<Decimal>,
    /// The next or last ex-date.
    pub ex_dividend: Option<Date>,
    /// Yearly accounts, newest first.
    pub yearly: Vec<Statement>,
    /// Accounts of quarters or half years, newest first.
    pub interim: Vec<Statement>,
    /// Earnings, newest first, with those still to come.
    pub earnings: Vec<Earnings>,
    /// The largest institutions and funds.
    pub holders: Vec<Holder>,
    /// What could not be read.
    pub notes: Notes,
}

/// Why a part of a stock's data is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// A stable word: `not_asked`, `not_in_plan`, `failed`, …
    pub code: &'static str,
    /// A sentence for people.
    pub reason: String,
}

impl Missing {
    /// A part that nobody asked for. That is not the same as "none found".
    #[must_use]
    pub fn not_asked(what: &str) -> Self {
        Self { code: "not_asked", reason: format!("{what} were not asked for.") }
    }
}

/// A part of a stock's data, or why it is not there.
pub type Part<T> = Result<T, Missing>;

/// A time without trading, as announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halt {
    /// Its first day.
    pub from: Date,
    /// The day on which it was lifted, if that is known.
    pub until: Option<Date>,
}

/// Announcements that explain prices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// The days whose announcements are known.
    pub known: Vec<DateRange>,
    /// The sessions that could react to something price-sensitive.
    pub sensitive: Vec<Date>,
    /// Halts and suspensions.
    pub halts: Vec<Halt>,
}

/// Everything collected of one stock or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockBundle {
    /// What it is.
    pub symbol: Symbol,
    /// Who provided it.
    pub source: Source,
    /// When.
    pub fetched: Timestamp,
    /// The days that were asked for.
    pub requested: DateRange,
    /// Prices.
    pub series: Series,
    /// A recent price.
    pub quote: Part<Quote>,
    /// Dividends in the requested days.
    pub dividends: Part<Vec<Dividend>>,
    /// Splits in the requested days.
    pub splits: Part<Vec<Split>>,
    /// The company.
    pub fundamentals: Part<Fundamentals>,
    /// Articles.
    pub news: Part<Vec<News>>,
    /// What was announced that explains prices.
    pub events: Part<Events>,
    /// The index that it is compared with.
    pub benchmark: Part<(Symbol, Series)>,
}
