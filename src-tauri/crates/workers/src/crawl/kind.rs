//! What kind of thing an answer is: its header's word, checked against its bytes.

use crate::extract::{Format, format_of, looks_binary};

/// Endings of addresses behind which there is never a page: they are not fetched at all.
const OTHER_FILES: &str = " 7z aac apk avi avif bin bmp bz2 css csv dmg doc docx eot epub exe flac gif gz ico iso jar jpeg jpg js json map mjs mkv mov mp3 mp4 mpeg mpg msi odp ods odt ogg ogv otf png ppt pptx rar rpm svg tar tgz tif tiff ttf wasm wav webm webp whl woff woff2 xls xlsx xz zip zst ";

/// Whether a path's ending says that there is no page, text or PDF behind it.
pub(super) fn is_file_of_another_kind(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((_, ending)) = name.rsplit_once('.') else { return false };
    !ending.is_empty()
        && ending.len() <= 5
        && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && OTHER_FILES.contains(&format!(" {} ", ending.to_ascii_lowercase()))
}

/// What a `Content-Type` header promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// One of the formats that can be read.
    Format(Format),
    /// Anything: the bytes decide.
    Unknown,
    /// Something that is not read.
    Other,
}

/// What a `Content-Type` header promises.
pub(super) fn promised(content_type: Option<&str>) -> Promise {
    let word = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match word.as_str() {
        "text/html" | "application/xhtml+xml" => Promise::Format(Format::Html),
        "text/plain" => Promise::Format(Format::Text),
        "text/markdown" | "text/x-markdown" => Promise::Format(Format::Markdown),
        "application/pdf" | "application/x-pdf" => Promise::Format(Format::Pdf),
        ""
        | "application/octet-stream"
        | "binary/octet-stream"
        | "application/xml"
        | "text/xml"
        | "application/rss+xml"
        | "application/atom+xml"
        | "application/rdf+xml"
        | "application/feed+json" => Promise::Unknown,
        _ => Promise::Other,
    }
}

/// The format of a body, or None if it is none that can be read.
pub(super) fn format(content_type: Option<&str>, path: &str, body: &[u8]) -> Option<Format> {
    let promise = promised(content_type);
    // Some servers put a line break before the file.
    let start = &body[..body.len().min(1024)];
    if start.trim_ascii_start().starts_with(b"%PDF-") {
        return Some(Format::Pdf);
    }
    let wide = content_type.is_some_and(|header| header.to_ascii_lowercase().contains("utf-16"));
    if looks_binary(body) && !wide {
        return None;
    }
    let by_name = match format_of(path.rsplit('/').next().unwrap_or_default()) {
        Some(Format::Markdown) => Some(Format::Markdown),
        Some(Format::Text) => Some(Format::Text),
        _ => None,
    };
    match promise {
        Promise::Format(Format::Text) => Some(by_name.unwrap_or(Format::Text)),
        // A PDF that does not begin like one.
        Promise::Format(Format::Pdf) => None,
        Promise::Format(format) => Some(format),
        Promise::Unknown if looks_like_html(start) => Some(Format::Html),
        Promise::Unknown if content_type.is_none() => Some(by_name.unwrap_or(Format::Text)),
        Promise::Unknown => by_name,
        Promise::Other => None,
    }
}

fn looks_like_html(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('<')
        && ["<!doctype html", "<html", "<head", "<body", "<title"]
            .iter()
            .any(|tag| text.contains(tag))
}
