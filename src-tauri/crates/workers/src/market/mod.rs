//! The Australian share market: prices, accounts, indices and announcements as documents that can be
//! trusted, or that say why not.
//!
//! A provider ([`MarketData`]) brings data, exactly as sent where it can be read at all; [`quality`]
//! judges it by stated rules; [`indicators`] computes what is computed; the documents put figures, their
//! day, their unit and the verdict side by side. No model takes part: every figure is code's.

pub mod announcements;
pub mod calendar;
pub mod eodhd;
pub mod indicators;
pub mod model;
pub mod number;
pub mod provider;
pub mod quality;
pub mod synthetic;

pub use provider::{MarketData, MarketError};
