//! One linear pass over HTML before any real parser sees it.
//!
//! It does three things at once. It reads what can be read without a tree: links, head, size. It
//! drops what is never content: scripts, styles, drawings, comments, permalink marks. And it makes
//! the rest harmless: the parsers behind it need quadratic time or a deep stack on input with
//! extreme nesting, attributes or unclosed formatting, so those never reach them.
//!
//! It is not an HTML parser. It agrees with one on where a tag begins and ends; where it guesses
//! at the tree, it may only guess that something is deeper than it is.

use std::{collections::HashMap, ops::Range};

use url::Url;

use super::{Link, clean};

/// Bytes of HTML that are looked at; what follows is cut.
pub(super) const MAX_HTML: usize = 10 * 1024 * 1024;
/// Elements below this depth lose their tags and keep their text.
const MAX_DEPTH: usize = 512;
/// Attributes of one element that are kept.
const MAX_ATTRIBUTES: usize = 64;
/// Formatting elements open at the same time: a parser repeats all of them in every new block.
const MAX_FORMATTING: u32 = 16;
/// Different addresses kept from one page.
const MAX_LINKS: usize = 10_000;
/// Bytes of one address.
const MAX_URL: usize = 2048;
/// Bytes of JSON-LD kept from one page.
const MAX_JSON_LD: usize = 256 * 1024;
/// Bytes of text that a `<noscript>` must hold to be content.
const MIN_NOSCRIPT: usize = 600;
/// Letters of a link's text.
const MAX_LINK_TEXT: usize = 200;

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The page without what is never content, safe for the parsers.
    pub(super) html: String,
    /// The addresses it links to, each once, without fragments.
    pub(super) links: Vec<Link>,
    /// `<title>`.
    pub(super) title: String,
    /// Text of the first `<h1>`.
    pub(super) heading: String,
    /// `<meta>` by lower-case name or property; the first of each counts.
    pub(super) meta: HashMap<String, String>,
    /// `<html lang>`.
    pub(super) language: String,
    /// `<link rel=canonical>`, resolved.
    pub(super) canonical: Option<Url>,
    /// JSON-LD blocks.
    pub(super) json_ld: Vec<String>,
    /// Bytes of text outside tags, without white space.
    pub(super) visible: usize,
    /// Where in `html` the element is that says it is the main one.
    pub(super) main: Option<Range<usize>>,
    /// Start tags.
    pub(super) elements: usize,
}

impl Scan {
    /// Reads `html`, whose relative addresses belong to `url`.
    pub(super) fn new(html: &str, url: &Url) -> Self {
        let cut = super::text::cut(html, MAX_HTML);
        let mut pass = Pass {
            html: cut,
            lower: cut.to_ascii_lowercase(),
            xml: cut.trim_start_matches('\u{feff}').trim_start().starts_with("<?xml"),
            base: url.clone(),
            page: without_fragment(url),
            out: Self { html: String::with_capacity(cut.len() + 64), ..Self::default() },
            open: Vec::new(),
            beyond: Vec::new(),
            formatting: HashMap::new(),
            skip: None,
            link: None,
            heading: None,
            seen: HashMap::new(),
            language: None,
            main: None,
            in_code: false,
            note: false,
        };
        pass.out.html.push_str("<!DOCTYPE html>");
        pass.run();
        pass.end_link();
        if let Some(heading) = pass.heading.take() {
            pass.out.heading = heading;
        }
        pass.out.title = clean::line(&clean::entities(&pass.out.title));
        pass.out.heading = clean::line(&clean::entities(&pass.out.heading));
        pass.out
    }
}

fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}

/// An element whose content is dropped, and how many of the same name are open inside it.
struct Skip<'a> {
    name: &'a str,
    depth: u32,
    /// Whether a block ends it: what a careless page forgets to close must not swallow the rest.
    until_block: bool,
}

/// A link whose text is being read.
struct OpenLink {
    url: Url,
    text: String,
    nofollow: bool,
}

/// The attributes of one start tag: raw values, entities not decoded.
struct Tag<'a> {
    attributes: Vec<(&'a str, &'a str)>,
    /// Up to which byte the tag may be copied.
    copy_end: usize,
    /// The byte after `>`.
    end: usize,
    complete: bool,
    self_closing: bool,
}

impl<'a> Tag<'a> {
    fn raw(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    fn get(&self, name: &str) -> Option<String> {
        self.raw(name).map(clean::entities)
    }

    fn has_token(&self, name: &str, wanted: &[&str]) -> bool {
        self.raw(name).is_some_and(|value| {
            value
                .split_ascii_whitespace()
                .any(|token| wanted.iter().any(|w| token.eq_ignore_ascii_case(w)))
        })
    }
}

struct Pass<'a> {
    html: &'a str,
    /// A copy for finding names without regard to case.
    lower: String,
    xml: bool,
    base: Url,
    page: Url,
    out: Scan,
    /// Open elements as far as they were written.
    open: Vec<&'a str>,
    /// Open elements below the depth limit, whose tags were not written.
    beyond: Vec<&'a str>,
    formatting: HashMap<&'a str, u32>,
    skip: Option<Skip<'a>>,
    link: Option<OpenLink>,
    heading: Option<String>,
    seen: HashMap<Url, usize>,
    /// The language of the code inside the element that was open at this depth.
    language: Option<(usize, String)>,
    /// The depth of the element that says it is the main one, and where it begins.
    main: Option<(usize, usize)>,
    /// Inside `<pre>`.
    in_code: bool,
    /// Inside the title of a note, a warning and the like.
    note: bool,
}

const VOID: &[&str] = &[
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];
/// Elements whose content is text up to their end tag, and which hold nothing to read.
const DROPPED_TEXT: &[&str] = &["style", "iframe", "noembed", "noframes", "textarea"];
/// Elements that are dropped with everything inside them.
const DROPPED_TREE: &[&str] =
    &["svg", "template", "annotation", "annotation-xml", "object", "canvas", "audio", "video"];
const FORMATTING: &[&str] =
    &["b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u"];
/// Marks that point to the heading beside them.
const PERMALINKS: &[&str] = &[
    "headerlink",
    "header-anchor",
    "heading-anchor",
    "anchorjs-link",
    "hash-link",
    "anchor",
    "permalink",
];
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
];

/// Start tags that close an open element: `(opened, closes, but not across)`.
const IMPLIED_ENDS: &[(&[&str], &[&str], &[&str])] = &[
    (&["li"], &["li"], &["ul", "ol", "menu"]),
    (&["dt", "dd"], &["dt", "dd"], &["dl"]),
    (&["option", "optgroup"], &["option"], &["select", "datalist"]),
    (&["td", "th"], &["td", "th"], &["tr", "table"]),
    (&["tr"], &["tr"], &["table"]),
    (&["tbody", "thead", "tfoot"], &["tbody", "thead", "tfoot"], &["table"]),
];

fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name)
}

impl<'a> Pass<'a> {
    fn run(&mut self) {
        let html = self.html;
        let bytes = html.as_bytes();
        let mut at = 0;
        while at < html.len() {
            let Some(offset) = html[at..].find('<') else {
                self.text(&html[at..]);
                break;
            };
            let start = at + offset;
            self.text(&html[at..start]);
            at = match bytes.get(start + 1) {
                Some(b'!') => self.declaration(start),
                Some(b'?') => self.find(start, ">").map_or(html.len(), |end| end + 1),
                Some(b'/') if bytes.get(start + 2).is_some_and(u8::is_ascii_alphabetic) => {
                    self.end_tag(start)
                }
                Some(b'/') => self.find(start, ">").map_or(html.len(), |end| end + 1),
                Some(byte) if byte.is_ascii_alphabetic() => self.start_tag(start),
                _ => {
                    self.text("&lt;");
                    start + 1
                }
            };
        }
    }

    fn find(&self, from: usize, what: &str) -> Option<usize> {
        self.lower[from..].find(what).map(|offset| from + offset)
    }

    /// Comments, doctypes and CDATA. Returns where to go on.
    fn declaration(&mut self, start: usize) -> usize {
        if self.html[start..].starts_with("<!--") {
            return self.find(start + 2, "-->").map_or(self.html.len(), |end| end + 3);
        }
        if self.xml && self.html[start..].starts_with("<![CDATA[") {
            let from = start + "<![CDATA[".len();
            let end = self.find(from, "]]>").unwrap_or(self.html.len());
            let text = escape(&self.html[from..end]);
            self.text(&text);
            return (end + 3).min(self.html.len());
        }
        self.find(start, ">").map_or(self.html.len(), |end| end + 1)
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() || self.skip.is_some() {
            return;
        }
        self.out.visible += text.bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
        self.out.html.push_str(text);
        if let Some(link) = &mut self.link
            && link.text.len() < 4 * MAX_LINK_TEXT
        {
            link.text.push_str(super::text::cut(text, 4 * MAX_LINK_TEXT));
        }
        if let Some(heading) = &mut self.heading
            && heading.len() < 2000
        {
            heading.push_str(super::text::cut(text, 2000));
        }
    }

    fn start_tag(&mut self, start: usize) -> usize {
        let Some(name_end) = self.name_end(start + 1) else { return self.html.len() };
        let tag = self.read_tag(name_end);
        if !tag.complete {
            return self.html.len();
        }
        self.out.elements += 1;
        let name = self.name(start + 1, name_end);
        if let Some(skip) = &mut self.skip {
            if skip.name == name {
                skip.depth += 1;
                return tag.end;
            }
            if !(skip.until_block && is_block(name)) {
                return self.raw_text_end(name, tag.end).unwrap_or(tag.end);
            }
            self.skip = None;
        }
        let closed = tag.self_closing && self.xml;
        if self.in_code && self.tag_in_code(name) {
            if matches!(name, "a" | "area") {
                self.begin_link(name, &tag);
            }
            return tag.end;
        }
        match name {
            "script" => return self.script(&tag),
            "title" => return self.title(&tag),
            "noscript" => return self.noscript(&tag),
            "xmp" | "plaintext" | "listing" => return self.preformatted(name, &tag),
            _ if DROPPED_TEXT.contains(&name) => {
                return if closed {
                    tag.end
                } else {
                    self.raw_text_end(name, tag.end).unwrap_or(tag.end)
                };
            }
            "math" => return self.math(&tag),
            _ if DROPPED_TREE.contains(&name) => {
                if !(tag.self_closing && (closed || name == "svg")) {
                    self.skip = Some(Skip { name, depth: 0, until_block: name != "template" });
                }
                return tag.end;
            }
            "a" if tag.has_token("class", PERMALINKS)
                && tag.raw("href").is_some_and(|href| href.starts_with('#')) =>
            {
                self.skip = Some(Skip { name, depth: 0, until_block: true });
                return tag.end;
            }
            // A heading that leads to itself or to the table of contents.
            "a" if self.in_heading() && tag.raw("href").is_some_and(|href| href.starts_with('#')) => return tag.end,
            "span" if let Some(end) = self.blank_span(tag.end) => return end,
            "meta" => self.meta(&tag),
            "html" => {
                self.out.language =
                    tag.get("lang").or_else(|| tag.get("xml:lang")).unwrap_or_default()
            }
            "base" => self.set_base(&tag),
            "link" => self.head_link(&tag),
            "a" | "area" => self.begin_link(name, &tag),
            "img" => self.image(&tag),
            "h1" if self.out.heading.is_empty() => self.heading = Some(String::new()),
            _ => {}
        }
        self.write_start(start, name, &tag, closed);
        tag.end
    }

    /// Writes a start tag and keeps count of what is open.
    fn write_start(&mut self, start: usize, name: &'a str, tag: &Tag<'a>, closed: bool) {
        if VOID.contains(&name) {
            self.copy_tag(start, tag);
            return;
        }
        self.close_implied(name);
        if self.open.len() >= MAX_DEPTH {
            self.beyond.push(name);
            self.space();
            return;
        }
        if FORMATTING.contains(&name) && !closed {
            if self.formatting.values().sum::<u32>() >= MAX_FORMATTING {
                return;
            }
            *self.formatting.entry(name).or_default() += 1;
        }
        let position = self.out.html.len();
        self.copy_tag(start, tag);
        if closed {
            self.out.html.push_str("</");
            self.out.html.push_str(name);
            self.out.html.push('>');
            return;
        }
        self.open.push(name);
        if self.main.is_none()
            && self.out.main.is_none()
            && (name == "main" || tag.has_token("role", &["main"]))
        {
            self.main = Some((self.open.len(), position));
        }
        self.note_language(name, tag);
        if name == "pre" {
            self.open_code(tag);
            self.in_code = true;
        } else if name == "p" && tag.has_token("class", &["admonition-title"]) {
            self.out.html.push_str("<strong>");
            self.note = true;
        }
    }

    /// A code block is text: its tags colour it or number its lines. Returns false if the tag shows
    /// that the block was never closed.
    fn tag_in_code(&mut self, name: &str) -> bool {
        match name {
            "br" => self.out.html.push('\n'),
            "div" | "p" | "li" | "tr" | "ol" | "ul" | "table" | "tbody" | "td" | "code" | "pre" => {
                if !self.out.html.ends_with(['\n', '>']) && name != "td" && name != "code" {
                    self.out.html.push('\n');
                }
            }
            _ if is_block(name) => {
                self.close_code();
                return false;
            }
            _ => {}
        }
        true
    }

    fn close_code(&mut self) {
        self.in_code = false;
        self.out.html.push_str("</code></pre>");
        if let Some(position) = self.open.iter().rposition(|open| *open == "pre") {
            self.open.truncate(position);
        }
        self.closed();
    }

    /// Keeps words apart where a tag is not written.
    fn space(&mut self) {
        if !self.out.html.ends_with(' ') {
            self.out.html.push(' ');
        }
    }

    fn copy_tag(&mut self, start: usize, tag: &Tag<'a>) {
        self.out.html.push_str(&self.html[start..tag.copy_end]);
        if tag.copy_end < tag.end {
            self.out.html.push('>');
        }
    }

    fn in_heading(&self) -> bool {
        self.open.iter().rev().take(4).any(|name| matches!(*name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "dt"))
    }

    /// A span that holds only white space is that white space; the finders would drop it. Returns
    /// where to go on.
    fn blank_span(&mut self, from: usize) -> Option<usize> {
        let rest = &self.html[from..];
        let text = &rest[..rest.find('<')?];
        if text.is_empty() || !text.trim().is_empty() || !self.lower[from + text.len()..].starts_with("</span>") {
            return None;
        }
        self.space();
        Some(from + text.len() + "</span>".len())
    }

    fn close_implied(&mut self, name: &str) {
        if is_block(name) {
            self.pop_to(&["p"], &["button", "td", "th", "table", "caption"]);
        }
        for (opened, closes, barrier) in IMPLIED_ENDS {
            if opened.contains(&name) {
                self.pop_to(closes, barrier);
            }
        }
    }

    /// Forgets everything down to the nearest open element of `names`, unless one of `barrier` is nearer.
    fn pop_to(&mut self, names: &[&str], barrier: &[&str]) {
        'search: for stack in [&mut self.beyond, &mut self.open] {
            // Deep down, only near elements are looked at, so that the pass stays linear.
            for (back, open) in stack.iter().rev().take(MAX_DEPTH / 8).enumerate() {
                if names.contains(open) {
                    let len = stack.len() - back - 1;
                    stack.truncate(len);
                    break 'search;
                }
                if barrier.contains(open) {
                    return;
                }
            }
        }
        self.closed();
    }

    /// Ends what was known of elements that are no longer open.
    fn closed(&mut self) {
        let depth = self.open.len();
        if self.language.as_ref().is_some_and(|(of, _)| *of > depth) {
            self.language = None;
        }
        if let Some((of, start)) = self.main
            && of > depth
        {
            self.main = None;
            self.out.main = Some(start..self.out.html.len());
        }
    }

    fn end_tag(&mut self, start: usize) -> usize {
        let Some(name_end) = self.name_end(start + 2) else { return self.html.len() };
        let end = self.read_tag(name_end).end;
        let name = self.name(start + 2, name_end);
        if let Some(skip) = &mut self.skip {
            if skip.name == name {
                if skip.depth == 0 {
                    self.skip = None;
                } else {
                    skip.depth -= 1;
                }
                return end;
            }
            if !(skip.until_block && is_block(name)) {
                return end;
            }
            self.skip = None;
        }
        if name == "a" {
            self.end_link();
        }
        if self.in_code {
            if name == "pre" {
                self.close_code();
            }
            return end;
        }
        if name == "h1"
            && let Some(heading) = self.heading.take()
        {
            self.out.heading = heading;
        }
        if let Some(count) = self.formatting.get_mut(name) {
            *count = count.saturating_sub(1);
        }
        if let Some(back) =
            self.beyond.iter().rev().take(MAX_DEPTH / 8).position(|open| *open == name)
        {
            let len = self.beyond.len() - back - 1;
            self.beyond.truncate(len);
            self.space();
            return end;
        }
        if let Some(position) = self.open.iter().rposition(|open| *open == name) {
            self.beyond.clear();
            self.open.truncate(position);
        } else {
            // Void elements, and ends of what was never opened or was not written.
            return end;
        }
        if name == "p" && std::mem::take(&mut self.note) {
            self.out.html.push_str("</strong>");
        }
        self.out.html.push_str("</");
        self.out.html.push_str(name);
        self.out.html.push('>');
        self.closed();
        end
    }

    fn name(&self, start: usize, end: usize) -> &'a str {
        let name = &self.html[start..end];
        if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return name;
        }
        // Only known names matter to this pass; all others are compared with themselves.
        let lower = &self.lower[start..end];
        [VOID, DROPPED_TEXT, DROPPED_TREE, FORMATTING, BLOCKS, &OTHER_NAMES]
            .into_iter()
            .flatten()
            .find(|known| **known == lower)
            .copied()
            .unwrap_or(name)
    }

    fn name_end(&self, start: usize) -> Option<usize> {
        self.html[start..]
            .find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')
            .map(|offset| start + offset)
    }

    /// Reads the attributes from `at` as an HTML tokenizer does.
    fn read_tag(&self, mut at: usize) -> Tag<'a> {
        let html = self.html;
        let bytes = html.as_bytes();
        let mut tag = Tag {
            attributes: Vec::new(),
            copy_end: 0,
            end: html.len(),
            complete: false,
            self_closing: false,
        };
        let space = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
        loop {
            while space(at) {
                at += 1;
            }
            let Some(&byte) = bytes.get(at) else { return tag };
            if byte == b'>' {
                tag.end = at + 1;
                tag.complete = true;
                if tag.copy_end == 0 {
                    tag.copy_end = tag.end;
                }
                return tag;
            }
            if byte == b'/' {
                tag.self_closing = bytes.get(at + 1) == Some(&b'>');
                at += 1;
                continue;
            }
            let key_start = at;
            at += 1; // a `=` in front belongs to the name
            while bytes
                .get(at)
                .is_some_and(|b| !b.is_ascii_whitespace() && !matches!(b, b'/' | b'>' | b'='))
            {
                at += 1;
            }
            let key_end = at;
            while space(at) {
                at += 1;
            }
            let mut value = (at, at);
            if bytes.get(at) == Some(&b'=') {
                at += 1;
                while space(at) {
                    at += 1;
                }
                value = match bytes.get(at) {
                    Some(&quote @ (b'"' | b'\'')) => {
                        let from = at + 1;
                        let Some(length) = html[from..].find(char::from(quote)) else { return tag };
                        at = from + length + 1;
                        (from, from + length)
                    }
                    Some(b'>') | None => (at, at),
                    Some(_) => {
                        let from = at;
                        while bytes.get(at).is_some_and(|b| !b.is_ascii_whitespace() && *b != b'>')
                        {
                            at += 1;
                        }
                        (from, at)
                    }
                };
            }
            if tag.attributes.len() < MAX_ATTRIBUTES {
                tag.attributes.push((&html[key_start..key_end], &html[value.0..value.1]));
            } else if tag.copy_end == 0 {
                tag.copy_end = key_start;
            }
        }
    }

    /// The end of an element whose content is text, after its end tag.
    fn raw_text_end(&self, name: &str, from: usize) -> Option<usize> {
        if name != "script" && !DROPPED_TEXT.contains(&name) {
            return None;
        }
        let close = self.close_of(name, from);
        Some(self.find(close, ">").map_or(self.html.len(), |end| end + 1))
    }

    /// Where `</name` begins, or the end of the page.
    fn close_of(&self, name: &str, from: usize) -> usize {
        self.find(from, &format!("</{name}")).unwrap_or(self.html.len())
    }

    fn script(&mut self, tag: &Tag<'a>) -> usize {
        if tag.self_closing && self.xml {
            return tag.end;
        }
        let close = self.close_of("script", tag.end);
        let kept: usize = self.out.json_ld.iter().map(String::len).sum();
        if tag.raw("type").is_some_and(|kind| kind.eq_ignore_ascii_case("application/ld+json"))
            && kept + (close - tag.end) <= MAX_JSON_LD
        {
            let json = &self.html[tag.end..close];
            self.out.json_ld.push(json.to_owned());
            self.out.html.push_str("<script type=\"application/ld+json\">");
            self.out.html.push_str(json);
            self.out.html.push_str("</script>");
        }
        self.find(close, ">").map_or(self.html.len(), |end| end + 1)
    }

    /// Usually a tracking image or a plea to turn scripts on; sometimes the whole content.
    fn noscript(&mut self, tag: &Tag<'a>) -> usize {
        let close = self.close_of("noscript", tag.end);
        if super::text::without_tags(&self.html[tag.end..close]).trim().len() > MIN_NOSCRIPT {
            return tag.end;
        }
        self.find(close, ">").map_or(self.html.len(), |end| end + 1)
    }

    fn title(&mut self, tag: &Tag<'a>) -> usize {
        let close = self.close_of("title", tag.end);
        let text = &self.html[tag.end..close];
        if self.out.title.is_empty() {
            self.out.title = super::text::cut(text, 4000).to_owned();
            self.out.html.push_str("<title>");
            self.out.html.push_str(&text.replace('<', "&lt;"));
            self.out.html.push_str("</title>");
        }
        self.find(close, ">").map_or(self.html.len(), |end| end + 1)
    }

    /// Old elements whose content is shown as it is.
    fn preformatted(&mut self, name: &str, tag: &Tag<'a>) -> usize {
        let close =
            if name == "plaintext" { self.html.len() } else { self.close_of(name, tag.end) };
        self.out.html.push_str("<pre><code>");
        let text = escape(&self.html[tag.end..close]);
        self.text(&text);
        self.out.html.push_str("</code></pre>");
        self.find(close, ">").map_or(self.html.len(), |end| end + 1)
    }

    /// A formula becomes its own source where the page gives it.
    fn math(&mut self, tag: &Tag<'a>) -> usize {
        if let Some(source) = tag.raw("alttext") {
            self.out.html.push_str("<code>");
            self.text(&source.replace('<', "&lt;"));
            self.out.html.push_str("</code>");
            self.skip = Some(Skip { name: "math", depth: 0, until_block: true });
        }
        tag.end
    }

    fn meta(&mut self, tag: &Tag<'a>) {
        let Some(content) = tag.get("content").filter(|content| !content.trim().is_empty()) else {
            return;
        };
        for key in ["name", "property", "itemprop", "http-equiv"] {
            if let Some(name) = tag.raw(key) {
                self.out
                    .meta
                    .entry(name.trim().to_ascii_lowercase())
                    .or_insert_with(|| clean::line(&content));
            }
        }
    }

    fn set_base(&mut self, tag: &Tag<'a>) {
        if let Some(base) = tag.get("href").and_then(|href| self.base.join(href.trim()).ok()) {
            self.base = base;
        }
    }

    fn head_link(&mut self, tag: &Tag<'a>) {
        if self.out.canonical.is_none() && tag.has_token("rel", &["canonical"]) {
            self.out.canonical = tag.get("href").and_then(|href| self.base.join(href.trim()).ok());
        }
    }

    fn begin_link(&mut self, name: &str, tag: &Tag<'a>) {
        if name == "a" {
            self.end_link();
        }
        let Some(url) = tag.get("href").and_then(|href| self.resolve(href.trim())) else { return };
        let nofollow = tag.has_token("rel", &["nofollow"]);
        let text = if name == "area" { tag.raw("alt").unwrap_or_default() } else { "" };
        self.link = Some(OpenLink { url, text: text.to_owned(), nofollow });
        if name == "area" {
            self.end_link();
        }
    }

    fn resolve(&self, href: &str) -> Option<Url> {
        if href.is_empty() || href.starts_with('#') || href.len() > MAX_URL {
            return None;
        }
        let mut url = self.base.join(href).ok()?;
        url.set_fragment(None);
        let followable =
            matches!(url.scheme(), "http" | "https") || url.scheme() == self.base.scheme();
        (followable && url != self.page && url.as_str().len() <= MAX_URL).then_some(url)
    }

    fn end_link(&mut self) {
        let Some(link) = self.link.take() else { return };
        let text: String =
            clean::line(&clean::entities(&link.text)).chars().take(MAX_LINK_TEXT).collect();
        if let Some(&index) = self.seen.get(&link.url) {
            let known: &mut Link = &mut self.out.links[index];
            known.nofollow &= link.nofollow;
            if known.text.is_empty() {
                known.text = text;
            }
            return;
        }
        if self.out.links.len() < MAX_LINKS {
            self.seen.insert(link.url.clone(), self.out.links.len());
            self.out.links.push(Link { url: link.url, text, nofollow: link.nofollow });
        }
    }

    fn image(&mut self, tag: &Tag<'a>) {
        if let (Some(link), Some(alt)) = (&mut self.link, tag.raw("alt"))
            && link.text.len() < MAX_LINK_TEXT
        {
            link.text.push_str(super::text::cut(alt, MAX_LINK_TEXT));
        }
    }

    /// Documentation generators put the language of a code block on an element around it.
    fn note_language(&mut self, name: &str, tag: &Tag<'a>) {
        if !matches!(name, "div" | "figure" | "section" | "p") {
            return;
        }
        if let Some(language) = language_of(tag) {
            self.language = Some((self.open.len(), language));
        }
    }

    /// Every preformatted block becomes `<pre><code class="language-…">`, the one form that the
    /// parsers behind this pass keep.
    fn open_code(&mut self, tag: &Tag<'a>) {
        let mut language = language_of(tag);
        let rest = &self.html[tag.end..];
        let inner = rest.len() - rest.trim_start().len() + tag.end;
        if self.lower[inner..].starts_with("<code")
            && let Some(name_end) = self.name_end(inner + 1)
        {
            language = language.or_else(|| language_of(&self.read_tag(name_end)));
        }
        match language.or_else(|| self.language.as_ref().map(|(_, language)| language.clone())) {
            Some(language) if !language.is_empty() => {
                self.out.html.push_str("<code class=\"language-");
                self.out.html.push_str(&language);
                self.out.html.push_str("\">");
            }
            _ => self.out.html.push_str("<code>"),
        }
    }
}

/// Names that the pass compares with and that are in no other list.
const OTHER_NAMES: [&str; 16] = [
    "a",
    "abbr",
    "button",
    "caption",
    "datalist",
    "html",
    "listing",
    "math",
    "menu",
    "optgroup",
    "option",
    "plaintext",
    "script",
    "select",
    "title",
    "xmp",
];

/// The language that a code block's element names; an empty one says that there is none.
fn language_of(tag: &Tag<'_>) -> Option<String> {
    for key in ["data-lang", "data-language", "lang-name"] {
        if let Some(language) = tag.raw(key).and_then(language_name) {
            return Some(language);
        }
    }
    let class = tag.raw("class")?;
    let mut tokens = class.split_ascii_whitespace().peekable();
    while let Some(token) = tokens.next() {
        let token = token.to_ascii_lowercase();
        let found = ["highlight-source-", "highlight-text-", "highlight-", "language-", "lang-"]
            .iter()
            .find_map(|prefix| token.strip_prefix(prefix))
            .map(str::to_owned)
            .or_else(|| match token.as_str() {
                "sourcecode" | "brush:" => {
                    tokens.peek().map(|next| next.trim_end_matches(';').to_ascii_lowercase())
                }
                _ => None,
            });
        if let Some(language) = found.as_deref().and_then(language_name) {
            return Some(language);
        }
    }
    None
}

/// The usual name of a language, empty for plain text.
fn language_name(word: &str) -> Option<String> {
    let valid = word.len() <= 24
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'#' | b'_' | b'.'));
    if !valid || word.is_empty() {
        return None;
    }
    let name = match word.to_ascii_lowercase().as_str() {
        "python3" | "ipython" | "ipython3" | "py" => "python",
        "pycon3" => "pycon",
        "default" | "none" | "text" | "plain" | "plaintext" | "notranslate" | "txt" | "basic" => "",
        "c++" => "cpp",
        other => return Some(other.to_owned()),
    };
    Some(name.to_owned())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
