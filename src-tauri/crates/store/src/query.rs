//! The query language of search, parsed by us: what the user types never reaches FTS5's own syntax.
//!
//! Words, `"phrases"`, `prefix*`, `AND`, `OR`, `NOT` or `-`, parentheses, and the fields `title:`,
//! `tag:`, `source:`, `site:`, `before:`, `after:`. There are no wrong queries: what makes no sense
//! as syntax is looked for as text.

use crate::time::day_start;

const MAX_CHARS: usize = 2_000;
const MAX_TERMS: usize = 100;
const MAX_NESTING: usize = 20;

/// A parsed query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Matches everything.
    All,
    /// Text in the title or the content, or in the title only.
    Text {
        /// What to look for; at least one letter or digit.
        text: String,
        /// Whether the last word is only the beginning of one.
        prefix: bool,
        /// Only in the title.
        title: bool,
    },
    /// Has this tag.
    Tag(String),
    /// Is of this source type.
    Source(String),
    /// Is from this host or one below it.
    Site(String),
    /// Was fetched before this time, in milliseconds since 1970.
    Before(i64),
    /// Was fetched at this time or later.
    After(i64),
    /// All of these.
    And(Vec<Query>),
    /// Any of these.
    Or(Vec<Query>),
    /// Not this.
    Not(Box<Query>),
}

impl Query {
    /// Parses what the user typed.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parser = Parser { tokens: tokens(text), at: 0, terms: 0 };
        let mut all = Vec::new();
        while parser.at < parser.tokens.len() {
            all.push(parser.any(0));
            // A closing parenthesis without its partner.
            if parser.at < parser.tokens.len() {
                parser.at += 1;
            }
        }
        join(all, Query::And)
    }

    /// The FTS5 expression for it, if it is about text only and not negated.
    pub(crate) fn fts(&self) -> Option<String> {
        match self {
            Self::Text { text, prefix, title } => {
                let column = if *title { "title : " } else { "" };
                let star = if *prefix { " *" } else { "" };
                Some(format!("{column}\"{}\"{star}", text.replace('"', "\"\"")))
            }
            Self::And(parts) => joined(parts, " AND "),
            Self::Or(parts) => joined(parts, " OR "),
            Self::All
            | Self::Tag(_)
            | Self::Source(_)
            | Self::Site(_)
            | Self::Before(_)
            | Self::After(_)
            | Self::Not(_) => None,
        }
    }

    /// The conditions that must all hold.
    pub(crate) fn conjuncts(self) -> Vec<Self> {
        match self {
            Self::And(parts) => parts.into_iter().flat_map(Self::conjuncts).collect(),
            Self::All => Vec::new(),
            other => vec![other],
        }
    }
}

fn joined(parts: &[Query], with: &str) -> Option<String> {
    let parts: Option<Vec<String>> = parts.iter().map(Query::fts).collect();
    Some(format!("({})", parts?.join(with)))
}

fn join(mut parts: Vec<Query>, with: fn(Vec<Query>) -> Query) -> Query {
    parts.retain(|part| *part != Query::All);
    match parts.len() {
        0 => Query::All,
        1 => parts.remove(0),
        _ => with(parts),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Minus,
    Word(String),
    Phrase(String),
    /// `field:` directly before a word or phrase.
    Field(String),
}

const FIELDS: [&str; 6] = ["title", "tag", "source", "site", "before", "after"];

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> =
        text.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        match chars[i] {
            c if c.is_whitespace() => i += 1,
            '(' => {
                tokens.push(Token::Open);
                i += 1;
            }
            ')' => {
                tokens.push(Token::Close);
                i += 1;
            }
            '-' => {
                tokens.push(Token::Minus);
                i += 1;
            }
            '"' => {
                let end = chars[i + 1..]
                    .iter()
                    .position(|c| *c == '"')
                    .map_or(chars.len(), |n| i + 1 + n);
                tokens.push(Token::Phrase(chars[i + 1..end].iter().collect()));
                i = end + 1;
            }
            _ => {
                let start = i;
                while i < chars.len()
                    && !chars[i].is_whitespace()
                    && !matches!(chars[i], '(' | ')' | '"')
                {
                    i += 1;
                    if chars[i - 1] == ':' {
                        let name: String =
                            chars[start..i - 1].iter().collect::<String>().to_ascii_lowercase();
                        if FIELDS.contains(&name.as_str()) {
                            tokens.push(Token::Field(name));
                            break;
                        }
                    }
                }
                if !matches!(tokens.last(), Some(Token::Field(_))) || chars[i - 1] != ':' {
                    tokens.push(Token::Word(chars[start..i].iter().collect()));
                }
            }
        }
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    terms: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn word(&self, expected: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if word == expected)
    }

    /// Alternatives: `a OR b`.
    fn any(&mut self, nesting: usize) -> Query {
        let mut parts = vec![self.all(nesting)];
        while self.word("OR") {
            self.at += 1;
            parts.push(self.all(nesting));
        }
        join(parts, Query::Or)
    }

    /// A sequence: `a b`, `a AND b`.
    fn all(&mut self, nesting: usize) -> Query {
        let mut parts = Vec::new();
        while let Some(token) = self.peek() {
            if *token == Token::Close || self.word("OR") {
                break;
            }
            if self.word("AND") {
                self.at += 1;
                continue;
            }
            parts.push(self.one(nesting));
        }
        join(parts, Query::And)
    }

    fn one(&mut self, nesting: usize) -> Query {
        let negated = self.word("NOT") || self.peek() == Some(&Token::Minus);
        if negated {
            self.at += 1;
            if nesting >= MAX_NESTING || self.at >= self.tokens.len() {
                return Query::All;
            }
            return match self.one(nesting + 1) {
                Query::All => Query::All,
                inner => Query::Not(Box::new(inner)),
            };
        }
        let Some(token) = self.peek().cloned() else { return Query::All };
        if token == Token::Close {
            return Query::All;
        }
        self.at += 1;
        match token {
            Token::Open if nesting < MAX_NESTING => {
                let inner = self.any(nesting + 1);
                if self.peek() == Some(&Token::Close) {
                    self.at += 1;
                }
                inner
            }
            Token::Word(word) => self.text(&word, false, false),
            Token::Phrase(phrase) => self.text(&phrase, true, false),
            Token::Field(name) => self.field(&name),
            Token::Open | Token::Close | Token::Minus => Query::All,
        }
    }

    fn text(&mut self, text: &str, phrase: bool, title: bool) -> Query {
        let prefix = !phrase && text.ends_with('*');
        let text = text.trim_end_matches('*');
        if !text.chars().any(char::is_alphanumeric) || self.terms >= MAX_TERMS {
            return Query::All;
        }
        self.terms += 1;
        Query::Text { text: text.to_owned(), prefix, title }
    }

    fn field(&mut self, name: &str) -> Query {
        let (value, phrase) = match self.peek() {
            Some(Token::Word(word)) => (word.clone(), false),
            Some(Token::Phrase(phrase)) => (phrase.clone(), true),
            _ => return self.text(name, false, false),
        };
        self.at += 1;
        if self.terms >= MAX_TERMS {
            return Query::All;
        }
        let lower = value.trim().to_lowercase();
        let known = match name {
            "title" => return self.text(&value, phrase, true),
            "tag" => Some(Query::Tag(lower)),
            "source" => Some(Query::Source(lower)),
            "site" => Some(Query::Site(lower)),
            "before" => day_start(&lower).map(Query::Before),
            _ => day_start(&lower).map(Query::After),
        };
        self.terms += 1;
        known.unwrap_or_else(|| self.text(&format!("{name} {value}"), true, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(show(&Query::parse(text)), expected, "{text}");
    }

    fn show(query: &Query) -> String {
        let list = |parts: &[Query]| parts.iter().map(show).collect::<Vec<_>>().join(" ");
        match query {
            Query::All => "*".to_owned(),
            Query::Text { text, prefix, title } => {
                format!(
                    "{}[{text}{}]",
                    if *title { "title" } else { "" },
                    if *prefix { "…" } else { "" }
                )
            }
            Query::Tag(v) => format!("tag={v}"),
            Query::Source(v) => format!("source={v}"),
            Query::Site(v) => format!("site={v}"),
            Query::Before(ms) => format!("<{ms}"),
            Query::After(ms) => format!(">={ms}"),
            Query::And(parts) => format!("(and {})", list(parts)),
            Query::Or(parts) => format!("(or {})", list(parts)),
            Query::Not(inner) => format!("(not {})", show(inner)),
        }
    }

    #[test]
    fn the_language_means_what_it_says() {
        check("", "*");
        check("cash flow", "(and [cash] [flow])");
        check("cash AND flow", "(and [cash] [flow])");
        check("cash OR flow", "(or [cash] [flow])");
        check("\"cash flow\" -draft", "(and [cash flow] (not [draft]))");
        check("a NOT b", "(and [a] (not [b]))");
        check("(a OR b) c", "(and (or [a] [b]) [c])");
        check("divid*", "[divid…]");
        check("title:report", "title[report]");
        check("title:\"annual report\"", "title[annual report]");
        check("tag:ASX source:web site:Example.org", "(and tag=asx source=web site=example.org)");
        check("before:1970-01-02", "<86400000");
        check("after:1971", ">=31536000000");
        check("well-known", "[well-known]");
        check("http://example.org", "[http://example.org]");
    }

    #[test]
    fn there_are_no_wrong_queries() {
        check("\"", "*");
        check("*", "*");
        check("a OR", "[a]");
        check("OR a", "[a]");
        check("-", "*");
        check("^ & |", "*");
        check("((a", "[a]");
        check("a))) b", "(and [a] [b])");
        check("tag:", "[tag]");
        check("before:soon", "[before soon]");
        check("'; DROP TABLE jobs", "(and [DROP] [TABLE] [jobs])");
        check("NEAR(a b)", "(and [NEAR] (and [a] [b]))");
        check(&"(".repeat(100_000), "*");
        check(&"- ".repeat(100_000), "*");
    }

    #[test]
    fn a_query_has_a_bounded_number_of_terms() {
        let Query::And(parts) = Query::parse(&"x ".repeat(10_000)) else {
            panic!("not a sequence")
        };
        assert_eq!(parts.len(), MAX_TERMS);
    }
}
