//! Searching and reading what was collected.

use quaero_contract::{ApiError, DocumentId, DocumentView, SearchRequest, SearchResults};

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
        let mut results = self.core.store.search(&request).await.map_err(error::store)?;
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
            let Rendered { html, truncated } = render::render(&view.markdown);
            DocumentView { html, truncated, ..view }
        })
        .await
    }
}
