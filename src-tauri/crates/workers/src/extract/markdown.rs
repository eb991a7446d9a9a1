//! HTML of a page's content to Markdown.

use std::borrow::Cow;

use html_to_markdown_rs::{
    CodeBlockStyle, ConversionOptions, HeadingStyle, HiddenContent, InlineDataMedia,
    PreprocessingOptions,
};
use url::Url;

use super::{
    PageOptions, clean, definitions,
    scan::{IMAGE_END, IMAGE_START, Image},
};

/// Markdown of `html`, a part of the page of `scan`, whose relative addresses belong to `base`.
/// None if the converter gave up.
pub(super) fn from_html(
    html: &str,
    base: &Url,
    images: &[Image],
    options: &PageOptions,
) -> Option<String> {
    let settings = ConversionOptions {
        heading_style: HeadingStyle::Atx,
        bullets: "-".to_owned(),
        escape_asterisks: true,
        escape_underscores: true,
        escape_misc: true,
        code_block_style: CodeBlockStyle::Backticks,
        compact_tables: true,
        extract_metadata: false,
        autolinks: true,
        expand_abbreviations: false,
        br_in_tables: true,
        hidden_content: HiddenContent::Reachable,
        inline_data_media: InlineDataMedia::AltTextOnly,
        // Marks stand for them.
        skip_images: true,
        preprocessing: PreprocessingOptions { enabled: false, ..PreprocessingOptions::default() },
        base_url: Some(base.to_string()),
        strip_tags: if options.keep_links { Vec::new() } else { vec!["a".to_owned()] },
        ..ConversionOptions::default()
    };
    let converted =
        html_to_markdown_rs::convert(&captions_first(&definitions::to_lists(html)), settings)
            .ok()?
            .content?;
    let images = if options.keep_images { images } else { &[] };
    Some(tidy(&with_images(&converted, images)))
}

/// Moves the caption of each table in front of it, as a paragraph; the converter makes it emphasised
/// text with escaped escapes.
fn captions_first(html: &str) -> Cow<'_, str> {
    const BEFORE: usize = 400;
    let mut pieces = html.split("<caption");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    if out.len() == html.len() {
        return Cow::Borrowed(html);
    }
    for piece in pieces {
        let (caption, rest) = piece.split_once("</caption>").unwrap_or((piece, ""));
        let words: Vec<&str> = caption
            .split('<')
            .filter_map(|part| part.split_once('>'))
            .flat_map(|(_, text)| text.split_whitespace())
            .collect();
        let near = (out.len().saturating_sub(BEFORE)..out.len())
            .find(|at| out.is_char_boundary(*at))
            .unwrap_or(0);
        let at = out[near..].rfind("<table").map_or(out.len(), |offset| near + offset);
        if !words.is_empty() {
            out.insert_str(at, &format!("<p><strong>{}</strong></p>", words.join(" ")));
        }
        out.push_str(rest);
    }
    Cow::Owned(out)
}

/// Puts the images where their marks are.
fn with_images<'a>(markdown: &'a str, images: &[Image]) -> Cow<'a, str> {
    if !markdown.contains(IMAGE_START) {
        return Cow::Borrowed(markdown);
    }
    let mut pieces = markdown.split(IMAGE_START);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (number, text) = piece.split_once(IMAGE_END).unwrap_or(("", piece));
        if let Some(image) = number.parse().ok().and_then(|number: usize| images.get(number)) {
            out.push_str("![");
            for c in image.description.chars() {
                if matches!(c, '[' | ']' | '\\' | '|' | '`' | '*' | '<') {
                    out.push('\\');
                }
                out.push(c);
            }
            let url = image.url.as_str().replace('(', "%28").replace(')', "%29");
            out.push_str("](");
            out.push_str(&url);
            out.push(')');
        }
        out.push_str(text);
    }
    Cow::Owned(out)
}

/// Without invisible characters, trailing space, runs of empty lines and escapes that nothing
/// needs. What stands in code blocks stays.
pub(super) fn tidy(markdown: &str) -> String {
    let markdown = clean::visible(markdown);
    let mut out = String::with_capacity(markdown.len());
    let mut fence: Option<&str> = None;
    let mut gap = false;
    let mut hard_break = false;
    let mut quoted = false;
    for line in markdown.lines() {
        // A block may stand in a quotation or begin a list item.
        let quote = line.trim_start_matches([' ', '>']);
        let trimmed = if fence.is_some() { quote } else { item(quote) };
        let ticks = trimmed.len() - trimmed.trim_start_matches('`').len();
        if let Some(mark) = fence {
            out.push('\n');
            out.push_str(line.trim_end());
            if trimmed.trim_end() == mark {
                fence = None;
                gap = true;
            }
            continue;
        }
        if line.trim().is_empty() {
            gap = true;
            continue;
        }
        let opens = ticks >= 3;
        if hard_break && !gap && !opens {
            out.push_str("  ");
        }
        hard_break = false;
        if !out.is_empty() {
            // A code block or a quotation needs no empty line before it, but people do.
            let apart =
                opens && line.trim_start().starts_with('`') || line.starts_with('>') && !quoted;
            out.push_str(if gap || apart { "\n\n" } else { "\n" });
        }
        gap = false;
        quoted = line.starts_with('>');
        if opens {
            fence = Some(&trimmed[..ticks]);
            out.push_str(line.trim_end());
        } else {
            unescape(&mut out, line.trim_end());
            hard_break = line.ends_with("  ");
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// What follows the mark of a list item.
fn item(line: &str) -> &str {
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest =
        if digits.len() < line.len() { digits.strip_prefix(". ") } else { line.strip_prefix("- ") };
    rest.map_or(line, str::trim_start)
}

/// Writes a line of Markdown without the escapes that change nothing: `3\.9`, `well\-known`,
/// `snake\_case`. The converter escapes every mark, wherever it stands.
fn unescape(out: &mut String, line: &str) {
    if !line.contains('\\') {
        out.push_str(line);
        return;
    }
    let bytes = line.as_bytes();
    let indent = line.len() - line.trim_start_matches([' ', '>', '-']).len();
    let mut at = 0;
    let mut copied = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'`' => {
                let run = bytes[at..].iter().take_while(|b| **b == b'`').count();
                let ticks = &line[at..at + run];
                at += run;
                // A code span keeps its backslashes; without an end the marks are text.
                if let Some(length) = line[at..].find(ticks) {
                    at += length + run;
                }
            }
            b'\\' if at + 1 < bytes.len() && bytes[at + 1].is_ascii_punctuation() => {
                if !needs_escape(line, indent, at) {
                    out.push_str(&line[copied..at]);
                    copied = at + 1;
                }
                at += 2;
            }
            _ => at += 1,
        }
    }
    out.push_str(&line[copied..]);
}

/// Whether the mark after the backslash at `at` would be markup without it. What does not depend on
/// how far the line goes on is decided without looking, so that a long line takes no longer for it.
fn needs_escape(line: &str, indent: usize, at: usize) -> bool {
    const NEAR: usize = 64;
    let before = &line[..at];
    let after = &line[at + 2..];
    let mark = line.as_bytes()[at + 1];
    let start = &line[indent.min(at)..at];
    let first = start.is_empty();
    let ends_mark = after.is_empty() || after.starts_with(' ');
    let rule = || line.bytes().all(|b| b == mark || matches!(b, b' ' | b'\\' | b'>'));
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    match mark {
        b'-' | b'+' => first && (ends_mark || rule()),
        b'=' => first && rule(),
        b'>' => first,
        b'~' => after.starts_with(['~', '\\']) || before.ends_with('~') || first,
        b'#' => first || after.len() <= NEAR && after.trim_matches(['#', '\\']).is_empty(),
        b'.' | b')' => {
            let number = !first && start.len() <= NEAR && start.bytes().all(|b| b.is_ascii_digit());
            ends_mark && number
        }
        b'_' => !(word(before.chars().next_back()) && word(after.chars().next())),
        b'!' => after.starts_with('['),
        b'&' => after.chars().take(32).any(|c| c == ';'),
        b'<' => {
            after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
        }
        b'\\' => after.is_empty() || after.starts_with(|c: char| c.is_ascii_punctuation()),
        b'*' | b'[' | b']' | b'`' | b'|' => true,
        _ => false,
    }
}
