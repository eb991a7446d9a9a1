//! The worker of crawl tasks: finds what a step's tasks share, and visits.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use quaero_contract::{JobId, LogLevel};
use quaero_engine::work::{JobContext, JobWorker, Outcome, TaskError};
use quaero_net::{Account, Client, Exchange, Limits, Providers, Session};
use tokio::sync::OnceCell;
use url::Url;

use super::{
    CrawlConfig, Payload, TASK_TYPE,
    frontier::Frontier,
    similar::Prints,
    throttle::Throttle,
    visit::{Visit, Visitor},
};
use crate::{browser::Browser, extract::PdfExtractor, services::accounted};

/// More steps or sets of hosts are not remembered at once; forgetting them only costs time.
pub(super) const REMEMBERED: usize = 64;

/// What the tasks of all crawls share.
pub(super) struct Shared {
    pdf: PdfExtractor,
    browser: Browser,
    pub(super) providers: Arc<dyn Providers>,
    /// By run and profile: what a site sets lasts as long as the run.
    pub(super) sessions: tokio::sync::Mutex<HashMap<(JobId, String), Session>>,
    /// By step: its settings are read and its patterns compiled once.
    steps: Mutex<HashMap<JobId, Arc<StepState>>>,
    /// By `allow_hosts`: crawls with the same list share connections and robots.txt files.
    clients: Mutex<HashMap<Vec<String>, Client>>,
    throttle: Arc<Throttle>,
}

/// What the tasks of a step share.
pub(super) struct StepState {
    pub(super) frontier: Arc<Frontier>,
    /// The fingerprints of the pages that the step has seen; read when the first page needs them.
    prints: OnceCell<Mutex<Prints>>,
    /// How many bytes the step has been sent; read when the first page asks.
    received: OnceCell<Arc<AtomicU64>>,
    known_hosts: Arc<KnownHosts>,
    refused: Arc<Mutex<HashSet<Url>>>,
}

/// Whether there were pages of a host before this step, by origin: then each of its pages may be one of
/// them. It is asked once for each host.
pub(super) type KnownHosts = tokio::sync::Mutex<HashMap<String, bool>>;

impl Shared {
    pub(super) fn new(pdf: PdfExtractor, providers: Arc<dyn Providers>) -> Arc<Self> {
        Arc::new(Self {
            pdf,
            browser: Browser::default(),
            providers,
            sessions: tokio::sync::Mutex::default(),
            steps: Mutex::default(),
            clients: Mutex::default(),
            throttle: Arc::default(),
        })
    }

    pub(super) fn step(&self, job: &JobContext) -> Result<Arc<StepState>, TaskError> {
        remember(&self.steps, job.step_id, || {
            let frontier = Arc::new(Frontier::new(job.config()?)?);
            let (prints, received, known_hosts, refused) = Default::default();
            Ok(Arc::new(StepState { frontier, prints, received, known_hosts, refused }))
        })
    }

    pub(super) async fn visitor(
        &self,
        job: &JobContext,
        step: &StepState,
    ) -> Result<Visitor, TaskError> {
        let frontier = step.frontier.clone();
        let mut hosts = frontier.config.allow_hosts.clone();
        hosts.sort_unstable();
        let client = remember(&self.clients, hosts, || {
            Ok(Client::new(frontier.policy.clone(), Limits::default()))
        })?;
        let CrawlConfig { auth_id, authentication, .. } = &frontier.config;
        let profile = auth_id.as_ref().or(authentication.as_ref());
        let session = self.session(job, profile.map(String::as_str)).await?;
        let (told, received) = (accounted(job), step.received(job).await?);
        let account: Account = Arc::new(move |exchange: Exchange| {
            received.fetch_add(exchange.bytes, Ordering::Relaxed);
            told(exchange);
        });
        Ok(Visitor {
            frontier,
            client: client.accounted(account.clone()),
            account,
            pdf: self.pdf.clone(),
            browser: self.browser.clone(),
            throttle: self.throttle.clone(),
            store: Some(job.store().clone()),
            known_hosts: step.known_hosts.clone(),
            refused: step.refused.clone(),
            session,
        })
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

/// What a step that may read no more says, if it is one.
pub(super) async fn used_up(
    job: &JobContext,
    step: &StepState,
) -> Result<Option<String>, TaskError> {
    let most = step.frontier.config.max_total_bytes;
    let used = step.received(job).await?.load(Ordering::Relaxed);
    Ok((used >= most).then(|| {
        format!(
            "The crawl has read {used} bytes, and `max_total_bytes` is {most}: what was not visited by then is left out. Raise it to get the rest."
        )
    }))
}

impl StepState {
    async fn received(&self, job: &JobContext) -> Result<Arc<AtomicU64>, TaskError> {
        let received = self.received.get_or_try_init(|| async {
            let before = job.store().received_bytes(job.step_id).await?;
            Ok::<_, TaskError>(Arc::new(AtomicU64::new(before)))
        });
        received.await.cloned()
    }

    /// The address of a page of this step with nearly the same text, if there is one.
    async fn near_duplicate(
        &self,
        job: &JobContext,
        print: u64,
        address: &str,
    ) -> Result<Option<String>, TaskError> {
        let known = self
            .prints
            .get_or_try_init(|| async {
                let mut prints = Prints::default();
                for (print, address) in job.store().fingerprints(job.step_id).await? {
                    prints.add(print, address);
                }
                Ok::<_, TaskError>(Mutex::new(prints))
            })
            .await?;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = known.alike(print, address).map(str::to_owned);
        if alike.is_none() {
            known.add(print, address.to_owned());
        }
        Ok(alike)
    }
}

/// Visits pages.
pub struct CrawlWorker {
    shared: Arc<Shared>,
}

impl CrawlWorker {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl JobWorker for CrawlWorker {
    fn task_type(&self) -> &'static str {
        TASK_TYPE
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let Payload { url, depth, known } = job.payload()?;
        let step = self.shared.step(job)?;
        if let Some(reason) = used_up(job, &step).await? {
            return Ok(Outcome { enough: Some(reason), ..Outcome::default() });
        }
        let visit = Visit {
            depth: depth.map_or(job.depth, |depth| depth.min(job.depth.max(1))),
            deeper: depth.is_some(),
            attempt: job.attempt,
            now_ms: job.now_ms(),
            known,
        };
        let visitor = self.shared.visitor(job, &step).await?;
        let visited = visitor.visit(&url, visit).await?;
        for (level, line) in visited.log {
            job.log(level, line);
        }
        let mut outcome = visited.outcome;
        let page = outcome.documents.first().and_then(|document| document.page.as_ref());
        if let Some(page) = page
            && let Some(other) = step.near_duplicate(job, page.fingerprint, &page.address).await?
        {
            // A page that is a document already stays one, whichever of the two comes first today.
            let known = job.store().page(&page.address).await?.is_some();
            let skip = step.frontier.config.skip_near_duplicates && !known;
            let what = if skip { "is not kept: it has" } else { "has" };
            let line = format!("{} {what} nearly the same text as {other}.", page.address);
            job.log(LogLevel::Info, line);
            if skip {
                outcome.documents.clear();
            }
        }
        Ok(outcome)
    }
}
