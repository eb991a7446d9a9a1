//! Pages whose text is made by scripts: read as an installed browser shows them.

use quaero_contract::LogLevel;
use quaero_engine::work::{Retry, TaskError};
use quaero_net::{Response, normalise};
use quaero_store::NewDocument;
use url::Url;

use super::visit::{Visited, Visitor};
use crate::{
    browser::{BrowserError, Shown, ToShow},
    extract::Format,
};

/// Bytes of Markdown; a page with less is one of which something is probably missing.
const LITTLE_TEXT: usize = 500;

/// What running a page's scripts leaves behind besides the page.
pub(super) struct Scripts {
    page: Url,
    led_to: Vec<Url>,
    unsent: usize,
    busy: bool,
    notice: Option<&'static str>,
}

impl Visitor {
    /// That there is a browser, if one is needed: told before anything is fetched.
    pub(super) fn need_browser(&self) -> Result<(), TaskError> {
        if self.frontier.config.enable_javascript {
            self.browser.find().map_err(|error| failed(None, &error))?;
        }
        Ok(())
    }

    /// The page as its scripts make it, if the step wants them to be run. Text and PDF files have
    /// none.
    pub(super) async fn run_scripts(
        &self,
        page: Response,
        format: Format,
    ) -> Result<(Response, Option<Scripts>), TaskError> {
        if !self.frontier.config.enable_javascript || format != Format::Html {
            return Ok((page, None));
        }
        let shown = self.browser.show(ToShow {
            page: &page,
            client: &self.client,
            session: self.session.as_ref(),
            wait: self.frontier.javascript_wait,
            total: self.frontier.page_timeout,
            max_bytes: self.frontier.config.max_page_bytes as usize,
        });
        let shown = shown.await.map_err(|error| failed(Some(&page.url), &error))?;
        let Shown { html, led_to, unsent, busy, notice } = shown;
        let scripts = Scripts { page: page.url.clone(), led_to, unsent, busy, notice };
        let content_type = Some("text/html; charset=utf-8".to_owned());
        Ok((
            Response {
                body: html.into_bytes(),
                content_type,
                // They are of the page as it was sent.
                etag: None,
                last_modified: None,
                ..page
            },
            Some(scripts),
        ))
    }

    /// Marks the document, and follows where the page's scripts wanted to go as any link.
    pub(super) fn note_scripts(&self, visited: &mut Visited, scripts: Scripts, followed: bool) {
        for document in &mut visited.outcome.documents {
            document.metadata.insert("rendered".to_owned(), true.into());
        }
        if let Some(notice) = scripts.notice {
            visited.log.push((LogLevel::Warn, notice.to_owned()));
        }
        if scripts.unsent > 0 {
            let line = format!(
                "The scripts of {} wanted to send something to their site ({} times), which is never done; what would have come of it is missing.",
                scripts.page, scripts.unsent
            );
            // Where text has come all the same, nobody misses much.
            let bare = |document: &NewDocument| document.markdown.len() < LITTLE_TEXT;
            if visited.outcome.documents.iter().all(bare) {
                visited.outcome.warnings.push(line);
            } else {
                visited.log.push((LogLevel::Info, line));
            }
        }
        if scripts.busy {
            visited.outcome.warnings.push(format!(
                "The scripts of {} were still busy after {} s; what the page showed by then is kept.",
                scripts.page,
                self.frontier.page_timeout.as_secs()
            ));
        }
        let targets = scripts.led_to.iter().map(normalise);
        let targets = targets.filter(|url| followed && self.frontier.admits(url));
        visited.outcome.children.extend(targets.map(|url| self.frontier.task(&url, None)));
    }
}

fn failed(page: Option<&Url>, error: &BrowserError) -> TaskError {
    let retry = if error.is_transient() { Retry::Backoff } else { Retry::Never };
    let message = match (page, error) {
        (None, _)
        | (_, BrowserError::None | BrowserError::NotThere(_) | BrowserError::Start { .. }) => {
            error.to_string()
        }
        (Some(page), _) => format!("{page} cannot be shown: {error}."),
    };
    TaskError { code: error.code().into(), message, retry }
}
