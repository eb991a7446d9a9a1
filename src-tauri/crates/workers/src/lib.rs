//! The step types that Quaero comes with: for each a manager and its workers, one folder per
//! domain. What they fetch and read goes through [`extract`].

mod browser;
mod child;
pub mod crawl;
pub mod email;
pub mod extract;
pub mod local_dir;
pub mod maintenance;
pub mod market;
mod parsing;
pub mod places;
pub mod reindex;
pub mod render;
mod services;
pub mod transform;
pub mod web_search;

use std::sync::Arc;

use quaero_engine::work::{Need, Registry, TaskError};
use quaero_net::Providers;

/// Every step type of the product. PDF files are read with `pdf`; outside services are found with
/// `providers`.
#[must_use]
pub fn registry(pdf: extract::PdfExtractor, providers: Arc<dyn Providers>) -> Registry {
    let (pages, sitemaps) = crawl::workers(pdf.clone(), Arc::clone(&providers));
    let (stocks, indices, announcements) = market::workers(Arc::clone(&providers));
    Registry::default()
        .with_manager(crawl::CrawlManager)
        .with_worker(pages)
        .with_worker(sitemaps)
        .with_manager(local_dir::LocalDirManager)
        .with_worker(local_dir::ScanWorker)
        .with_worker(local_dir::FileWorker::new(pdf))
        .with_worker(local_dir::GoneWorker)
        .with_manager(transform::TransformManager)
        .with_worker(transform::SelectWorker)
        .with_worker(transform::DocumentWorker)
        .with_manager(reindex::ReindexManager)
        .with_worker(reindex::ReindexWorker)
        .with_manager(web_search::WebSearchManager)
        .with_worker(web_search::WebSearchWorker::new(Arc::clone(&providers)))
        .with_manager(places::PlacesManager)
        .with_worker(places::PlacesWorker::new(Arc::clone(&providers)))
        .with_manager(market::StockManager)
        .with_worker(stocks)
        .with_manager(market::IndexManager)
        .with_worker(indices)
        .with_manager(market::AnnouncementsManager)
        .with_worker(announcements)
        .with_manager(maintenance::MaintenanceManager)
        .with_worker(maintenance::MaintenanceWorker)
        .with_manager(email::EmailManager)
        .with_worker(email::EmailWorker::new(providers))
}

/// What is missing of what a step needs, at this time (in seconds since 1970).
///
/// # Errors
/// What is not there and what to do, in sentences.
pub async fn check_need(providers: &dyn Providers, need: &Need, now: i64) -> Result<(), String> {
    let found = match need {
        Need::Mail => providers.mail().await.map(drop),
        Need::Service(id) => providers.find(id).await.map(drop),
        Need::SignIn(profile) => providers.session(profile, now).await.map(drop),
        Need::WebSearch => {
            return web_search::services(providers).await.map(drop).map_err(|e| e.message);
        }
        Need::Browser => {
            return browser::Browser::default().find().map(drop).map_err(|e| e.to_string());
        }
    };
    found.map_err(|error| error.to_string())
}

/// The exchange is asked only by steps that say that its terms are accepted.
const UNASKED: &str = "It needs no key, and nothing is asked of it before you have accepted its terms in a step (`accept_asx_terms = true`). Whether it answers shows in the run.";

/// Asks a service for the least it has to give. Returns how much of it is left, if it says so.
///
/// # Errors
/// What is wrong and what to do, in sentences.
pub async fn test_provider(providers: &dyn Providers, id: &str) -> Result<Option<String>, String> {
    let tested = match id {
        "smtp" => {
            let server = providers.mail().await.map_err(|error| error.to_string())?;
            email::test_mail(&server).await.map(|()| None)
        }
        id => {
            let provider = providers.find(id).await.map_err(|error| error.to_string())?;
            match id {
                "eodhd" => market::test_eodhd(&provider).await,
                "google_places" => places::test_places(&provider).await,
                "searxng" | "brave" | "tavily" => web_search::test_search(&provider).await,
                _ => Err(TaskError::permanent("no_test", UNASKED)),
            }
        }
    };
    tested.map_err(|error| error.message)
}
