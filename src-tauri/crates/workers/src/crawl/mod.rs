//! `crawl`: fetches web pages, follows their links within limits, and saves each page as a document.
//!
//! One task is one page. Its key is the page's normalised address, so that a step fetches no page
//! twice; its lane is the page's host, so that no host is asked faster than the step allows. The
//! frontier is therefore the queue itself, and survives everything the queue survives.
//!
//! What is deliberately absent: cookies that no sign-in profile has brought along.

mod config;
mod frontier;
mod kind;
mod scripts;
mod sign_in;
mod visit;
mod worker;

#[cfg(test)]
mod tests;

pub use config::{CrawlConfig, CrawlManager};
pub use worker::CrawlWorker;

/// The type of the step's tasks.
const TASK_TYPE: &str = "crawl_page";
