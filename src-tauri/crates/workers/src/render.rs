//! The one place where untrusted Markdown becomes HTML.
//!
//! Three stages, each of which distrusts the one before: pulldown-cmark turns Markdown into HTML;
//! [`flatten`] writes that HTML anew as a balanced stream of a few allowed elements with bounded
//! depth; ammonia sanitises the result. The middle stage exists because HTML tree builders, and so
//! ammonia, need quadratic time on deep nesting, and because nothing may be loaded from the network
//! while a document is read: an image becomes a link.
//!
//! The result has no element that runs, loads, submits or frames anything, no ids and no styles;
//! links are absolute http or https addresses.

mod flatten;

use std::{collections::HashMap, sync::LazyLock};

use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{Event, Options, Parser, html};

/// Longest Markdown that is rendered, in bytes. The rest is left out, from the start of a block.
pub const MAX_MARKDOWN: usize = 2 * 1024 * 1024;
/// HTML after which no further block is rendered, in bytes. Markdown can grow 13-fold.
pub const MAX_HTML: usize = 8 * 1024 * 1024;

/// Markdown as HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Safe to put into the window as it is.
    pub html: String,
    /// Whether the end was left out because the text is very long.
    pub truncated: bool,
}

/// Renders untrusted Markdown. Takes time in proportion to the text; call it off the async threads.
#[must_use]
pub fn render(markdown: &str) -> Rendered {
    let (text, cut) = within(markdown, MAX_MARKDOWN);
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;

    let mut flat = flatten::Flattener::new(MAX_HTML);
    let mut block = Vec::new();
    let mut depth = 0_usize;
    let mut blocks = 0_usize;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match &event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        block.push(event);
        if depth > 0 {
            continue;
        }
        // The last block of a text that was cut is probably incomplete.
        let incomplete = cut && range.end >= text.trim_end().len();
        if incomplete && blocks > 0 {
            break;
        }
        let mut raw = String::new();
        html::push_html(&mut raw, block.drain(..));
        flat.feed(raw);
        blocks += 1;
        if flat.is_full() {
            break;
        }
    }
    let truncated = cut || flat.is_full();
    Rendered { html: SANITISER.clean(&flat.finish()).to_string(), truncated }
}

/// The text without characters that cannot be seen but change how the rest is read: direction
/// overrides, zero-width spaces, tags, controls. For titles and other one-line text.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().filter(|c| !is_deceptive(*c)).collect()
}

/// Joiners (U+200C, U+200D) and direction marks stay: Persian, Indic scripts and emoji need them,
/// and they reorder nothing beyond their neighbours.
const fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{180e}' | '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// The start of `text` within `max` bytes, and whether something was left out.
fn within(text: &str, max: usize) -> (&str, bool) {
    if text.len() <= max {
        return (text, false);
    }
    (&text[..text.floor_char_boundary(max)], true)
}

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder
        .tags(flatten::ELEMENTS.iter().copied().collect())
        .tag_attributes(HashMap::from([
            ("a", ["href", "title"].into()),
            ("code", ["class"].into()),
            ("ol", ["start"].into()),
            ("td", ["align", "colspan", "rowspan"].into()),
            ("th", ["align", "colspan", "rowspan"].into()),
        ]))
        .clean_content_tags(["script", "style"].into())
        .url_schemes(["http", "https"].into())
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .attribute_filter(|_, attribute, value| match attribute {
            "class" => flatten::is_language_class(value).then(|| value.into()),
            _ => Some(value.into()),
        });
    builder
});

#[cfg(test)]
mod tests;
