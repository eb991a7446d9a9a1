//! An account of requests: each is told once, however it ends.

use std::{borrow::Cow, sync::Arc, time::Duration};

use tokio::time::Instant;
use url::Url;

use crate::{NetError, error::shown};

/// One request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Who was asked, with the port if it is not the usual one.
    pub host: String,
    /// The status of the answer; the code of the error that came instead; or `given_up`, if nobody
    /// waited for the end.
    pub answer: String,
    /// What was asked for, without keys.
    pub address: String,
    /// Bytes of the body that were read, decompressed.
    pub bytes: u64,
    /// From the request to the end of the answer.
    pub took: Duration,
}

impl Exchange {
    /// What would have been asked, but for a reason.
    #[must_use]
    pub fn left_out(url: &Url, reason: &str) -> Self {
        Self {
            host: host(url),
            answer: reason.to_owned(),
            address: shown(url),
            bytes: 0,
            took: Duration::ZERO,
        }
    }
}

fn host(url: &Url) -> String {
    // What leads to no host goes by its scheme.
    let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or_else(|| url.scheme());
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Who is told of requests. See [`crate::Client::accounted`].
pub type Account = Arc<dyn Fn(Exchange) + Send + Sync>;

/// A request on its way; told when it is dropped.
pub(crate) struct Entry {
    account: Option<Account>,
    url: Url,
    start: Instant,
    answer: Cow<'static, str>,
    bytes: u64,
    /// From the request to the head of the answer.
    pub(crate) waited: Duration,
}

impl Entry {
    pub(crate) fn new(account: Option<&Account>, url: &Url) -> Self {
        Self {
            account: account.cloned(),
            url: url.clone(),
            start: Instant::now(),
            answer: "given_up".into(),
            bytes: 0,
            waited: Duration::ZERO,
        }
    }

    /// The head of an answer has come.
    pub(crate) fn answered(&mut self, status: u16) {
        self.answer = status.to_string().into();
        self.waited = self.start.elapsed();
    }

    /// The whole answer has come, or as much of it as was wanted.
    pub(crate) const fn read(&mut self, bytes: usize) {
        self.bytes = bytes as u64;
    }

    /// Nothing that can be used has come.
    pub(crate) fn failed(&mut self, error: &NetError) {
        self.answer = error.code().into();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(account) = &self.account else { return };
        account(Exchange {
            host: host(&self.url),
            answer: std::mem::take(&mut self.answer).into_owned(),
            address: shown(&self.url),
            bytes: self.bytes,
            took: self.start.elapsed(),
        });
    }
}
