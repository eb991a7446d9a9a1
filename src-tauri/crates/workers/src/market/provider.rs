//! Where market data comes from: the trait that every provider keeps, its errors, and the collection of
//! one stock's parts into a bundle.

use async_trait::async_trait;
use jiff::Timestamp;
use quaero_engine::work::{Retry, TaskError};

use super::model::{
    DateRange, Dividend, Fundamentals, Missing, News, Part, Quote, Series, Source, Split,
    StockBundle, Symbol,
};

/// Why a provider gave no data. Messages name the thing and what to do; they never hold a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    /// The key does not work.
    #[error("{provider} does not accept the key. Check it on the account page of {provider}.")]
    KeyRefused {
        /// Who refused it.
        provider: &'static str,
    },
    /// The account's plan does not include it.
    #[error("{what} is not part of the account's plan: {said}")]
    NotInPlan {
        /// What was asked for.
        what: String,
        /// The provider's words.
        said: String,
    },
    /// The day's calls are used up.
    #[error(
        "The day's calls to {provider} are used up. It can be asked again from {}, or with a larger plan.",
        .until.strftime("%Y-%m-%d %H:%M UTC")
    )]
    QuotaUsedUp {
        /// Whose calls.
        provider: &'static str,
        /// When they are counted anew.
        until: Timestamp,
    },
    /// Too many in this minute.
    #[error("{provider} takes no more requests in this minute.")]
    TooManyRequests {
        /// Who.
        provider: &'static str,
        /// Milliseconds until it takes some again.
        wait_ms: u64,
    },
    /// There is no such security.
    #[error("{provider} knows no {symbol}. Check the code; it may have been renamed or delisted.")]
    UnknownSymbol {
        /// Who was asked.
        provider: &'static str,
        /// For what.
        symbol: String,
    },
    /// The request was not understood.
    #[error("The request for {what} was refused: {said}")]
    Rejected {
        /// What was asked for.
        what: String,
        /// The provider's words.
        said: String,
    },
    /// The service does not work at the moment.
    #[error("{provider} does not work at the moment (status {status}).")]
    Unavailable {
        /// Which.
        provider: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// The answer is something else than the documented one.
    #[error("The answer for {what} cannot be read: {reason}.")]
    Unreadable {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A protection against robots stands in the way.
    #[error(
        "{provider} shows a check for robots instead of the page. Wait some hours, or use another source; nothing can be said about what is there."
    )]
    Blocked {
        /// Who.
        provider: &'static str,
    },
    /// No connection, or one that broke.
    #[error("{message}")]
    Net {
        /// What happened.
        message: String,
        /// The kind of failure, as `quaero-net` names it.
        code: &'static str,
        /// Whether trying again can help.
        transient: bool,
    },
}

impl MarketError {
    /// A stable word for the kind of error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::KeyRefused { .. } => "key_refused",
            Self::NotInPlan { .. } => "not_in_plan",
            Self::QuotaUsedUp { .. } => "quota_used_up",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::UnknownSymbol { .. } => "unknown_symbol",
            Self::Rejected { .. } => "rejected",
            Self::Unavailable { .. } => "unavailable",
            Self::Unreadable { .. } => "unreadable",
            Self::Blocked { .. } => "blocked",
            Self::Net { code, .. } => code,
        }
    }
}

impl From<MarketError> for TaskError {
    fn from(error: MarketError) -> Self {
        let retry = match &error {
            MarketError::TooManyRequests { wait_ms, .. } => Retry::PauseLane { ms: *wait_ms },
            MarketError::Unavailable { .. } => Retry::Backoff,
            MarketError::Net { transient, .. } if *transient => Retry::Backoff,
            MarketError::KeyRefused { .. }
            | MarketError::NotInPlan { .. }
            | MarketError::QuotaUsedUp { .. }
            | MarketError::UnknownSymbol { .. }
            | MarketError::Rejected { .. }
            | MarketError::Unreadable { .. }
            | MarketError::Blocked { .. }
            | MarketError::Net { .. } => Retry::Never,
        };
        Self { code: error.code().into(), message: error.to_string(), retry }
    }
}

/// A provider of market data.
///
/// It says what it was told and nothing else: no rows are sorted, mended or left out but those that
/// cannot be read, which the answer's notes name.
#[async_trait]
pub trait MarketData: Send + Sync {
    /// Who it is.
    fn source(&self) -> Source;

    /// Daily prices as traded.
    async fn prices(&self, symbol: &Symbol, range: DateRange) -> Result<Series, MarketError>;

    /// A recent price.
    async fn quote(&self, symbol: &Symbol) -> Result<Quote, MarketError>;

    /// Dividends with an ex-date in the range.
    async fn dividends(
        &self,
        symbol: &Symbol,
        range: DateRange,
    ) -> Result<Vec<Dividend>, MarketError>;

    /// Splits in the range.
    async fn splits(&self, symbol: &Symbol, range: DateRange) -> Result<Vec<Split>, MarketError>;

    /// The company and its accounts.
    async fn fundamentals(&self, symbol: &Symbol) -> Result<Fundamentals, MarketError>;

    /// Articles that appeared in the range, newest first.
    async fn news(&self, symbol: &Symbol, range: DateRange) -> Result<Vec<News>, MarketError>;

    /// What has been asked so far, in the provider's own unit of calls.
    fn calls(&self) -> u32;
}

/// Which parts of a stock are asked for beside its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// A recent price.
    pub quote: bool,
    /// The company and its accounts. Never asked for an index.
    pub fundamentals: bool,
    /// Articles.
    pub news: bool,
    /// The index to compare with.
    pub benchmark: Option<Symbol>,
}

/// Asks a provider for the parts of one stock or index.
///
/// Prices have to be there. A part beside them that cannot be had is told by its reason, and the rest
/// stays. What passes with the minute is an error, so that the caller tries again.
///
/// # Errors
/// If there are no prices.
pub async fn collect(
    provider: &dyn MarketData,
    symbol: &Symbol,
    range: DateRange,
    parts: &Parts,
    now: Timestamp,
) -> Result<StockBundle, MarketError> {
    let series = provider.prices(symbol, range).await?;
    let company = !symbol.is_index();
    let no = |what| -> Missing { Missing::not_asked(what) };
    let dividends =
        if company { part(provider.dividends(symbol, range).await)? } else { Err(no("Dividends")) };
    let splits =
        if company { part(provider.splits(symbol, range).await)? } else { Err(no("Splits")) };
    let quote = if parts.quote {
        part(provider.quote(symbol).await)?
    } else {
        Err(no("Prices of the running session"))
    };
    let benchmark = match &parts.benchmark {
        Some(index) => {
            part(provider.prices(index, range).await)?.map(|series| (index.clone(), series))
        }
        None => Err(no("Prices of an index")),
    };
    // What costs most comes last, in case that the day's calls run out.
    let fundamentals = if company && parts.fundamentals {
        part(provider.fundamentals(symbol).await)?
    } else {
        Err(no("Accounts"))
    };
    let news =
        if parts.news { part(provider.news(symbol, range).await)? } else { Err(no("Articles")) };
    Ok(StockBundle {
        symbol: symbol.clone(),
        source: provider.source(),
        fetched: now,
        requested: range,
        series,
        quote,
        dividends,
        splits,
        fundamentals,
        news,
        events: Err(no("Announcements")),
        benchmark,
    })
}

fn part<T>(result: Result<T, MarketError>) -> Result<Part<T>, MarketError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error @ MarketError::TooManyRequests { .. }) => Err(error),
        Err(error) => Ok(Err(Missing { code: error.code(), reason: error.to_string() })),
    }
}
