//! From text to a condition: words and signs, then a tree. Limits hold before anything recurses.

use std::ops::Range;

use super::{
    Comparison, Condition, ConditionError, Count, Expr, MAX_CHARS, MAX_DEPTH, MAX_TOKENS, Node,
    StepOutcome,
};
use crate::definition::fault::{did_you_mean, quote};

/// What can be asked of a step.
const QUESTIONS: [&str; 9] = [
    "completed",
    "failed",
    "skipped",
    "cancelled",
    "documents",
    "created",
    "updated",
    "failures",
    "warnings",
];

/// Reads a condition. Whether its steps and variables exist is not looked at.
///
/// ```
/// use quaero_engine::definition::condition::parse;
/// let condition = parse("completed(\"crawl\") and documents(\"crawl\") > 10").unwrap();
/// assert_eq!(condition.to_string(), "completed(\"crawl\") and documents(\"crawl\") > 10");
/// assert_eq!(parse("documents(crawl)").unwrap_err().span, 10..15);
/// ```
///
/// # Errors
/// If it is not a condition, goes beyond a limit, or compares unlike kinds.
pub fn parse(text: &str) -> Result<Condition, ConditionError> {
    let whole = 0..text.len();
    if text.chars().count() > MAX_CHARS {
        let message = format!("The condition has more than {MAX_CHARS} characters.");
        return Err(ConditionError::new(&whole, message).fix("Split the step."));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, end: text.len() };
    let root = parser.any(0)?;
    if let Some(token) = parser.tokens.get(parser.at) {
        let message = format!("`{}` is not expected here.", token.shown());
        let error = ConditionError::new(&token.span, message);
        return Err(match token.sign {
            Sign::Close => error.fix("Remove it, or open it with `(`."),
            Sign::Compare(_) => error.fix("Compare two values at a time, joined with `and`."),
            _ => error.fix("Join conditions with `and` or `or`."),
        });
    }
    let condition = Condition { text: text.to_owned(), root };
    condition.check_kinds(&|_| None)?;
    Ok(condition)
}

#[derive(Clone, Debug)]
struct Token<'t> {
    span: Range<usize>,
    sign: Sign<'t>,
}

#[derive(Clone, Debug)]
enum Sign<'t> {
    Word(&'t str),
    Text(String),
    Number(f64),
    Compare(Comparison),
    Open,
    Close,
}

impl Token<'_> {
    fn shown(&self) -> String {
        match &self.sign {
            Sign::Word(word) => quote(word),
            Sign::Text(text) => format!("\"{}\"", quote(text)),
            Sign::Number(number) => quote(&number.to_string()),
            Sign::Compare(comparison) => comparison.sign().to_owned(),
            Sign::Open => "(".to_owned(),
            Sign::Close => ")".to_owned(),
        }
    }
}

impl Comparison {
    const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, ConditionError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (length, sign) = match first {
            '(' => (1, Sign::Open),
            ')' => (1, Sign::Close),
            '"' | '\'' => quoted(rest, at)?,
            '-' | '0'..='9' => number(rest, at)?,
            '=' | '!' | '<' | '>' => comparison(rest, at)?,
            c if c.is_alphabetic() || c == '_' => {
                let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
                let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
                (length, Sign::Word(&rest[..length]))
            }
            other => return Err(strange(other, rest, at)),
        };
        if found.len() == MAX_TOKENS {
            let message = format!("The condition has more than {MAX_TOKENS} words and signs.");
            return Err(ConditionError::new(&(at..at + length), message).fix("Split the step."));
        }
        found.push(Token { span: at..at + length, sign });
        at += length;
    }
    Ok(found)
}

/// A text between quotes, with its length in the source.
fn quoted<'t>(rest: &str, at: usize) -> Result<(usize, Sign<'t>), ConditionError> {
    let mut text = String::new();
    let mut chars = rest.char_indices();
    let quotes = chars.next().map(|(_, c)| c);
    while let Some((index, c)) = chars.next() {
        match c {
            c if Some(c) == quotes => return Ok((index + 1, Sign::Text(text))),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\'' | '\\'))) => text.push(escaped),
                _ => {
                    let span = at + index..at + index + 1;
                    return Err(ConditionError::new(&span, "This escape is not known.")
                        .fix("Write a backslash as `\\\\`."));
                }
            },
            c => text.push(c),
        }
    }
    Err(ConditionError::new(&(at..at + rest.len()), "This text has no end.")
        .fix("Close it with the quote that opened it."))
}

fn number<'t>(rest: &str, at: usize) -> Result<(usize, Sign<'t>), ConditionError> {
    let sign = usize::from(rest.starts_with('-'));
    let part = |c: char| c.is_alphanumeric() || c == '.' || c == '_';
    let length = rest[sign..].find(|c| !part(c)).map_or(rest.len(), |end| end + sign);
    let digits = &rest[sign..length];
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let form = digits.split_once('.').map_or(plain(digits), |(a, b)| plain(a) && plain(b));
    match rest[..length].parse::<f64>() {
        Ok(value) if form && value.is_finite() => Ok((length, Sign::Number(value))),
        _ => {
            let span = at..at + length.max(1);
            let message = format!("`{}` is not a number.", quote(&rest[..length.max(1)]));
            Err(ConditionError::new(&span, message).fix("Write it like `10` or `-0.5`."))
        }
    }
}

fn comparison<'t>(rest: &str, at: usize) -> Result<(usize, Sign<'t>), ConditionError> {
    use Comparison::{AtLeast, AtMost, Equal, Less, More, Unequal};
    for comparison in [Equal, Unequal, AtMost, AtLeast, Less, More] {
        let sign = comparison.sign();
        if rest.starts_with(sign) {
            return Ok((sign.len(), Sign::Compare(comparison)));
        }
    }
    let first = &rest[..1];
    let error = ConditionError::new(&(at..at + 1), format!("`{first}` has no meaning here."));
    Err(error.fix(if first == "=" { "Write `==`." } else { "Write `not`." }))
}

fn strange(c: char, rest: &str, at: usize) -> ConditionError {
    let length = if rest.starts_with("&&") || rest.starts_with("||") { 2 } else { c.len_utf8() };
    let span = at..at + length;
    let error =
        ConditionError::new(&span, format!("`{}` has no meaning here.", quote(&rest[..length])));
    match c {
        '&' => error.fix("Write `and`."),
        '|' => error.fix("Write `or`."),
        '{' | '}' | '$' => error.fix("Write a variable as `config.NAME`, without braces."),
        _ => error,
    }
}

struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    end: usize,
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Option<Token<'t>> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let takes = matches!(self.tokens.get(self.at), Some(Token { sign: Sign::Word(next), .. }) if *next == word);
        self.at += usize::from(takes);
        takes
    }

    fn any(&mut self, depth: usize) -> Result<Node, ConditionError> {
        self.joined("or", Expr::Any, |parser| {
            parser.joined("and", Expr::All, |parser| parser.not(depth))
        })
    }

    /// One or more parts with a word between them.
    fn joined(
        &mut self,
        word: &str,
        join: fn(Vec<Node>) -> Expr,
        part: impl Fn(&mut Self) -> Result<Node, ConditionError>,
    ) -> Result<Node, ConditionError> {
        let first = part(self)?;
        if !self.takes_word(word) {
            return Ok(first);
        }
        let start = first.span.start;
        let mut parts = vec![first];
        loop {
            let next = part(self)?;
            let span = start..next.span.end;
            parts.push(next);
            if !self.takes_word(word) {
                return Ok(Node { span, expr: join(parts) });
            }
        }
    }

    fn not(&mut self, depth: usize) -> Result<Node, ConditionError> {
        let start = self.place();
        if !self.takes_word("not") {
            return self.compared(depth);
        }
        self.deeper(depth, &start)?;
        let inner = self.not(depth + 1)?;
        Ok(Node { span: start.start..inner.span.end, expr: Expr::Not(Box::new(inner)) })
    }

    fn compared(&mut self, depth: usize) -> Result<Node, ConditionError> {
        let left = self.value(depth)?;
        let Some(Token { sign: Sign::Compare(comparison), .. }) = self.tokens.get(self.at) else {
            return Ok(left);
        };
        let comparison = *comparison;
        self.at += 1;
        let right = self.value(depth)?;
        let span = left.span.start..right.span.end;
        Ok(Node { span, expr: Expr::Compare(Box::new(left), comparison, Box::new(right)) })
    }

    fn value(&mut self, depth: usize) -> Result<Node, ConditionError> {
        let Some(token) = self.next() else { return Err(self.missing()) };
        let span = token.span.clone();
        let expr = match &token.sign {
            Sign::Text(text) => Expr::Text(text.clone()),
            Sign::Number(number) => Expr::Number(*number),
            Sign::Word("true") => Expr::Bool(true),
            Sign::Word("false") => Expr::Bool(false),
            Sign::Word(word) if !matches!(*word, "and" | "or" | "not") => {
                return self.word(word, span);
            }
            Sign::Open => {
                self.deeper(depth, &span)?;
                let inner = self.any(depth + 1)?;
                let end = self.close(&span)?;
                return Ok(Node { span: span.start..end, expr: inner.expr });
            }
            Sign::Word(_) | Sign::Close | Sign::Compare(_) => {
                let message = format!("Before `{}` a value is missing.", token.shown());
                return Err(ConditionError::new(&span, message));
            }
        };
        Ok(Node { span, expr })
    }

    /// A variable, or a question about a step.
    fn word(&mut self, word: &str, span: Range<usize>) -> Result<Node, ConditionError> {
        if let Some(name) = word.strip_prefix("config.") {
            if name.split('.').any(str::is_empty) {
                let message = format!("`{}` does not name a variable.", quote(word));
                return Err(ConditionError::new(&span, message).fix("Write `config.NAME`."));
            }
            return Ok(Node { span, expr: Expr::Variable(name.to_owned()) });
        }
        if !QUESTIONS.contains(&word) {
            let message = format!("`{}` has no meaning here.", quote(word));
            let fix = did_you_mean(word, QUESTIONS.into_iter().chain(["and", "or", "not", "true", "false"]))
                .unwrap_or_else(|| {
                    "Ask `completed(\"STEP\")`, `documents(\"STEP\") > 0` and the like, or `config.NAME`; put text between quotes.".to_owned()
                });
            return Err(ConditionError::new(&span, message).fix(fix));
        }
        let example = format!("Write `{word}(\"STEP\")`.");
        if !matches!(self.tokens.get(self.at), Some(Token { sign: Sign::Open, .. })) {
            let message = format!("`{word}` must be asked of a step.");
            return Err(ConditionError::new(&span, message).fix(example));
        }
        let open = self.place();
        self.at += 1;
        let Some(argument) = self.next() else { return Err(self.missing()) };
        let Sign::Text(step) = argument.sign else {
            let fix = match argument.sign {
                Sign::Word(name) => format!("Write `{word}(\"{}\")`.", quote(name)),
                _ => example,
            };
            let message = "The name of the step must stand here, between quotes.";
            return Err(ConditionError::new(&argument.span, message).fix(fix));
        };
        let end = self.close(&open)?;
        let expr = match word {
            "completed" => Expr::Outcome(StepOutcome::Completed, step),
            "failed" => Expr::Outcome(StepOutcome::Failed, step),
            "skipped" => Expr::Outcome(StepOutcome::Skipped, step),
            "cancelled" => Expr::Outcome(StepOutcome::Cancelled, step),
            "created" => Expr::Count(Count::Created, step),
            "updated" => Expr::Count(Count::Updated, step),
            "failures" => Expr::Count(Count::Failures, step),
            "warnings" => Expr::Count(Count::Warnings, step),
            _ => Expr::Count(Count::Documents, step),
        };
        Ok(Node { span: span.start..end, expr })
    }

    fn close(&mut self, open: &Range<usize>) -> Result<usize, ConditionError> {
        match self.next() {
            Some(Token { span, sign: Sign::Close }) => Ok(span.end),
            Some(token) => {
                let message = format!("`{}` is not expected here.", token.shown());
                Err(ConditionError::new(&token.span, message)
                    .fix("Close the parenthesis first, or join conditions with `and` or `or`."))
            }
            None => {
                Err(ConditionError::new(open, "This parenthesis is not closed.").fix("Add `)`."))
            }
        }
    }

    fn deeper(&self, depth: usize, span: &Range<usize>) -> Result<(), ConditionError> {
        if depth < MAX_DEPTH {
            return Ok(());
        }
        let message = format!("More than {MAX_DEPTH} levels are nested here.");
        Err(ConditionError::new(span, message).fix("Split the step."))
    }

    /// Where the next token stands, or the end.
    fn place(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.end..self.end, |token| token.span.clone())
    }

    fn missing(&self) -> ConditionError {
        ConditionError::new(&(self.end..self.end), "The condition ends too early.")
            .fix("Write for example `completed(\"STEP\")`.")
    }
}
