//! The Australian share market: prices, accounts, indices and announcements as documents that can be
//! trusted, or that say why not.
//!
//! A provider ([`MarketData`]) brings data, exactly as sent where it can be read at all; [`quality`]
//! judges it by stated rules; [`indicators`] computes what is computed; the documents put figures, their
//! day, their unit and the verdict side by side. No model takes part: every figure is code's.

mod analysis;
pub mod announcements;
pub mod calendar;
mod document;
pub mod eodhd;
pub mod indicators;
pub mod model;
pub mod number;
pub mod provider;
pub mod quality;
mod steps;
mod symbol;
pub mod synthetic;

use std::sync::Arc;

use quaero_engine::{SystemClock, work::TaskError};
use quaero_net::Provider;

pub use provider::{MarketData, MarketError};
pub use steps::{
    AnnouncementsManager, AnnouncementsWorker, IndexManager, IndexWorker, StockManager,
    StockWorker, workers,
};

/// Asks EODHD about the account, which costs nothing. Returns what is left of the day's calls.
pub(crate) async fn test_eodhd(provider: &Provider) -> Result<Option<String>, TaskError> {
    let rate = eodhd::SharedRate::default();
    let client = eodhd::Eodhd::new(provider.clone(), Arc::new(SystemClock), rate)
        .map_err(|error| crate::services::not_set_up(&error))?;
    let account = client.account().await?;
    Ok(account.daily_limit.zip(account.used).map(|(limit, used)| {
        format!("{} of {limit} calls are left today", limit.saturating_sub(used))
    }))
}
