//! Documents: search, read, open the source.

use std::path::Path;

use quaero_contract::{
    ApiError, DocumentId, DocumentView, ErrorCode, SearchRequest, SearchResults,
};
use tauri::{AppHandle, State, Url};
use tauri_plugin_opener::OpenerExt;

use crate::host::{self, Host};

/// Searches the documents; an empty query lists the newest.
#[tauri::command]
#[specta::specta]
pub(crate) async fn search_documents(
    host: State<'_, Host>,
    request: SearchRequest,
) -> Result<SearchResults, ApiError> {
    host.app().await?.search(request).await
}

/// One document with its content.
#[tauri::command]
#[specta::specta]
pub(crate) async fn get_document(
    host: State<'_, Host>,
    id: DocumentId,
) -> Result<DocumentView, ApiError> {
    host.app().await?.get_document(id).await
}

/// Opens a document's address in the browser, or shows its file in the file manager. The window
/// names a document and never an address or a path.
#[tauri::command]
#[specta::specta]
pub(crate) async fn open_source(
    app: AppHandle,
    host: State<'_, Host>,
    document_id: DocumentId,
) -> Result<(), ApiError> {
    let document = host.app().await?.get_document(document_id).await?;
    match source_of(&document)? {
        Source::Page(url) => app
            .opener()
            .open_url(url.as_str(), None::<&str>)
            .map_err(|error| cannot_open(url.as_str(), &error)),
        Source::File(path) => {
            host::blocking(move || {
                app.opener()
                    .reveal_item_in_dir(&path)
                    .map_err(|error| cannot_open(path.display(), &error))
            })
            .await
        }
    }
}

/// Opens a link of a document in the browser. The document must have that link.
#[tauri::command]
#[specta::specta]
pub(crate) async fn open_link(
    app: AppHandle,
    host: State<'_, Host>,
    document_id: DocumentId,
    href: String,
) -> Result<(), ApiError> {
    let url = host.app().await?.document_link(document_id, &href).await?;
    app.opener()
        .open_url(url.as_str(), None::<&str>)
        .map_err(|error| cannot_open(url.as_str(), &error))
}

/// The collected page with this address, if there is one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn find_document(
    host: State<'_, Host>,
    address: String,
) -> Result<Option<DocumentId>, ApiError> {
    host.app().await?.find_document(&address).await
}

/// Where a document comes from, checked.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// An `http` or `https` address.
    Page(Url),
    /// An absolute path of a file that exists.
    File(std::path::PathBuf),
}

/// Crawled addresses are text from outside, and an opener starts whatever program the scheme
/// belongs to. So only web addresses are opened, and files are only shown.
fn source_of(document: &DocumentView) -> Result<Source, ApiError> {
    if document.source_type == "file" {
        let path = Path::new(&document.source_id);
        if !path.is_absolute() {
            return Err(refused(&document.source_id, "is not an absolute path"));
        }
        if !path.exists() {
            return Err(ApiError::new(
                ErrorCode::NotFound,
                format!("{} does not exist any more.", path.display()),
            )
            .with_hint("The document itself is still in Quaero."));
        }
        return Ok(Source::File(path.to_owned()));
    }
    let address = document.url.as_deref().unwrap_or(&document.source_id);
    let url = Url::parse(address)
        .map_err(|error| refused(address, &format!("is not an address: {error}")))?;
    match url.scheme() {
        "http" | "https" if url.username().is_empty() && url.password().is_none() => {
            Ok(Source::Page(url))
        }
        "http" | "https" => Err(refused(address, "carries a user name or password")),
        scheme => Err(refused(
            address,
            &format!("has the scheme {scheme}; only http and https are opened"),
        )),
    }
}

fn refused(source: &str, reason: &str) -> ApiError {
    ApiError::new(ErrorCode::Invalid, format!("{source} was not opened: it {reason}."))
}

fn cannot_open(what: impl std::fmt::Display, error: &tauri_plugin_opener::Error) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("{what} could not be opened: {error}."))
        .with_hint("Check that a web browser and a file manager are installed.")
}

#[cfg(test)]
mod tests {
    use quaero_contract::JobId;

    use super::*;

    fn document(source_type: &str, source_id: &str) -> DocumentView {
        DocumentView {
            id: DocumentId(1),
            title: "A page".into(),
            source_type: source_type.into(),
            source_id: source_id.into(),
            url: None,
            tags: Vec::new(),
            run_id: JobId(1),
            fetched: String::new(),
            last_synced: String::new(),
            gone: None,
            markdown: String::new(),
            html: String::new(),
            truncated: false,
            metadata: serde_json::Value::Null,
        }
    }

    #[test]
    fn only_web_addresses_reach_the_browser() {
        for address in ["https://example.org/a?b#c", "http://127.0.0.1:8080/"] {
            let source = source_of(&document("web", address)).expect(address);
            assert_eq!(source, Source::Page(address.parse().expect("a valid address")));
        }
        for address in [
            "file:///etc/passwd",
            "smb://host/share",
            "javascript:alert(1)",
            "data:text/html,hi",
            "mailto:someone@example.org",
            "https://user:secret@example.org/",
            "/etc/passwd",
            "",
        ] {
            let error = source_of(&document("web", address)).expect_err(address);
            assert_eq!(error.code, ErrorCode::Invalid, "{address}: {error}");
        }
    }

    #[test]
    fn only_files_that_exist_are_shown() {
        let here = std::env::current_exe().expect("a test is a file");
        let text = here.to_str().expect("the path is text");
        assert_eq!(source_of(&document("file", text)), Ok(Source::File(here.clone())));
        let codes = ["/no/such/file", "relative/path"]
            .map(|path| source_of(&document("file", path)).expect_err(path).code);
        assert_eq!(codes, [ErrorCode::NotFound, ErrorCode::Invalid]);
    }
}
