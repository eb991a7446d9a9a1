//! HTML written anew: allowed elements only, balanced, no deeper than [`MAX_DEPTH`].
//!
//! Works on the tokens of the HTML standard's tokenizer, so that what is an element here is one for
//! every reader of the result. Each piece of input is tokenized alone: an unfinished comment or tag
//! ends with its piece and cannot swallow the pieces after it.

use std::{cell::RefCell, fmt::Write as _};

use html5ever::{
    Attribute, LocalName,
    tokenizer::{
        BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
        states::RawKind,
    },
};
use url::Url;

use super::is_deceptive;

/// The elements that may stand in the result.
pub(super) const ELEMENTS: [&str; 51] = [
    "a",
    "abbr",
    "b",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "dd",
    "del",
    "details",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
    "var",
];
/// Elements whose content is not text for people.
const WITHOUT_CONTENT: [&str; 8] =
    ["script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"];
/// Deeper elements lose their tags and keep their text.
pub(super) const MAX_DEPTH: usize = 100;
/// Longest address of a link, in bytes.
const MAX_URL: usize = 2048;
/// Longest tooltip, in characters.
const MAX_TITLE: usize = 200;

/// Collects pieces of HTML.
pub(super) struct Flattener {
    out: RefCell<Output>,
}

struct Output {
    html: String,
    /// The open elements, outermost first.
    open: Vec<&'static str>,
    /// Inside this element nothing is written.
    skip: Option<LocalName>,
    max: usize,
}

impl Flattener {
    /// An empty result that is full at `max` bytes.
    pub(super) const fn new(max: usize) -> Self {
        Self {
            out: RefCell::new(Output { html: String::new(), open: Vec::new(), skip: None, max }),
        }
    }

    /// Adds one piece.
    pub(super) fn feed(&mut self, html: String) {
        let input = BufferQueue::default();
        input.push_back(html.into());
        let tokenizer = Tokenizer::new(&*self, TokenizerOpts::default());
        // `Script` is never answered by the sink, so one call takes everything.
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        self.out.get_mut().skip = None;
    }

    /// Whether nothing more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.out.borrow().is_full()
    }

    /// The result.
    pub(super) fn finish(self) -> String {
        let mut out = self.out.into_inner();
        out.close_to(0);
        out.html
    }
}

impl TokenSink for &Flattener {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut out = self.out.borrow_mut();
        match token {
            Token::CharacterTokens(text) => out.text(&text),
            Token::TagToken(tag) => return out.tag(&tag),
            Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::NullCharacterToken
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

impl Output {
    fn is_full(&self) -> bool {
        self.html.len() >= self.max
    }

    fn text(&mut self, text: &str) {
        if self.skip.is_some() || self.is_full() {
            return;
        }
        for c in text.chars().filter(|c| !is_deceptive(*c)) {
            push_escaped(&mut self.html, c);
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        if let Some(skipped) = &self.skip {
            if tag.kind == TagKind::EndTag && tag.name == *skipped {
                self.skip = None;
            }
            return TokenSinkResult::Continue;
        }
        if tag.kind == TagKind::EndTag {
            if let Some(at) = self.open.iter().rposition(|name| **name == *tag.name) {
                self.close_to(at);
            }
            return TokenSinkResult::Continue;
        }
        if WITHOUT_CONTENT.contains(&&*tag.name) {
            self.skip = Some(tag.name.clone());
            return TokenSinkResult::RawData(RawKind::Rawtext);
        }
        if !self.is_full() {
            self.start(tag);
        }
        TokenSinkResult::Continue
    }

    fn start(&mut self, tag: &Tag) {
        match &*tag.name {
            "img" => return self.image(&tag.attrs),
            "input" if value(&tag.attrs, "type") == Some("checkbox") => {
                let mark = if value(&tag.attrs, "checked").is_some() { "☑ " } else { "☐ " };
                return self.text(mark);
            }
            _ => {}
        }
        let Some(name) = ELEMENTS.into_iter().find(|name| **name == *tag.name) else { return };
        while self.open.last().is_some_and(|open| ends_before(open, name)) {
            self.close_to(self.open.len() - 1);
        }
        if matches!(name, "br" | "hr") {
            return self.open_tag(name, &[]);
        }
        if self.open.len() >= MAX_DEPTH {
            return;
        }
        let attributes = match name {
            // A link within a link, or to nowhere we would go, is only its text.
            "a" if self.open.contains(&"a") => return,
            "a" => match value(&tag.attrs, "href").and_then(web_address) {
                Some(href) => {
                    let title = value(&tag.attrs, "title").filter(|title| !title.is_empty());
                    let title =
                        title.map(|title| ("title", title.chars().take(MAX_TITLE).collect()));
                    std::iter::once(("href", href)).chain(title).collect()
                }
                None => return,
            },
            "code" => value(&tag.attrs, "class")
                .filter(|class| is_language_class(class))
                .map(|class| ("class", class.to_owned()))
                .into_iter()
                .collect(),
            "ol" => number(&tag.attrs, "start").into_iter().collect(),
            "td" | "th" => alignment(&tag.attrs)
                .into_iter()
                .chain(number(&tag.attrs, "colspan"))
                .chain(number(&tag.attrs, "rowspan"))
                .collect(),
            _ => Vec::new(),
        };
        self.open_tag(name, &attributes);
        self.open.push(name);
    }

    /// An image is its description, with a link to it where a link can stand.
    fn image(&mut self, attributes: &[Attribute]) {
        let address = value(attributes, "src").and_then(web_address);
        let description = value(attributes, "alt").map(str::trim).filter(|alt| !alt.is_empty());
        let linked = address.filter(|_| !self.open.contains(&"a"));
        match linked {
            Some(href) => {
                self.open_tag("a", &[("href", href)]);
                self.text(description.unwrap_or("Image"));
                self.html.push_str("</a>");
            }
            None => self.text(description.unwrap_or_default()),
        }
    }

    fn open_tag(&mut self, name: &str, attributes: &[(&str, String)]) {
        self.html.push('<');
        self.html.push_str(name);
        for (key, value) in attributes {
            let _ = write!(self.html, " {key}=\"");
            for c in value.chars().filter(|c| !is_deceptive(*c)) {
                push_escaped(&mut self.html, c);
            }
            self.html.push('"');
        }
        self.html.push('>');
    }

    /// Closes the open elements down to `len` of them.
    fn close_to(&mut self, len: usize) {
        for name in self.open.drain(len..).rev() {
            let _ = write!(self.html, "</{name}>");
        }
    }
}

fn push_escaped(html: &mut String, c: char) {
    match c {
        '&' => html.push_str("&amp;"),
        '<' => html.push_str("&lt;"),
        '>' => html.push_str("&gt;"),
        '"' => html.push_str("&quot;"),
        _ => html.push(c),
    }
}

/// Whether the open element ends where the next one starts, as the HTML standard has it. Without
/// this, `<p>` or `<li>` without an end tag would nest.
fn ends_before(open: &str, next: &str) -> bool {
    match open {
        "p" => matches!(
            next,
            "blockquote"
                | "details"
                | "div"
                | "dl"
                | "figure"
                | "h1"
                | "h2"
                | "h3"
                | "h4"
                | "h5"
                | "h6"
                | "hr"
                | "li"
                | "ol"
                | "p"
                | "pre"
                | "table"
                | "ul"
                | "dd"
                | "dt"
                | "td"
                | "th"
                | "tr"
        ),
        "li" => next == "li",
        "dt" | "dd" => matches!(next, "dt" | "dd"),
        "td" | "th" => matches!(next, "td" | "th" | "tr" | "tbody" | "tfoot"),
        "tr" => matches!(next, "tr" | "tbody" | "tfoot"),
        "thead" | "tbody" => matches!(next, "tbody" | "tfoot"),
        _ => false,
    }
}

/// The highlighter's class on code: `language-rust`.
pub(super) fn is_language_class(class: &str) -> bool {
    class.strip_prefix("language-").is_some_and(|language| {
        (1..=40).contains(&language.len())
            && language.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-_#.".contains(&b))
    })
}

/// An absolute http or https address, normalised. One with a user name is refused: it looks like
/// another host than the one it leads to.
fn web_address(text: &str) -> Option<String> {
    if text.len() > MAX_URL {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    plain.then(|| url.to_string())
}

fn value<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().find(|attribute| *attribute.name.local == *name).map(|found| &*found.value)
}

fn number(attributes: &[Attribute], name: &'static str) -> Option<(&'static str, String)> {
    let number: u16 = value(attributes, name)?.parse().ok()?;
    Some((name, number.min(1000).to_string()))
}

/// A column's alignment. pulldown-cmark writes it as a style, which may not stand in the result.
fn alignment(attributes: &[Attribute]) -> Option<(&'static str, String)> {
    let style = value(attributes, "style").and_then(|style| style.strip_prefix("text-align: "));
    let side = style.or_else(|| value(attributes, "align"))?;
    ["left", "center", "right"].contains(&side).then(|| ("align", side.to_owned()))
}
