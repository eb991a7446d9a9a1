//! What a crawl step can be told, and its first tasks.

use quaero_engine::{
    definition::parse_duration,
    work::{ConfigProblem, Need, NewTask, StepManager, StepStart, TaskError},
};
use quaero_net::{AddressPolicy, Refusal};
use quaero_store::Unseen;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::frontier::Frontier;

/// Fetches web pages, follows their links, and saves each page as a document.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Crawl a site")]
pub struct CrawlConfig {
    /// Where the crawl begins. These pages are fetched whatever the patterns say.
    #[schemars(title = "Start addresses", length(min = 1, max = 1000), inner(url))]
    pub start_urls: Vec<String>,
    /// How many links away from a start address a page may be. 0 fetches only the start addresses.
    #[serde(default = "max_depth")]
    #[schemars(title = "Depth", range(min = 0, max = 100))]
    pub max_depth: u32,
    /// How many pages are visited at most, counting those that turn out to be missing or unsuitable.
    #[serde(default = "max_pages")]
    #[schemars(title = "Pages", range(min = 1, max = 1_000_000))]
    pub max_pages: u32,
    /// Whether links are followed at all.
    #[serde(default = "yes")]
    #[schemars(title = "Follow links")]
    pub follow_links: bool,
    /// Only links in whose address one of these regular expressions is found are followed. Empty means
    /// every link.
    #[serde(default)]
    #[schemars(title = "Only addresses that match", length(max = 100), extend("items" = {"type": "string", "format": "regex"}))]
    pub include_patterns: Vec<String>,
    /// Links whose address matches one of these regular expressions are not followed, even if they
    /// match `include_patterns`.
    #[serde(default)]
    #[schemars(title = "Except addresses that match", length(max = 100), extend("items" = {"type": "string", "format": "regex"}))]
    pub exclude_patterns: Vec<String>,
    /// Stay on the sites of the start addresses (same registrable domain, subdomains included).
    #[serde(default = "yes")]
    #[schemars(title = "Stay on the site")]
    pub same_site: bool,
    /// Hosts inside your own network that may be fetched: `intranet.example`, `127.0.0.1:8080`.
    /// All other private and local addresses are refused.
    #[serde(default)]
    #[schemars(title = "Allowed local hosts", length(max = 100))]
    pub allow_hosts: Vec<String>,
    /// Requests to one host at the same time.
    #[serde(default = "concurrency")]
    #[schemars(title = "Requests at a time", range(min = 1, max = 64))]
    pub concurrency: u32,
    /// The pause from one request to the next to the same host. A longer pause in the host's
    /// robots.txt wins.
    #[serde(default = "request_delay")]
    #[schemars(title = "Pause between requests", extend("format" = "duration"))]
    pub request_delay: String,
    /// Obey robots.txt and the pages' own requests not to be kept or followed.
    #[serde(default = "yes")]
    #[schemars(title = "Obey robots.txt")]
    pub respect_robots: bool,
    /// The largest page that is read, in bytes after decompression.
    #[serde(default = "max_page_bytes")]
    #[schemars(title = "Bytes per page", range(min = 1024, max = 104_857_600))]
    pub max_page_bytes: u32,
    /// How long one page may take, from connecting to the last byte.
    #[serde(default = "page_timeout")]
    #[schemars(title = "Time per page", extend("format" = "duration"))]
    pub page_timeout: String,
    /// The sign-in profile whose cookies and headers are taken along, to the hosts of its site only.
    #[serde(default)]
    #[schemars(title = "Sign-in profile", length(max = 64))]
    pub auth_id: Option<String>,
    /// The same as `auth_id`, which wins.
    #[serde(default)]
    #[schemars(title = "Sign-in profile (other name)", length(max = 64))]
    pub authentication: Option<String>,
    /// Run each page's scripts in a browser that is installed (Chrome, Chromium or Edge), for pages
    /// whose text is made by JavaScript. Slower, and more requests: switch it on where pages come out
    /// empty.
    #[serde(default)]
    #[schemars(title = "Run JavaScript")]
    pub enable_javascript: bool,
    /// How long to wait for a page's scripts once the page has loaded. It ends earlier when the page
    /// has asked for nothing for half a second.
    #[serde(default = "javascript_wait")]
    #[schemars(title = "Wait for JavaScript", extend("format" = "duration"))]
    pub javascript_wait: String,
    /// How many bytes are read in all, after decompression. What has been found until then stays.
    #[serde(default = "max_total_bytes")]
    #[schemars(title = "Bytes in all", range(min = 1024, max = 1_099_511_627_776_u64))]
    pub max_total_bytes: u64,
    /// Also visit the pages that the sitemaps of the sites name, as if the start page had links to them.
    #[serde(default)]
    #[schemars(title = "Read sitemaps")]
    pub sitemaps: bool,
    /// Ask for pages that an earlier run of this step found and this one has no link to, and mark
    /// those that are gone.
    #[serde(default = "yes")]
    #[schemars(title = "Look for pages that are gone")]
    pub check_gone: bool,
    /// Leave out pages whose text is nearly that of another page of the crawl. Without it they are
    /// kept, and named in the log.
    #[serde(default)]
    #[schemars(title = "Leave out near-duplicates")]
    pub skip_near_duplicates: bool,
    /// Keep each page's original bytes, so that a `transform` step can read it anew, and the next
    /// run only has to ask whether it has changed.
    #[serde(default = "yes")]
    #[schemars(title = "Keep the original")]
    pub keep_original: bool,
    /// Tags that every document gets.
    #[serde(default)]
    #[schemars(title = "Tags", length(max = 50), extend("items" = {"type": "string", "format": "tag"}))]
    pub output_tags: Vec<String>,
}

const fn yes() -> bool {
    true
}

const fn max_depth() -> u32 {
    3
}

const fn max_pages() -> u32 {
    100
}

const fn concurrency() -> u32 {
    2
}

fn request_delay() -> String {
    "500ms".to_owned()
}

const fn max_page_bytes() -> u32 {
    10 << 20
}

const fn max_total_bytes() -> u64 {
    2 << 30
}

fn page_timeout() -> String {
    "60s".to_owned()
}

fn javascript_wait() -> String {
    "5s".to_owned()
}

/// The manager of `crawl` steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrawlManager;

impl StepManager for CrawlManager {
    fn step_type(&self) -> &'static str {
        "crawl"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["crawler"]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(CrawlConfig)
    }

    fn needs(&self, config: &Value) -> Vec<Need> {
        let Ok(config) = serde_json::from_value::<CrawlConfig>(config.clone()) else {
            return Vec::new();
        };
        let browser = config.enable_javascript.then_some(Need::Browser);
        let sign_in = config.auth_id.or(config.authentication).map(Need::SignIn);
        browser.into_iter().chain(sign_in).collect()
    }

    fn check(&self, config: &Value) -> Vec<ConfigProblem> {
        let Ok(config) = serde_json::from_value::<CrawlConfig>(config.clone()) else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        let mut problem = |pointer: String, code, message: String, fix: Option<String>| {
            problems.push(ConfigProblem { pointer, code, message, fix });
        };
        for (at, host) in config.allow_hosts.iter().enumerate() {
            if let Err(error) = AddressPolicy::new(&[host]) {
                problem(format!("/allow_hosts/{at}"), "bad_host", format!("{error}."), None);
            }
        }
        let usable: Vec<&String> =
            config.allow_hosts.iter().filter(|host| AddressPolicy::new(&[host]).is_ok()).collect();
        let policy = AddressPolicy::new(&usable).unwrap_or_default();
        for (at, text) in config.start_urls.iter().enumerate() {
            // What is not an address has been told by the schema's format.
            let Ok(url) = Url::parse(text) else { continue };
            if let Err(reason) = policy.check(&url) {
                let fix = match reason {
                    Refusal::LocalName(_) | Refusal::LocalAddress { .. } | Refusal::Port(_) => {
                        url.host_str().map(|host| {
                            format!(
                                "If this is meant, add `allow_hosts = [\"{host}\"]` to the step."
                            )
                        })
                    }
                    Refusal::Scheme(_) | Refusal::Credentials | Refusal::TooLong => None,
                };
                problem(
                    format!("/start_urls/{at}"),
                    "address_refused",
                    format!("This address is not fetched: {reason}."),
                    fix,
                );
            }
        }
        if config.start_urls.len() > config.max_pages as usize {
            let message = format!(
                "There are {} start addresses, but only {} pages may be visited.",
                config.start_urls.len(),
                config.max_pages
            );
            problem(
                "/max_pages".to_owned(),
                "out_of_range",
                message,
                Some(format!("Write `max_pages = {}` or more.", config.start_urls.len())),
            );
        }
        if parse_duration(&config.page_timeout).is_ok_and(|timeout| timeout.is_zero()) {
            problem(
                "/page_timeout".to_owned(),
                "out_of_range",
                "A page needs some time.".to_owned(),
                Some("Write `page_timeout = \"60s\"`.".to_owned()),
            );
        }
        problems
    }

    fn subject(&self, config: &Value) -> Option<String> {
        config["start_urls"][0].as_str().map(ToOwned::to_owned)
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let config = serde_json::from_value(step.config.clone()).map_err(|error| {
            TaskError::permanent(
                "invalid_config",
                format!("The settings of step `{}` do not fit: {error}.", step.name),
            )
        })?;
        Ok(Frontier::new(config)?.first_tasks())
    }

    fn sweeps(&self) -> bool {
        true
    }

    fn look_after(&self, step: &StepStart, unseen: &[Unseen]) -> Vec<NewTask> {
        let Ok(config) = serde_json::from_value::<CrawlConfig>(step.config.clone()) else {
            return Vec::new();
        };
        if !config.check_gone {
            return Vec::new();
        }
        // It has started with this configuration.
        Frontier::new(config).map(|frontier| frontier.look_after(unseen)).unwrap_or_default()
    }
}
