//! One request to a service: an address, headers that may hold a key, an answer. Nothing is followed
//! elsewhere, so that a key is never shown to anyone but the host it was made for.
//!
//! Architecture invariant: no answer holds the key that it was asked with. Some services and proxies
//! repeat it; it is taken out of what they say, in whatever form, before anybody reads it.

use std::time::Duration;

use reqwest::{
    Method,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{
    Client, NetError, Overflow, Phase, Redactor, Reply, account::Entry, body, error::shown,
};

/// What is asked of a service.
#[derive(Clone, Debug)]
pub struct ServiceRequest {
    url: Url,
    /// Sent as a POST, if there is one.
    json: Option<Vec<u8>>,
    headers: Vec<(&'static str, Part)>,
    body_bytes: Option<usize>,
    total: Option<Duration>,
}

/// The value of a header.
#[derive(Clone, Debug)]
enum Part {
    Plain(String),
    Secret(SecretString),
    /// After the word `Bearer`.
    Bearer(SecretString),
}

impl ServiceRequest {
    /// Asks for what is at an address.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self { url, json: None, headers: Vec::new(), body_bytes: None, total: None }
    }

    /// Sends a JSON text to an address.
    #[must_use]
    pub fn post_json(url: Url, json: Vec<u8>) -> Self {
        Self { json: Some(json), ..Self::get(url) }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Part::Plain(value.into())));
        self
    }

    /// Adds a header that must not be seen anywhere else.
    #[must_use]
    pub fn secret_header(mut self, name: &'static str, value: SecretString) -> Self {
        self.headers.push((name, Part::Secret(value)));
        self
    }

    /// Adds the header `Authorization` with a bearer token.
    #[must_use]
    pub fn bearer(mut self, token: SecretString) -> Self {
        self.headers.push(("authorization", Part::Bearer(token)));
        self
    }

    /// At most so many bytes of the answer, decompressed, where that differs from the client's limit.
    #[must_use]
    pub const fn body_bytes(mut self, bytes: usize) -> Self {
        self.body_bytes = Some(bytes);
        self
    }

    /// The time for everything, where that differs from the client's limit.
    #[must_use]
    pub const fn total(mut self, total: Duration) -> Self {
        self.total = Some(total);
        self
    }
}

impl Client {
    /// Asks a service. An answer with an error status is an answer.
    ///
    /// # Errors
    /// If there is no answer that can be used. A redirect is none: it would take the key along.
    pub async fn ask(&self, request: ServiceRequest) -> Result<Reply, NetError> {
        let mut entry = Entry::new(self.account(), &request.url);
        let limits = self.limits();
        let deadline = Instant::now() + request.total.unwrap_or(limits.total);
        let body_bytes = request.body_bytes.unwrap_or(limits.body_bytes);
        let url = request.url.clone();
        let secrets = request.headers.iter().filter_map(|(_, part)| match part {
            Part::Plain(_) => None,
            Part::Secret(secret) | Part::Bearer(secret) => Some(secret),
        });
        let secrets = Redactor::new(secrets);
        match self.send(request, deadline, &mut entry).await {
            Ok(answer) => {
                let how = (body_bytes, Overflow::Fail, deadline);
                Ok(Reply::new(url, answer, limits, how, entry)?.without(secrets))
            }
            Err(error) => {
                entry.failed(&error);
                Err(error)
            }
        }
    }

    async fn send(
        &self,
        request: ServiceRequest,
        deadline: Instant,
        entry: &mut Entry,
    ) -> Result<reqwest::Response, NetError> {
        let ServiceRequest { url, json, headers, .. } = request;
        let (policy, limits) = (self.policy(), self.limits());
        let trust = policy.trust(&url).map_err(|reason| NetError::refused(&url, reason))?;
        let method = if json.is_some() { Method::POST } else { Method::GET };
        let mut asking = self
            .http(trust)?
            .request(method, url.clone())
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, body::ACCEPT_ENCODING);
        for (name, part) in headers {
            let unusable = || NetError::Interrupted {
                url: shown(&url),
                reason: format!(
                    "the value for the header `{name}` has characters that no header can have"
                ),
            };
            let value = match &part {
                Part::Plain(text) => HeaderValue::from_str(text),
                Part::Secret(secret) => HeaderValue::from_str(secret.expose_secret()),
                Part::Bearer(token) => {
                    HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                }
            };
            let mut value = value.map_err(|_| unusable())?;
            value.set_sensitive(!matches!(part, Part::Plain(_)));
            asking = asking.header(HeaderName::from_static(name), value);
        }
        if let Some(json) = json {
            asking = asking.header(CONTENT_TYPE, "application/json").body(json);
        }
        let first_byte = Instant::now() + limits.connect + limits.first_byte;
        let answer = match timeout_at(first_byte.min(deadline), asking.send()).await {
            Err(_) if deadline < first_byte => return Err(NetError::timeout(&url, Phase::Total)),
            Err(_) => return Err(NetError::timeout(&url, Phase::FirstByte)),
            Ok(answer) => answer.map_err(|error| NetError::from_http(&url, &error))?,
        };
        if answer.status().is_redirection() {
            return Err(NetError::BadRedirect {
                url: shown(&url),
                reason: "a service that is asked with a key is not followed elsewhere; check its address".to_owned(),
            });
        }
        entry.answered(answer.status().as_u16());
        Ok(answer)
    }
}
