//! Code blocks: text without colours and line numbers, with the language that the page names.

use super::{
    Pass,
    tag::{Tag, is_block, name_end},
};

impl<'a> Pass<'a> {
    /// A code block is text: its tags colour it or number its lines. Returns false if the tag shows
    /// that the block was never closed.
    pub(super) fn tag_in_code(&mut self, name: &str) -> bool {
        match name {
            "br" => self.out.html.push('\n'),
            "td" | "code" => {}
            "div" | "p" | "li" | "tr" | "ol" | "ul" | "table" | "tbody" | "pre" => self.new_line(),
            _ if is_block(name) => {
                self.close_code();
                return false;
            }
            _ => {}
        }
        true
    }

    fn new_line(&mut self) {
        if !self.out.html.ends_with(['\n', '>']) {
            self.out.html.push('\n');
        }
    }

    pub(super) fn close_code(&mut self) {
        self.in_code = false;
        self.out.html.push_str("</code>");
        if let Some(position) = self.open.iter().rposition(|open| *open == "pre") {
            self.close_to(position);
        }
    }

    /// Documentation generators put the language of a code block on an element around it.
    pub(super) fn note_language(&mut self, name: &str, tag: &Tag<'a>) {
        if !matches!(name, "div" | "figure" | "section" | "p") {
            return;
        }
        if let Some(language) = language_of(tag) {
            self.language = Some((self.open.len(), language));
        }
    }

    /// Every preformatted block becomes `<pre><code class="language-…">`, the one form that the
    /// parsers behind this pass keep.
    pub(super) fn open_code(&mut self, tag: &Tag<'a>) {
        let mut language = language_of(tag);
        let rest = &self.html[tag.end..];
        let inner = rest.len() - rest.trim_start().len() + tag.end;
        if self.lower[inner..].starts_with("<code")
            && let Some(after) = name_end(self.html, inner + 1)
        {
            language = language.or_else(|| language_of(&Tag::read(self.html, after)));
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
            .chars()
            .all(|c| !c.is_whitespace() && !matches!(c, '`' | '"' | '\'' | '<' | '>' | '&'));
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
