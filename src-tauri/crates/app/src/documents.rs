//! Searching and reading what was collected.

use quaero_contract::{
    ApiError, DocumentId, DocumentView, ErrorCode, SearchRequest, SearchResults,
};
use url::Url;

use crate::{
    App, blocking, error,
    render::{self, Rendered},
};

impl App {
    /// Searches the documents. There are no wrong queries.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn search(&self, request: SearchRequest) -> Result<SearchResults, ApiError> {
        let mut results = self
            .core
            .store
            .search(&request, self.core.clock.now_ms())
            .await
            .map_err(error::store)?;
        for hit in &mut results.hits {
            hit.title = render::visible(&hit.title);
            for part in &mut hit.snippet {
                part.text = render::visible(&part.text);
            }
        }
        Ok(results)
    }

    /// A document, with its content as Markdown and as safe HTML.
    ///
    /// # Errors
    /// `not_found`, or if the store fails.
    pub async fn get_document(&self, id: DocumentId) -> Result<DocumentView, ApiError> {
        let view = self.core.store.get_document(id).await.map_err(error::store)?;
        let mut view = view.ok_or_else(|| error::no_document(id))?;
        view.title = render::visible(&view.title);
        let _permit = self.core.renderers.acquire().await.expect("the semaphore is never closed");
        blocking(move || {
            let Rendered { html, truncated } =
                render::render(without_title(&view.markdown, &view.title));
            DocumentView { html, truncated, ..view }
        })
        .await
    }

    /// The collected page with this address, if there is one. What stands behind `#` does not count.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find_document(&self, address: &str) -> Result<Option<DocumentId>, ApiError> {
        let Ok(url) = Url::parse(address) else { return Ok(None) };
        let url = quaero_net::normalise(&url);
        let found = self.core.store.document_state("web", url.as_str()).await;
        Ok(found.map_err(error::store)?.map(|state| state.id))
    }

    /// The address behind a link of a document, if the document has that link.
    ///
    /// # Errors
    /// `not_found` if there is no such document, or no such link in it.
    pub async fn document_link(&self, id: DocumentId, href: &str) -> Result<Url, ApiError> {
        let view = self.get_document(id).await?;
        // Only links with http or https pass rendering; what is looked for is the attribute itself.
        let attribute = format!("href=\"{}\"", href.replace('&', "&amp;").replace('"', "&quot;"));
        let url = Url::parse(href).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.filter(|_| view.html.contains(&attribute)).ok_or_else(|| {
            ApiError::new(ErrorCode::NotFound, format!("The document has no link to {href}."))
        })
    }
}

/// The Markdown without its first heading, if that only says the title again: the title stands above
/// the text already.
fn without_title<'a>(markdown: &'a str, title: &str) -> &'a str {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (first, rest) = markdown.trim_start().split_once('\n').unwrap_or((markdown, ""));
    let says_it_again = first.starts_with('#') && letters(first) == letters(title);
    if says_it_again { rest } else { markdown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_not_shown_twice() {
        let check =
            |markdown, expected| assert_eq!(without_title(markdown, "The `json` module"), expected);
        check("# The *json* module\n\nText", "\nText");
        check("\n## The json module\nText", "Text");
        check("# The json module", "");
        check("# Another\n\nText", "# Another\n\nText");
        check("The json module\n\nText", "The json module\n\nText");
    }
}
