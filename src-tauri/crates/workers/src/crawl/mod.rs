//! `crawl`: fetches web pages, follows their links within limits, and saves each page as a document.
//!
//! One task is one page. Its key is the page's normalised address, so that a step fetches no page
//! twice; its lane is the page's host, so that no host is asked faster than the step allows. The
//! frontier is therefore the queue itself, and survives everything the queue survives.
//!
//! A page that was fetched before is only asked whether it has changed; if it has not, the bytes that
//! are kept are read again, so that a better reader gives a better document. When all links are followed,
//! pages that earlier runs found and this one did not are asked for once more, and marked if they are gone.
//!
//! What is deliberately absent: cookies that no sign-in profile has brought along.

mod ask;
mod config;
mod frontier;
mod kind;
mod listing;
mod scripts;
mod sign_in;
mod similar;
mod sitemap;
mod throttle;
mod visit;
mod worker;

#[cfg(test)]
mod tests;

pub use config::{CrawlConfig, CrawlManager};
pub use sitemap::SitemapWorker;
pub use worker::CrawlWorker;

use std::sync::Arc;

use quaero_net::Providers;
use quaero_store::DocumentId;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::extract::PdfExtractor;

/// The workers of `crawl` steps, which read PDF as told, and find sign-in profiles with `providers`.
#[must_use]
pub fn workers(pdf: PdfExtractor, providers: Arc<dyn Providers>) -> (CrawlWorker, SitemapWorker) {
    let shared = worker::Shared::new(pdf, providers);
    (CrawlWorker::new(shared.clone()), SitemapWorker::new(shared))
}

/// The type of the tasks that visit a page.
const TASK_TYPE: &str = "crawl_page";
/// The type of the tasks that read a sitemap.
const SITEMAP: &str = "crawl_sitemap";

/// What a task of a crawl is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Payload {
    /// A page, or a sitemap. `/robots.txt` stands for all sitemaps of its host.
    url: Url,
    /// How many links away from the start it is, if that is not the depth of its task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    depth: Option<u32>,
    /// The document that an earlier run has made of it, if this one has no link to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<DocumentId>,
}
