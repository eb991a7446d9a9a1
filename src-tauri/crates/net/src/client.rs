//! Asking for a page: one hop at a time, within limits.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    header::{
        ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName,
        HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RETRY_AFTER,
    },
    redirect,
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{
    Account, AddressPolicy, Exchange, NetError, Overflow, Phase, Redactor, Session, USER_AGENT,
    account::Entry,
    body::{self, BOMB_RATIO, Decoder, Stop},
    error::shown,
    policy::{MAX_URL_BYTES, Trust, check_ip},
    retry_after,
    robots::{RobotRules, Robots},
};

/// What one request may cost. Everything from outside has a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To find and connect to a host.
    pub connect: Duration,
    /// From the connection to the first byte of the answer.
    pub first_byte: Duration,
    /// From one part of the body to the next.
    pub idle: Duration,
    /// For everything, redirects included.
    pub total: Duration,
    /// Bytes of all headers of an answer.
    pub header_bytes: usize,
    /// Bytes of a body, decompressed.
    pub body_bytes: usize,
    /// Redirects that are followed.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(20),
            idle: Duration::from_secs(20),
            total: Duration::from_secs(60),
            header_bytes: 64 << 10,
            body_bytes: 10 << 20,
            redirects: 10,
        }
    }
}

/// What one request wants, where it differs from the client's limits.
#[derive(Clone)]
pub struct GetOptions {
    /// The `Accept` header.
    pub accept: &'static str,
    /// Further headers, or others than the usual. They go to the first address's origin only; one
    /// that cannot be sent is left out.
    pub headers: Vec<(String, String)>,
    /// A sign-in, for the hosts of its site; redirects to others go without it.
    pub session: Option<Session>,
    /// Bytes of the body, decompressed.
    pub body_bytes: Option<usize>,
    /// What to do with a larger one.
    pub overflow: Overflow,
    /// Time for everything, redirects included.
    pub total: Option<Duration>,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self {
            accept: "*/*",
            headers: Vec::new(),
            session: None,
            body_bytes: None,
            overflow: Overflow::Fail,
            total: None,
        }
    }
}

/// Turns a host's name into its addresses.
pub(crate) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

struct Shared {
    policy: AddressPolicy,
    limits: Limits,
    lookup: Lookup,
    /// Connects to public addresses only. Made when it is first needed, as is `named`: reading the
    /// system's trusted certificates takes a while.
    public: OnceLock<Result<reqwest::Client, NetError>>,
    /// Connects to wherever the names that the definition lists lead.
    named: OnceLock<Result<reqwest::Client, NetError>>,
    robots: Robots,
}

impl Shared {
    fn http(&self, trust: Trust) -> Result<&reqwest::Client, NetError> {
        let client = match trust {
            Trust::Public => &self.public,
            Trust::Named => &self.named,
        };
        client
            .get_or_init(|| build(&self.limits, trust, &self.lookup))
            .as_ref()
            .map_err(Clone::clone)
    }
}

/// The HTTP client. Cheap to clone; clones share connections and the robots.txt files they know.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    account: Option<Account>,
}

impl Client {
    /// A client that asks whom the policy lets it ask.
    #[must_use]
    pub fn new(policy: AddressPolicy, limits: Limits) -> Self {
        let lookup: Lookup = Arc::new(|name| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        });
        Self::with_lookup(policy, limits, lookup)
    }

    pub(crate) fn with_lookup(policy: AddressPolicy, limits: Limits, lookup: Lookup) -> Self {
        let (public, named, robots) = (OnceLock::new(), OnceLock::new(), Robots::default());
        let shared = Arc::new(Shared { policy, limits, lookup, public, named, robots });
        Self { shared, account: None }
    }

    /// The same client, which tells of each request it makes.
    #[must_use]
    pub fn accounted(&self, account: Account) -> Self {
        Self { shared: self.shared.clone(), account: Some(account) }
    }

    pub(crate) const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Whom this client may ask.
    #[must_use]
    pub fn policy(&self) -> &AddressPolicy {
        &self.shared.policy
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn http(&self, trust: Trust) -> Result<&reqwest::Client, NetError> {
        self.shared.http(trust)
    }

    /// Asks for a page and follows its redirects.
    ///
    /// An answer with an error status is an answer; see [`Response::status`].
    ///
    /// # Errors
    /// If there is no answer that can be used.
    pub async fn get(&self, url: &Url, options: &GetOptions) -> Result<Response, NetError> {
        let mut trail = self.trail(url, options.clone());
        loop {
            if let Some(reply) = trail.follow().await? {
                return reply.read().await;
            }
        }
    }

    /// Asks for a page one redirect at a time, for who has more to check than the policy does.
    #[must_use]
    pub fn trail(&self, url: &Url, options: GetOptions) -> Trail {
        let mut url = url.clone();
        url.set_fragment(None);
        let deadline = Instant::now() + options.total.unwrap_or(self.shared.limits.total);
        Trail {
            shared: self.shared.clone(),
            options,
            deadline,
            redirects: Vec::new(),
            seen: HashSet::from([url.clone()]),
            conditions: HeaderMap::new(),
            account: self.account.clone(),
            url,
        }
    }

    /// What the robots.txt of the address's host allows. Known files are not asked for again for
    /// an hour; a host whose file cannot be read is not asked again for some seconds.
    ///
    /// # Errors
    /// [`NetError::Robots`] if the file may exist but cannot be read for now; an error of the
    /// connection if nobody answers.
    pub async fn robots(&self, url: &Url) -> Result<Arc<RobotRules>, NetError> {
        self.shared.robots.rules(self, url).await
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that makes the client")]
fn build(limits: &Limits, trust: Trust, lookup: &Lookup) -> Result<reqwest::Client, NetError> {
    // Someone else in the process may have installed the same one before; that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .connect_timeout(limits.connect)
            .http2_max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(64)
            .dns_resolver(Resolver { trust, lookup: lookup.clone() })
    };
    let built = builder().build().or_else(|error| {
        // A bare system may have no trusted certificates. It still has http.
        tracing::warn!(%error, "no trusted certificates were found; https addresses cannot be fetched");
        builder().tls_certs_only(Vec::new()).build()
    });
    built
        .map_err(|error| NetError::Tls { url: "any address".to_owned(), reason: error.to_string() })
}

/// Checks every address behind a name, and connects to none but those. As the connection uses what
/// was checked, a name that changes its mind in between gains nothing.
struct Resolver {
    trust: Trust,
    lookup: Lookup,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str().to_owned());
        let trust = self.trust;
        Box::pin(async move {
            let found = found.await?;
            if trust == Trust::Public {
                found.iter().try_for_each(|ip| check_ip(*ip))?;
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// Those headers that can be sent.
fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let parsed = headers.iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    });
    parsed.collect()
}

/// A request on its way through redirects.
pub struct Trail {
    shared: Arc<Shared>,
    options: GetOptions,
    deadline: Instant,
    url: Url,
    redirects: Vec<Url>,
    seen: HashSet<Url>,
    conditions: HeaderMap,
    account: Option<Account>,
}

impl Trail {
    /// The address that [`Trail::follow`] will ask.
    #[must_use]
    pub const fn address(&self) -> &Url {
        &self.url
    }

    /// Has the present address asked for its page only if it differs from one that came with this
    /// `ETag` or `Last-Modified`; if it does not, the answer's status is 304.
    pub fn unless_still(&mut self, etag: Option<&str>, last_modified: Option<&str>) {
        self.conditions.clear();
        // A server that sent an ETag decides by it, and ignores the date (RFC 9110, 13.1.3).
        for (name, value) in [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, last_modified)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                self.conditions.insert(name, value);
            }
        }
    }

    /// Asks the present address. None means that it redirects, and that [`Trail::address`] is now
    /// the target, which nobody has asked yet.
    ///
    /// # Errors
    /// If there is no answer that can be used, or the redirect leads nowhere.
    pub async fn follow(&mut self) -> Result<Option<Reply>, NetError> {
        let mut entry = Entry::new(self.account.as_ref(), &self.url);
        match self.send(&mut entry).await {
            Ok(answer) => {
                let Shared { limits, .. } = &*self.shared;
                let body_bytes = self.options.body_bytes.unwrap_or(limits.body_bytes);
                let how = (body_bytes, self.options.overflow, self.deadline);
                let mut reply = Reply::new(self.url.clone(), answer, limits, how, entry)?;
                if matches!(reply.status(), 301 | 302 | 303 | 307 | 308) {
                    self.turn(reply.answer.headers())?;
                    return Ok(None);
                }
                reply.redirects = std::mem::take(&mut self.redirects);
                Ok(Some(reply))
            }
            Err(error) => {
                entry.failed(&error);
                Err(error)
            }
        }
    }

    async fn send(&mut self, entry: &mut Entry) -> Result<reqwest::Response, NetError> {
        let Shared { policy, limits, .. } = &*self.shared;
        let trust =
            policy.trust(&self.url).map_err(|reason| NetError::refused(&self.url, reason))?;
        let http = self.shared.http(trust)?;
        let first_byte = Instant::now() + limits.connect + limits.first_byte;
        let mut request = http
            .get(self.url.clone())
            .header(ACCEPT, self.options.accept)
            .header(ACCEPT_ENCODING, body::ACCEPT_ENCODING)
            .headers(std::mem::take(&mut self.conditions));
        let first = self.redirects.first().unwrap_or(&self.url);
        if first.origin() == self.url.origin() {
            request = request.headers(header_map(&self.options.headers));
        }
        if let Some(session) = &self.options.session {
            request = request.headers(session.headers(&self.url));
        }
        let answer = match timeout_at(first_byte.min(self.deadline), request.send()).await {
            Err(_) if self.deadline < first_byte => {
                return Err(NetError::timeout(&self.url, Phase::Total));
            }
            Err(_) => return Err(NetError::timeout(&self.url, Phase::FirstByte)),
            Ok(answer) => answer.map_err(|error| NetError::from_http(&self.url, &error))?,
        };
        entry.answered(answer.status().as_u16());
        if let Some(session) = &self.options.session {
            session.take(&self.url, answer.headers());
        }
        Ok(answer)
    }

    /// Turns to a redirect's target.
    fn turn(&mut self, headers: &HeaderMap) -> Result<(), NetError> {
        let limit = self.shared.limits.redirects;
        let first = self.redirects.first().unwrap_or(&self.url);
        if self.redirects.len() == limit {
            return Err(NetError::TooManyRedirects { url: shown(first), limit });
        }
        let bad = |reason: &str| NetError::BadRedirect {
            url: shown(&self.url),
            reason: reason.to_owned(),
        };
        let location = headers.get(LOCATION).ok_or_else(|| bad("does not say where to"))?;
        if location.len() > MAX_URL_BYTES {
            return Err(bad("its target is an overlong address"));
        }
        let location =
            std::str::from_utf8(location.as_bytes()).map_err(|_| bad("its target is not text"))?;
        let mut target =
            self.url.join(location).map_err(|_| bad("its target is not an address"))?;
        target.set_fragment(None);
        if let Err(reason) = self.shared.policy.check(&target) {
            let error = NetError::refused(&target, reason);
            // The query may hold what only this site should know.
            target.set_query(None);
            self.account.iter().for_each(|tell| tell(Exchange::left_out(&target, error.code())));
            return Err(error);
        }
        if !self.seen.insert(target.clone()) {
            return Err(NetError::RedirectLoop { url: shown(first) });
        }
        self.redirects.push(std::mem::replace(&mut self.url, target));
        Ok(())
    }
}

/// The head of an answer; its body is still to be read, or to be left alone.
pub struct Reply {
    url: Url,
    redirects: Vec<Url>,
    answer: reqwest::Response,
    body_bytes: usize,
    overflow: Overflow,
    idle: Duration,
    deadline: Instant,
    entry: Entry,
    /// What must not come back.
    secrets: Option<Redactor>,
}

impl Reply {
    /// The answer of `url`, of whose body at most so many bytes are read, until a time.
    pub(crate) fn new(
        url: Url,
        answer: reqwest::Response,
        limits: &Limits,
        (body_bytes, overflow, deadline): (usize, Overflow, Instant),
        entry: Entry,
    ) -> Result<Self, NetError> {
        let header_bytes: usize = answer
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        if header_bytes > limits.header_bytes {
            return Err(NetError::HeadersTooLarge { url: shown(&url), limit: limits.header_bytes });
        }
        let (redirects, idle) = (Vec::new(), limits.idle);
        let secrets = None;
        Ok(Self { url, redirects, answer, body_bytes, overflow, idle, deadline, entry, secrets })
    }

    /// The same answer, in whose body these are not read.
    pub(crate) fn without(mut self, secrets: Redactor) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// The address that answered.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// How long the answer took to begin.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.entry.waited
    }

    /// The status, 100 to 999.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    /// A header's value, if it is there and text. The first, if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.headers().get(name)?.to_str().ok()
    }

    /// How long the server wants to be left alone, between one second and fifteen minutes.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        // A date is told by the server's own clock, which may differ from ours.
        let now = self.header(DATE.as_str()).and_then(retry_after::parse_date);
        retry_after::parse(self.header(RETRY_AFTER.as_str())?, now)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// If it is too large, too slow, broken or cut off.
    pub async fn read(mut self) -> Result<Response, NetError> {
        let read = self.body().await;
        match &read {
            Ok((body, _)) => self.entry.read(body.len()),
            Err(error) => self.entry.failed(error),
        }
        let (mut body, cut) = read?;
        if let Some(secrets) = &self.secrets {
            body = secrets.bytes(body);
        }
        let content_type = self.header(CONTENT_TYPE.as_str()).map(str::to_owned);
        Ok(Response {
            status: self.status(),
            retry_after: self.retry_after(),
            robots_tag: self.header("x-robots-tag").map(str::to_owned),
            etag: self.header(ETAG.as_str()).map(str::to_owned),
            last_modified: self.header(LAST_MODIFIED.as_str()).map(str::to_owned),
            content_type,
            body,
            cut,
            url: self.url,
            redirects: self.redirects,
        })
    }

    /// The body, and whether it was cut.
    async fn body(&mut self) -> Result<(Vec<u8>, bool), NetError> {
        let encodings = self.answer.headers().get_all(CONTENT_ENCODING);
        let encodings = encodings.iter().map(|value| value.to_str().unwrap_or("?"));
        let mut decoder = Decoder::new(encodings, self.body_bytes)
            .map_err(|reason| NetError::Encoding { url: shown(&self.url), reason })?;
        let too_large = || NetError::TooLarge { url: shown(&self.url), limit: self.body_bytes };
        let announced = self.answer.content_length().filter(|_| decoder.is_plain());
        if self.overflow == Overflow::Fail
            && announced.is_some_and(|length| length > self.body_bytes as u64)
        {
            return Err(too_large());
        }
        let stop = loop {
            let idle = Instant::now() + self.idle;
            let part = match timeout_at(idle.min(self.deadline), self.answer.chunk()).await {
                Err(_) if self.deadline < idle => {
                    return Err(NetError::timeout(&self.url, Phase::Total));
                }
                Err(_) => return Err(NetError::timeout(&self.url, Phase::Body)),
                Ok(Err(error)) => return Err(NetError::from_http(&self.url, &error)),
                Ok(Ok(part)) => part,
            };
            let pushed = part.map(|part| decoder.push(&part));
            self.entry.read(decoder.len());
            match pushed {
                Some(Ok(())) => {}
                Some(Err(Stop::Full)) if self.overflow == Overflow::Cut => {
                    break Ok((decoder.take(), true));
                }
                Some(Err(stop)) => break Err(stop),
                None => break decoder.finish().map(|body| (body, false)),
            }
        };
        stop.map_err(|stop| match stop {
            Stop::Full => NetError::TooLarge { url: shown(&self.url), limit: self.body_bytes },
            Stop::Bomb => NetError::Bomb { url: shown(&self.url), ratio: BOMB_RATIO },
            Stop::Corrupt(reason) => NetError::Encoding { url: shown(&self.url), reason },
            Stop::CutOff => NetError::interrupted(&self.url, "the compressed data ends early"),
        })
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The address that answered.
    pub url: Url,
    /// The addresses that led there, the first one first.
    pub redirects: Vec<Url>,
    /// The status, 100 to 999.
    pub status: u16,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `X-Robots-Tag` header.
    pub robots_tag: Option<String>,
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Last-Modified` header.
    pub last_modified: Option<String>,
    /// How long the server wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// Whether the body was cut at the limit; only with [`Overflow::Cut`].
    pub cut: bool,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_connection_uses_the_addresses_that_were_checked() {
        let answers =
            [["8.8.8.8"], ["127.0.0.1"]].map(|list| list.map(|ip| ip.parse().expect("an address")));
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let lookup: Lookup = Arc::new(move |_| {
            let found: [IpAddr; 1] = answers[counter.fetch_add(1, Ordering::SeqCst)];
            Box::pin(async move { Ok(found.to_vec()) })
        });
        let resolver = Resolver { trust: Trust::Public, lookup };
        let name = || "rebind.example.org".parse::<Name>().expect("a name");
        let first: Vec<SocketAddr> =
            resolver.resolve(name()).await.expect("a public address").collect();
        assert_eq!(first, [SocketAddr::from(([8, 8, 8, 8], 0))]);
        assert!(resolver.resolve(name()).await.is_err(), "the name leads inside by now");
        assert_eq!(
            asked.load(Ordering::SeqCst),
            2,
            "nothing is looked up a second time after the check"
        );
    }
}
