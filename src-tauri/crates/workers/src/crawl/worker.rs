//! The worker of crawl tasks: finds what a step's tasks share, and visits.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use quaero_contract::JobId;
use quaero_engine::work::{JobContext, JobWorker, Outcome, TaskError};
use quaero_net::{Client, Limits};
use serde::Deserialize;
use url::Url;

use super::{
    TASK_TYPE,
    frontier::Frontier,
    visit::{Visit, Visitor},
};
use crate::{browser::Browser, extract::PdfExtractor};

/// More steps or sets of hosts are not remembered at once; forgetting them only costs time.
const REMEMBERED: usize = 64;

#[derive(Deserialize)]
struct Payload {
    url: String,
}

/// Does the tasks of `crawl` steps.
pub struct CrawlWorker {
    pdf: PdfExtractor,
    browser: Browser,
    /// By step: its settings are read and its patterns compiled once.
    frontiers: Mutex<HashMap<JobId, Arc<Frontier>>>,
    /// By `allow_hosts`: crawls with the same list share connections and robots.txt files.
    clients: Mutex<HashMap<Vec<String>, Client>>,
}

impl CrawlWorker {
    /// A worker that reads PDF as told.
    #[must_use]
    pub fn new(pdf: PdfExtractor) -> Self {
        let browser = Browser::default();
        Self { pdf, browser, frontiers: Mutex::default(), clients: Mutex::default() }
    }

    fn visitor(&self, job: &JobContext) -> Result<Visitor, TaskError> {
        let frontier =
            remember(&self.frontiers, job.step_id, || Ok(Arc::new(Frontier::new(job.config()?)?)))?;
        let mut hosts = frontier.config.allow_hosts.clone();
        hosts.sort_unstable();
        let client = remember(&self.clients, hosts, || {
            Ok(Client::new(frontier.policy.clone(), Limits::default()))
        })?;
        Ok(Visitor { frontier, client, pdf: self.pdf.clone(), browser: self.browser.clone() })
    }
}

/// The known value, or a new one.
fn remember<K: Eq + Hash, V: Clone>(
    known: &Mutex<HashMap<K, V>>,
    key: K,
    make: impl FnOnce() -> Result<V, TaskError>,
) -> Result<V, TaskError> {
    // A panic while the lock is held cannot leave the map half-changed.
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = known.get(&key) {
        return Ok(value.clone());
    }
    let value = make()?;
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(key, value.clone());
    Ok(value)
}

#[async_trait]
impl JobWorker for CrawlWorker {
    fn task_type(&self) -> &'static str {
        TASK_TYPE
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let Payload { url } = job.payload()?;
        let url = Url::parse(&url).map_err(|error| {
            TaskError::permanent("invalid_payload", format!("`{url}` is not an address: {error}."))
        })?;
        let visit = Visit { depth: job.depth, attempt: job.attempt, now_ms: job.now_ms() };
        let visited = self.visitor(job)?.visit(&url, visit).await?;
        for (level, line) in visited.log {
            job.log(level, line);
        }
        Ok(visited.outcome)
    }
}
