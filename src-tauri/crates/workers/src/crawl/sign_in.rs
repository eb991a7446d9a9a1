//! Sign-in profiles: found for the steps that name one, and what tells that one has expired.

use quaero_engine::work::{JobContext, TaskError};
use quaero_net::{ProviderError, Reply, Session};
use url::Url;

use super::{
    visit::Visitor,
    worker::{REMEMBERED, Shared},
};

/// Parts of hosts and paths where sites ask to sign in.
const SIGN_IN: [&str; 15] = [
    "login",
    "log-in",
    "log_in",
    "logon",
    "signin",
    "sign-in",
    "sign_in",
    "signon",
    "sso",
    "auth",
    "authenticate",
    "authorize",
    "oauth",
    "oauth2",
    "accounts",
];
/// Parts of paths that would end the sign-in.
const SIGN_OUT: [&str; 9] = [
    "logout",
    "log-out",
    "log_out",
    "logoff",
    "signout",
    "sign-out",
    "sign_out",
    "signoff",
    "disconnect",
];

impl Shared {
    /// The session of a profile, the same for all tasks of a run.
    pub(super) async fn session(
        &self,
        job: &JobContext,
        profile: Option<&str>,
    ) -> Result<Option<Session>, TaskError> {
        let Some(profile) = profile else { return Ok(None) };
        let key = (job.run_id, profile.to_owned());
        // Held while the profile is opened, so that a run has one session of it.
        let mut sessions = self.sessions.lock().await;
        if let Some(session) = sessions.get(&key) {
            return Ok(Some(session.clone()));
        }
        let session = self.providers.session(profile, job.now_ms() / 1000).await;
        let session = session.map_err(|error: ProviderError| {
            TaskError::permanent(error.code(), error.to_string())
        })?;
        if sessions.len() >= REMEMBERED {
            sessions.clear();
        }
        sessions.insert(key, session.clone());
        Ok(Some(session))
    }
}

impl Visitor {
    /// The same failure, with a word on the sign-in if it may be the reason.
    pub(super) fn if_expired(&self, reply: &Reply, error: TaskError) -> TaskError {
        match &self.session {
            Some(session) if matches!(reply.status(), 401 | 403) && session.covers(reply.url()) => {
                let message = format!("{} {}", error.message, remedy(session));
                TaskError { message, ..error }
            }
            _ => error,
        }
    }

    /// A warning, if a page that was asked for with a sign-in has led to one that asks for it.
    pub(super) fn asks_to_sign_in(&self, asked: &Url, answered: &Url) -> Option<String> {
        let session = self.session.as_ref().filter(|session| session.covers(asked))?;
        let asks = is_sign_in(answered) && !is_sign_in(asked);
        asks.then(|| format!("{asked} led to {answered}. {}", remedy(session)))
    }

    /// Whether a link is not followed because it would sign the user out.
    pub(super) fn signs_out(&self, url: &Url) -> bool {
        self.session.as_ref().is_some_and(|session| session.covers(url)) && is_sign_out(url)
    }
}

fn is_sign_in(url: &Url) -> bool {
    let host = url.domain().unwrap_or_default().split('.');
    host.chain(url.path().split('/')).any(|part| names(part, &SIGN_IN))
}

fn is_sign_out(url: &Url) -> bool {
    url.path().split('/').any(|part| names(part, &SIGN_OUT))
}

/// Whether a part of an address is one of these words, with any ending of a file.
fn names(part: &str, words: &[&str]) -> bool {
    let name = part.split('.').next().unwrap_or(part);
    words.iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// What may be wrong with the sign-in, and what to do.
pub(super) fn remedy(session: &Session) -> String {
    let state = if session.is_over() { "has expired" } else { "may have expired" };
    format!(
        "The sign-in profile `{}` {state}: sign in with your browser, and import its cookies again.",
        session.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_asks_to_sign_in_is_known_by_its_address() {
        let rows = [
            ("https://example.org/login", true),
            ("https://example.org/users/Sign_in?next=/a", true),
            ("https://example.org/sso/start", true),
            ("https://example.org/login.php", true),
            ("https://example.org/catalogin", false),
            ("https://example.org/author/a", false),
            ("https://example.org/?login", false),
            ("https://login.example.org/start", true),
            ("https://accounts.example.org/", true),
        ];
        for (url, expected) in rows {
            assert_eq!(is_sign_in(&Url::parse(url).expect("an address")), expected, "{url}");
        }
    }
}
