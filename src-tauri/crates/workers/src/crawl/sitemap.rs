//! The worker of sitemaps: from the file to the pages that it names.

use std::sync::Arc;

use async_trait::async_trait;
use quaero_contract::LogLevel;
use quaero_engine::work::{JobContext, JobWorker, NewTask, Outcome, TaskError};
use quaero_net::normalise;
use url::Url;

use super::{
    Payload, SITEMAP,
    ask::USUAL_SITEMAP,
    frontier::{Frontier, ROBOTS_FILE},
    listing::{self, Listing},
    worker::{Shared, used_up},
};
use crate::parsing;

/// An index may name sitemaps, and not much more below that.
const MOST_DEPTH: u32 = 3;
/// More sitemaps of one index are not read.
const MOST_SITEMAPS: usize = 1_000;

/// Reads sitemaps.
pub struct SitemapWorker {
    shared: Arc<Shared>,
}

impl SitemapWorker {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl JobWorker for SitemapWorker {
    fn task_type(&self) -> &'static str {
        SITEMAP
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let Payload { url, .. } = job.payload()?;
        let step = self.shared.step(job)?;
        if let Some(reason) = used_up(job, &step).await? {
            return Ok(Outcome { enough: Some(reason), ..Outcome::default() });
        }
        let visitor = self.shared.visitor(job, &step).await?;
        if url.path() == ROBOTS_FILE {
            let named = visitor.sitemaps_of(&url, job.attempt).await?;
            let children = tasks_of_sitemaps(&step.frontier, &named);
            if children.len() < named.len() {
                let left_out = named.len() - children.len();
                let line = format!(
                    "{left_out} sitemaps that {url} names are not read: they lie elsewhere, or are more than a quarter of `max_pages`."
                );
                job.log(LogLevel::Info, line);
            }
            let max_step_tasks = Some(step.frontier.config.max_pages);
            return Ok(Outcome { children, max_step_tasks, ..Outcome::default() });
        }
        let response = match visitor.fetch(&url, job.attempt).await {
            // Nobody has said that it is there.
            Err(error) if error.code == "not_found" && url.path() == USUAL_SITEMAP => {
                let message = format!(
                    "There is no sitemap: robots.txt names none, and {url} does not exist."
                );
                return Ok(Outcome { warnings: vec![message], ..Outcome::default() });
            }
            response => response?,
        };
        let response = match response {
            Ok(response) => response,
            Err(why) => {
                job.log(LogLevel::Info, format!("{url} is not read: {why}."));
                return Ok(Outcome::default());
            }
        };
        let base = response.url.clone();
        let bytes = listing::bytes(&response.body);
        let read = parsing::run(bytes, move || listing::read(&response.body, &base)).await;
        let Some(listing) = read.ok().flatten() else {
            let message = format!("{url} is no sitemap and no feed that can be read.");
            return Ok(Outcome { warnings: vec![message], ..Outcome::default() });
        };
        Ok(children(job, &step.frontier, listing))
    }
}

fn children(job: &JobContext, frontier: &Frontier, listing: Listing) -> Outcome {
    let max_step_tasks = Some(frontier.config.max_pages);
    match listing {
        Listing::Sitemaps(_) if job.depth >= MOST_DEPTH => {
            let message = format!("{} is an index below indexes, and is not read.", job.name);
            Outcome { warnings: vec![message], ..Outcome::default() }
        }
        Listing::Sitemaps(named) => {
            let children = tasks_of_sitemaps(frontier, &named);
            Outcome { children, max_step_tasks, ..Outcome::default() }
        }
        Listing::Pages(named) => {
            let children = pages(frontier, &named, 1);
            Outcome { children, max_step_tasks, ..Outcome::default() }
        }
    }
}

/// The tasks of the pages that a sitemap or a feed names, so many links away from the start.
pub(super) fn pages(frontier: &Frontier, named: &[Url], depth: u32) -> Vec<NewTask> {
    if depth > frontier.config.max_depth {
        return Vec::new();
    }
    let pages = named.iter().map(normalise).filter(|url| frontier.admits(url));
    let pages = pages.take(frontier.config.max_pages as usize);
    pages.map(|url| frontier.at_depth(&url, None, depth)).collect()
}

fn tasks_of_sitemaps(frontier: &Frontier, named: &[Url]) -> Vec<NewTask> {
    let ours = |url: &&Url| {
        frontier.policy.check(url).is_ok() && frontier.covers(url) && url.path() != ROBOTS_FILE
    };
    // They count as pages, and must leave room for those that they name.
    let most = (frontier.config.max_pages as usize / 4).clamp(1, MOST_SITEMAPS);
    let file = |url: &Url| {
        let mut url = url.clone();
        url.set_fragment(None);
        url
    };
    named.iter().filter(ours).take(most).map(|url| frontier.sitemap(&file(url))).collect()
}
