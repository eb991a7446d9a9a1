//! From bytes of the outside world to a document: title, Markdown, metadata, links.
//!
//! One function per kind of input: [`page`] for HTML, [`text`] for files of text, [`pdf`] for PDF.
//! All of it is untrusted. Input is bounded before a parser sees it, the parsers' panics end here,
//! and PDF, whose parsers can exhaust the stack, is read in a process of its own.
//!
//! Invariant: nothing here touches the network, the store or the clock.

mod blocks;
mod choose;
mod clean;
#[cfg(test)]
mod commonmark_tests;
mod inline;
mod json_ld;
mod markdown;
#[cfg(test)]
mod markdown_tests;
mod navigation;
mod pdf;
mod scan;
mod terms;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Map, Value};
use url::Url;

pub use pdf::{PdfExtractor, PdfText, pdf_bytes_to_text, pdf_child_main};
pub use text::{Format, TextFile, format_of, looks_binary, looks_like_html, text};

use choose::main_content;
use scan::Scan;

/// Counts up when the same bytes give other Markdown than before, so that sources which have not
/// changed are read again.
pub const VERSION: u32 = 3;

/// What tells a later run that a source with these bytes, saved with these tags, is known: blake3
/// in hex, of the bytes, the tags and [`VERSION`].
#[must_use]
pub fn source_hash(bytes: &[u8], tags: &[String]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&VERSION.to_le_bytes());
    for tag in tags {
        hasher.update(tag.as_bytes()).update(&[0]);
    }
    hasher.update(&[0]).update(bytes);
    hasher.finalize().to_hex().to_string()
}

/// What is needed of an HTML page.
#[derive(Clone, Debug)]
pub struct Page {
    /// One line, possibly empty.
    pub title: String,
    /// The main content.
    pub markdown: String,
    /// `author`, `description`, `published`, `modified`, `language`, `site_name`, `canonical`,
    /// `robots`, `page_type`: what the page tells of itself, as text.
    pub metadata: Map<String, Value>,
    /// Where it leads: each address once, absolute, without fragments, not the page itself.
    pub links: Vec<Link>,
    /// The address it gives as its own (http or https), if any.
    pub canonical: Option<Url>,
    /// It asks not to be kept.
    pub noindex: bool,
    /// It asks that its links are not followed.
    pub nofollow: bool,
}

/// A link of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The absolute address.
    pub url: Url,
    /// What the reader clicks on: one line, at most 200 characters, possibly empty.
    pub text: String,
    /// `rel=nofollow` on every link to this address.
    pub nofollow: bool,
}

/// How much of a page becomes Markdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageMode {
    /// The main content, without navigation and the like.
    #[default]
    Main,
    /// Everything in the body.
    Full,
}

/// How a page becomes Markdown.
#[derive(Clone, Copy, Debug)]
pub struct PageOptions {
    /// How much of it.
    pub mode: PageMode,
    /// Links stay links; otherwise only their text stays.
    pub keep_links: bool,
    /// Images stay as links with their description. They are never loaded.
    pub keep_images: bool,
}

impl Default for PageOptions {
    fn default() -> Self {
        Self { mode: PageMode::Main, keep_links: true, keep_images: true }
    }
}

/// Why nothing could be extracted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtractError {
    /// The bytes are not text.
    #[error("this is not text")]
    Binary,
    /// A parser needed more memory, time or depth than it is given.
    #[error("the parser reached its limit: {0}")]
    Limit(String),
    /// The input is damaged or locked.
    #[error("it cannot be read: {0}")]
    Damaged(String),
    /// The process that reads PDF could not be run.
    #[error("the PDF reader could not be started: {0}")]
    Unavailable(String),
}

impl ExtractError {
    /// A stable word for it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Binary => "not_text",
            Self::Limit(_) => "parser_limit",
            Self::Damaged(_) => "damaged",
            Self::Unavailable(_) => "pdf_reader_unavailable",
        }
    }
}

/// The main content of an HTML page as Markdown, with its metadata and links.
///
/// Takes time proportional to the input; at most 10 MiB are read. Runs on the calling thread for
/// some milliseconds per 100 KB.
///
/// # Errors
/// [`ExtractError::Binary`] if the text is none. A page without content is no error.
pub fn page(html: &str, url: &Url) -> Result<Page, ExtractError> {
    page_with(html, url, &PageOptions::default())
}

/// As [`page`], with other options.
///
/// # Errors
/// As [`page`].
pub fn page_with(html: &str, url: &Url, options: &PageOptions) -> Result<Page, ExtractError> {
    if looks_binary(html.as_bytes()) {
        return Err(ExtractError::Binary);
    }
    let scan = Scan::new(html, url);
    let canonical = scan.canonical.clone().filter(|url| matches!(url.scheme(), "http" | "https"));
    let found = match options.mode {
        PageMode::Main => main_content(&scan, url),
        PageMode::Full => Found::default(),
    };
    let base = scan.base.as_ref().unwrap_or(url);
    let convert = |html: &str| {
        // Cells that claim to span a hundred others become more.
        let most = MAX_GROWTH * html.len() + FIRST_MARKDOWN;
        let markdown = guarded(|| markdown::from_html(html, base, &scan.images, options, most))?;
        let plausible = markdown.len() <= most && (!markdown.is_empty() || scan.visible == 0);
        plausible.then_some(markdown)
    };
    let plain = || text::paragraphs(&text::without_tags(&scan.html));
    let whole = || match options.mode {
        PageMode::Main => convert(&navigation::without(&scan.html)),
        PageMode::Full => convert(&scan.html),
    };
    let mut markdown = if scan.elements > TREE_ELEMENTS {
        plain()
    } else {
        found
            .html
            .as_deref()
            .and_then(convert)
            .or_else(|| found.text.as_deref().map(text::paragraphs))
            .or_else(whole)
            .unwrap_or_else(plain)
    };
    let metadata = metadata(&scan, &found, canonical.as_ref());
    if markdown.is_empty()
        && let Some(Value::String(description)) = metadata.get("description")
    {
        // A page that scripts would fill says at least this much.
        markdown = text::paragraphs(description);
    }
    let robots =
        scan.meta.get("robots").map(|value| value.to_ascii_lowercase()).unwrap_or_default();
    let says =
        |word: &str| robots.split([',', ' ', ';']).any(|part| part == word || part == "none");
    Ok(Page {
        title: title(&scan, url),
        markdown,
        metadata,
        noindex: says("noindex"),
        nofollow: says("nofollow"),
        links: scan.links,
        canonical,
    })
}

/// What the content finders give.
#[derive(Debug, Default)]
struct Found {
    html: Option<String>,
    /// Only when there is no HTML.
    text: Option<String>,
    author: Option<String>,
    published: Option<String>,
    page_type: Option<String>,
}

/// Elements beyond which only the text of a page is taken.
const TREE_ELEMENTS: usize = 200_000;
/// Bytes of Markdown for each byte of HTML, beyond the first ones. Long addresses make some.
const MAX_GROWTH: usize = 8;
const FIRST_MARKDOWN: usize = 64 * 1024;
/// Runs a foreign parser: its panic is a missing result, not the end of the program.
fn guarded<T>(parse: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(parse)).ok()
}

/// The page's own name: its heading where the browser title is that plus the site's name, else the
/// title without the site's name.
fn title(scan: &Scan, url: &Url) -> String {
    let heading = &scan.heading;
    let og = scan.meta.get("og:title").map(String::as_str).unwrap_or_default();
    if !heading.is_empty()
        && (scan.title.starts_with(heading) || scan.title.is_empty() && og.is_empty())
    {
        return heading.clone();
    }
    let title = if scan.title.is_empty() || !og.is_empty() && scan.title.starts_with(og) {
        og
    } else {
        &scan.title
    };
    let site = scan.meta.get("og:site_name").map(String::as_str).unwrap_or_default();
    let last = [" | ", " - ", " – ", " — ", " · "]
        .into_iter()
        .filter_map(|mark| title.rsplit_once(mark))
        .min_by_key(|(_, name)| name.len());
    match last {
        // The front page has no other name.
        Some((own, name)) if url.path() != "/" && is_site(name, site, url) => own.trim().to_owned(),
        _ => title.to_owned(),
    }
}

/// Whether a name is that of the site: it says so, or its address does.
fn is_site(name: &str, site: &str, url: &Url) -> bool {
    let letters = |text: &str| -> String {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let (name, site) = (letters(name), letters(site));
    let labels = || url.host_str().unwrap_or_default().split('.');
    let is_label = |label: &str| {
        let label = letters(label);
        label.len() > 3 && (name.contains(&label) || name.len() > 3 && label.contains(&name))
    };
    name == site || letters(url.host_str().unwrap_or_default()) == name || labels().any(is_label)
}

/// What the page says in its head counts before what it tells search engines, and that before what
/// the content finders read out of it.
fn metadata(scan: &Scan, found: &Found, canonical: Option<&Url>) -> Map<String, Value> {
    let told = json_ld::Told::read(&scan.json_ld);
    // The times on such pages are those of other pages.
    let is_list = matches!(found.page_type.as_deref(), Some("listing" | "collection"));
    let first = |names: &[&str]| names.iter().find_map(|name| scan.meta.get(*name)).cloned();
    let language = Some(scan.language.trim().to_owned())
        .filter(|language| !language.is_empty())
        .or_else(|| first(&["content-language", "og:locale", "dc.language"]))
        .or_else(|| told.text("inLanguage"));
    [
        (
            "author",
            first(&["author", "dc.creator", "parsely-author", "citation_author"])
                .or_else(|| told.text("author"))
                .or_else(|| found.author.clone()),
        ),
        (
            "description",
            first(&["description", "og:description", "dc.description", "twitter:description"])
                .or_else(|| told.text("description")),
        ),
        (
            "published",
            first(&PUBLISHED)
                .or_else(|| told.text("datePublished"))
                .or_else(|| found.published.clone())
                .or_else(|| first(&["<time>"]).filter(|_| !is_list)),
        ),
        ("modified", first(&MODIFIED).or_else(|| told.text("dateModified"))),
        ("language", language),
        ("site_name", first(&["og:site_name", "application-name"])),
        ("canonical", canonical.map(Url::to_string)),
        ("robots", first(&["robots"])),
        ("page_type", found.page_type.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| {
        let value = clean::line(&value?);
        (!value.is_empty())
            .then(|| (key.to_owned(), Value::String(text::cut(&value, 2000).to_owned())))
    })
    .collect()
}

/// Names of metadata that say when a page was published, and when it was last changed.
const PUBLISHED: [&str; 9] = [
    "article:published_time",
    "datepublished",
    "date",
    "dc.date",
    "dc.date.issued",
    "dcterms.created",
    "citation_publication_date",
    "parsely-pub-date",
    "pubdate",
];
const MODIFIED: [&str; 5] = [
    "article:modified_time",
    "datemodified",
    "dcterms.modified",
    "og:updated_time",
    "last-modified",
];
