//! Which addresses a crawl goes to.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
    time::Duration,
};

use quaero_engine::{
    definition::{LIMITS, parse_duration},
    work::{Lane, NewTask, TaskError},
};
use quaero_net::{AddressPolicy, Site, normalise};
use quaero_store::Unseen;
use regex::{Regex, RegexSet, RegexSetBuilder};
use serde_json::json;
use url::Url;

use super::{CrawlConfig, Payload, SITEMAP, TASK_TYPE, kind};
use crate::extract::Link;

/// Names the sitemaps of its host, and stands for them.
pub(super) const ROBOTS_FILE: &str = "/robots.txt";
/// More links of one page are not followed.
pub(super) const MAX_LINKS: usize = 5_000;
/// So many refused links of a page, and of a step, are accounted for.
pub(super) const MAX_REFUSED: usize = 100;
/// Deeper paths are made by machines for machines.
const MAX_SEGMENTS: usize = 24;
/// The same folder this often in one path is a link that leads back into itself.
const MAX_REPEATS: usize = 3;
/// More slashes in a row than a slip of the hand makes: some sites add one to the path of every link.
const SLASHES: &str = "/////";
/// Longer queries hold state, not the name of a page.
const MAX_QUERY_BYTES: usize = 512;
const MAX_PARAMETERS: usize = 16;

/// A crawl's settings, ready to decide with.
pub(super) struct Frontier {
    pub(super) config: CrawlConfig,
    pub(super) policy: AddressPolicy,
    pub(super) page_timeout: Duration,
    pub(super) javascript_wait: Duration,
    start: Vec<Url>,
    sites: HashSet<Site>,
    include: RegexSet,
    exclude: RegexSet,
    delay: Duration,
}

impl Frontier {
    /// # Errors
    /// If the settings do not fit; validation makes that impossible for runs that were accepted.
    pub(super) fn new(config: CrawlConfig) -> Result<Self, TaskError> {
        let invalid = |field: &str, reason: &dyn std::fmt::Display| {
            TaskError::permanent(
                "invalid_config",
                format!("The crawl's setting `{field}` does not fit: {reason}."),
            )
        };
        let patterns = |field, patterns: &[String]| {
            RegexSetBuilder::new(patterns)
                .size_limit(LIMITS.pattern_bytes.saturating_mul(patterns.len().max(1)))
                .nest_limit(50)
                .build()
                .map_err(|error| invalid(field, &error))
        };
        let policy = AddressPolicy::new(&config.allow_hosts)
            .map_err(|error| invalid("allow_hosts", &error))?;
        let start = config
            .start_urls
            .iter()
            .map(|text| {
                Url::parse(text)
                    .map(|url| normalise(&url))
                    .map_err(|error| invalid("start_urls", &format!("{text}: {error}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            sites: start.iter().map(|url| Site::of(url, &policy)).collect(),
            include: patterns("include_patterns", &config.include_patterns)?,
            exclude: patterns("exclude_patterns", &config.exclude_patterns)?,
            delay: parse_duration(&config.request_delay)
                .map_err(|error| invalid("request_delay", &error))?,
            page_timeout: parse_duration(&config.page_timeout)
                .map_err(|error| invalid("page_timeout", &error))?,
            javascript_wait: parse_duration(&config.javascript_wait)
                .map_err(|error| invalid("javascript_wait", &error))?,
            config,
            policy,
            start,
        })
    }

    /// The start addresses, and the sitemaps of their hosts.
    pub(super) fn first_tasks(&self) -> Vec<NewTask> {
        let mut seen = HashSet::new();
        let fresh = self.start.iter().filter(|url| seen.insert(url.as_str()));
        let mut tasks: Vec<NewTask> =
            fresh.take(self.config.max_pages as usize).map(|url| self.task(url, None)).collect();
        if self.config.sitemaps {
            let mut hosts = HashSet::new();
            let files = self.start.iter().filter_map(|url| url.join(ROBOTS_FILE).ok());
            tasks.extend(
                files.filter(|url| hosts.insert(url.clone())).map(|url| self.sitemap(&url)),
            );
        }
        tasks
    }

    /// The tasks that find out what has become of pages that earlier runs found.
    pub(super) fn look_after(&self, unseen: &[Unseen]) -> Vec<NewTask> {
        let most = self.config.max_pages as usize;
        let ours = unseen.iter().take(most).filter_map(|page| {
            let url = normalise(&Url::parse(&page.source_id).ok()?);
            // What the settings leave out by now is no loss.
            let payload = Payload { url: url.clone(), depth: Some(1), known: Some(page.id) };
            self.admits(&url).then(|| NewTask { payload: json!(payload), ..self.task(&url, None) })
        });
        ours.collect()
    }

    /// Whether an address belongs to the crawl's sites.
    pub(super) fn covers(&self, url: &Url) -> bool {
        !self.config.same_site || self.sites.contains(&Site::of(url, &self.policy))
    }

    /// Whether the user has left this (normalised) address out.
    pub(super) fn excludes(&self, url: &Url) -> bool {
        self.exclude.is_match(url.as_str())
    }

    /// Whether a link to this (normalised) address is followed.
    pub(super) fn admits(&self, url: &Url) -> bool {
        self.policy.check(url).is_ok() && self.wants(url)
    }

    /// Whether a link to this (normalised) address would be followed if it may be.
    fn wants(&self, url: &Url) -> bool {
        self.covers(url)
            && (self.include.is_empty() || self.include.is_match(url.as_str()))
            && !self.excludes(url)
            && !kind::is_file_of_another_kind(url.path())
            && !is_trap(url)
    }

    /// The links of a page that are followed, each once, in one spelling, in the page's order.
    pub(super) fn select(&self, links: &[Link]) -> Selected {
        let mut seen = HashSet::new();
        let mut selected = Selected::default();
        for link in links {
            if link.nofollow && self.config.respect_robots {
                continue;
            }
            let url = normalise(&link.url);
            if !matches!(url.scheme(), "http" | "https") || !self.wants(&url) {
                continue;
            }
            if self.policy.check(&url).is_err() {
                if selected.refused.len() < MAX_REFUSED {
                    selected.refused.insert(url);
                }
                continue;
            }
            if !seen.insert(url.clone()) {
                continue;
            }
            if selected.links.len() == MAX_LINKS {
                selected.more = true;
                break;
            }
            selected.links.push(url);
        }
        selected
    }

    /// The task of reading a sitemap, or all of a host if the address is that of its robots.txt.
    pub(super) fn sitemap(&self, url: &Url) -> NewTask {
        let key = Some(format!("sitemap {url}"));
        let name = match url.path() {
            ROBOTS_FILE => format!("Sitemaps of {}", url.host_str().unwrap_or_default()),
            _ => url.to_string(),
        };
        NewTask { task_type: SITEMAP, key, name, ..self.task(url, None) }
    }

    /// The task of a page that is so many links away from the start, however deep its task is.
    pub(super) fn at_depth(&self, url: &Url, delay: Option<Duration>, depth: u32) -> NewTask {
        let payload = Payload { url: url.clone(), depth: Some(depth), known: None };
        NewTask { payload: json!(payload), ..self.task(url, delay) }
    }

    /// The task of fetching a (normalised) address, in the lane of its host.
    pub(super) fn task(&self, url: &Url, crawl_delay: Option<Duration>) -> NewTask {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let delay = self.delay.max(crawl_delay.unwrap_or_default());
        let delay_ms = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        NewTask {
            task_type: TASK_TYPE,
            name: url.to_string(),
            key: Some(url.to_string()),
            payload: json!(Payload { url: url.clone(), depth: None, known: None }),
            lane: Lane::host(&format!("{host}:{port}"), self.config.concurrency, delay_ms),
            ..NewTask::default()
        }
    }
}

/// What is to be done about a page's links.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// Those that are followed.
    pub(super) links: Vec<Url>,
    /// Whether there are more of them.
    pub(super) more: bool,
    /// Those that lead where no request may go.
    pub(super) refused: HashSet<Url>,
}

/// Whether an address looks like one of an endless series: calendars, sessions, links that lead
/// deeper into themselves. What this lets pass, `max_pages` and `max_depth` end.
fn is_trap(url: &Url) -> bool {
    let segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let mut counts = HashMap::new();
    let repeats = segments.iter().any(|segment| {
        let count = counts.entry(segment).or_insert(0_usize);
        *count += 1;
        *count > MAX_REPEATS
    });
    let query = url.query().unwrap_or_default();
    repeats
        || segments.len() > MAX_SEGMENTS
        || url.path().contains(SLASHES)
        || query.len() > MAX_QUERY_BYTES
        || query.split('&').count() > MAX_PARAMETERS
        || repeats_a_parameter(query)
        || is_far_day(url.path())
        || is_far_day(query)
}

/// Whether a parameter is there more often than a form would send it: a link that adds to its own page's.
fn repeats_a_parameter(query: &str) -> bool {
    let mut counts = HashMap::new();
    query.split('&').filter(|pair| !pair.is_empty()).any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        let list = name.ends_with("[]") || name.ends_with("%5B%5D");
        let count = counts.entry(name).or_insert(0_usize);
        *count += 1;
        !list && *count > MAX_REPEATS
    })
}

/// Whether a text names a month or a day that no page of a calendar worth reading has, before 1900 or
/// from 2040 on: `2091-03`,
/// `/1871/12/01`, `year=2050&month=1`.
fn is_far_day(text: &str) -> bool {
    static DAY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?:^|[^0-9A-Za-z])(1[78][0-9]{2}|20[4-9][0-9]|21[0-9]{2})(?:[-/](?:0[1-9]|1[0-2])|&(?:month|mon|m)=(?:0?[1-9]|1[0-2]))(?:[^0-9]|$)",
        )
        .expect("a constant that the tests compile")
    });
    DAY.is_match(text)
}
