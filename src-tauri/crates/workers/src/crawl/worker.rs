//! The worker of crawl tasks: finds what a step's tasks share, and visits.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use quaero_contract::JobId;
use quaero_engine::work::{JobContext, JobWorker, Outcome, TaskError};
use quaero_net::{Client, Limits, Providers, Session};
use serde::Deserialize;
use url::Url;

use super::{
    CrawlConfig, TASK_TYPE,
    frontier::Frontier,
    visit::{Visit, Visitor},
};
use crate::{browser::Browser, extract::PdfExtractor};

/// More steps or sets of hosts are not remembered at once; forgetting them only costs time.
pub(super) const REMEMBERED: usize = 64;

#[derive(Deserialize)]
struct Payload {
    url: String,
}

/// Does the tasks of `crawl` steps.
pub struct CrawlWorker {
    pdf: PdfExtractor,
    browser: Browser,
    pub(super) providers: Arc<dyn Providers>,
    /// By run and profile: what a site sets lasts as long as the run.
    pub(super) sessions: tokio::sync::Mutex<HashMap<(JobId, String), Session>>,
    /// By step: its settings are read and its patterns compiled once.
    frontiers: Mutex<HashMap<JobId, Arc<Frontier>>>,
    /// By `allow_hosts`: crawls with the same list share connections and robots.txt files.
    clients: Mutex<HashMap<Vec<String>, Client>>,
}

impl CrawlWorker {
    /// A worker that reads PDF as told, and finds sign-in profiles with `providers`.
    #[must_use]
    pub fn new(pdf: PdfExtractor, providers: Arc<dyn Providers>) -> Self {
        let (browser, sessions) = (Browser::default(), tokio::sync::Mutex::default());
        let (frontiers, clients) = (Mutex::default(), Mutex::default());
        Self { pdf, browser, providers, sessions, frontiers, clients }
    }

    async fn visitor(&self, job: &JobContext) -> Result<Visitor, TaskError> {
        let frontier =
            remember(&self.frontiers, job.step_id, || Ok(Arc::new(Frontier::new(job.config()?)?)))?;
        let mut hosts = frontier.config.allow_hosts.clone();
        hosts.sort_unstable();
        let client = remember(&self.clients, hosts, || {
            Ok(Client::new(frontier.policy.clone(), Limits::default()))
        })?;
        let CrawlConfig { auth_id, authentication, .. } = &frontier.config;
        let profile = auth_id.as_ref().or(authentication.as_ref());
        let session = self.session(job, profile.map(String::as_str)).await?;
        let (pdf, browser) = (self.pdf.clone(), self.browser.clone());
        Ok(Visitor { frontier, client, pdf, browser, session })
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
        let visited = self.visitor(job).await?.visit(&url, visit).await?;
        for (level, line) in visited.log {
            job.log(level, line);
        }
        Ok(visited.outcome)
    }
}
