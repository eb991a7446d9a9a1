//! Conditions of steps: a small language over what earlier steps did and the run's variables.
//!
//! ```text
//! completed("crawl") and documents("crawl") >= 10
//! failed("crawl") or not config.deep
//! ```
//!
//! | written | is |
//! |---|---|
//! | `completed("x")` `failed("x")` `skipped("x")` `cancelled("x")` | whether step x ended like that |
//! | `created("x")` `updated("x")` | how many documents step x wrote, and wrote anew |
//! | `documents("x")` | the documents that step x created, updated or found unchanged |
//! | `failures("x")` `warnings("x")` | how many of its tasks failed, how many warnings it has |
//! | `config.NAME` | a text, a number, or true or false of `[config]` |
//! | `"text"` `'text'` `12` `-0.5` `true` `false` | itself; in a text `\"`, `\'` and `\\` are escapes |
//! | `==` `!=` `<` `<=` `>` `>=` | a comparison of two values of one kind; text goes by code points |
//! | `not`, `and`, `or`, `( )` | as usual; `not` binds closest, then `and`, then `or` |
//!
//! **Invariant: it is total.** Nothing loops and nothing is evaluated as code, so every condition
//! has a value for all facts: a comparison of unlike kinds is false (also `!=`), a variable that is
//! not there compares as false, and a step that is not there did nothing.

mod parse;

use std::{borrow::Cow, cmp::Ordering, fmt, ops::Range};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

pub use parse::parse;

/// The most characters of a condition.
pub const MAX_CHARS: usize = 1_000;
/// The most levels of parentheses and `not`.
pub const MAX_DEPTH: usize = 32;
/// The most words, signs and values.
pub const MAX_TOKENS: usize = 200;

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    /// Where, in bytes of the condition.
    pub span: Range<usize>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl ConditionError {
    fn new(span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { span: span.clone(), message: message.into(), fix: None }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// A condition. It is stored and shown as it was written.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    root: Node,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It did its work, perhaps with warnings.
    Completed,
    /// It failed.
    Failed,
    /// It was not run.
    Skipped,
    /// It was cancelled.
    Cancelled,
}

/// What is known of a step that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepFacts {
    /// How it ended.
    pub outcome: StepOutcome,
    /// Documents that it created.
    pub created: u64,
    /// Documents that it changed.
    pub updated: u64,
    /// Documents that it found unchanged.
    pub unchanged: u64,
    /// Tasks of it that failed.
    pub failures: u64,
    /// Warnings that it gave.
    pub warnings: u64,
}

/// What a condition can ask.
pub trait Facts {
    /// A step that has ended, by its name.
    fn step(&self, name: &str) -> Option<StepFacts>;

    /// A scalar of `[config]` by its dotted path, without `config.`. A text that is compared with a
    /// number or with true or false is read as one, so [`super::BoundDefinition::variables`] will do.
    fn variable(&self, name: &str) -> Option<Value>;
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Number,
    Text,
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
        }
    }
}

#[derive(Clone, Debug)]
struct Node {
    span: Range<usize>,
    expr: Expr,
}

#[derive(Clone, Debug)]
enum Expr {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Compare(Box<Node>, Comparison, Box<Node>),
    Bool(bool),
    Number(f64),
    Text(String),
    Variable(String),
    Outcome(StepOutcome, String),
    Count(Count, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Documents,
    Created,
    Updated,
    Failures,
    Warnings,
}

impl Condition {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, facts: &dyn Facts) -> bool {
        self.root.holds(facts)
    }

    /// The steps it asks about, each with its place, and with the outcome if it asks for one.
    pub(super) fn steps(&self) -> Vec<(&str, &Range<usize>, Option<StepOutcome>)> {
        let mut found = Vec::new();
        self.root.walk(&mut |node| match &node.expr {
            Expr::Outcome(outcome, step) => found.push((step.as_str(), &node.span, Some(*outcome))),
            Expr::Count(_, step) => found.push((step.as_str(), &node.span, None)),
            _ => {}
        });
        found
    }

    /// The variables it asks for, each with its place.
    pub(super) fn variables(&self) -> Vec<(&str, &Range<usize>)> {
        let mut found = Vec::new();
        self.root.walk(&mut |node| {
            if let Expr::Variable(name) = &node.expr {
                found.push((name.as_str(), &node.span));
            }
        });
        found
    }

    /// Checks that only values of one kind are compared; `kind_of` knows variables.
    pub(super) fn check_kinds(
        &self,
        kind_of: &dyn Fn(&str) -> Option<Kind>,
    ) -> Result<(), ConditionError> {
        self.root.must_be_bool(kind_of)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        parse(&text).map_err(D::Error::custom)
    }
}

/// A value while a condition is looked at.
enum Known<'a> {
    Bool(bool),
    Number(f64),
    Text(&'a str),
    /// The text of a variable, which may stand for a number or for true or false.
    Loose(String),
    Nothing,
}

impl Known<'_> {
    fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Loose(text) => text.parse().ok(),
            Self::Number(_) | Self::Text(_) | Self::Nothing => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Loose(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            Self::Bool(_) | Self::Text(_) | Self::Nothing => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Loose(text) => Some(text),
            Self::Bool(_) | Self::Number(_) | Self::Nothing => None,
        }
    }
}

impl Node {
    fn walk<'a>(&'a self, each: &mut dyn FnMut(&'a Self)) {
        each(self);
        match &self.expr {
            Expr::Any(parts) | Expr::All(parts) => parts.iter().for_each(|part| part.walk(each)),
            Expr::Not(inner) => inner.walk(each),
            Expr::Compare(left, _, right) => {
                left.walk(each);
                right.walk(each);
            }
            Expr::Bool(_)
            | Expr::Number(_)
            | Expr::Text(_)
            | Expr::Variable(_)
            | Expr::Outcome(..)
            | Expr::Count(..) => {}
        }
    }

    /// The kind of its value, None for a variable that is not known.
    fn kind(&self, kind_of: &dyn Fn(&str) -> Option<Kind>) -> Result<Option<Kind>, ConditionError> {
        Ok(match &self.expr {
            Expr::Any(parts) | Expr::All(parts) => {
                parts.iter().try_for_each(|part| part.must_be_bool(kind_of))?;
                Some(Kind::Bool)
            }
            Expr::Not(inner) => {
                inner.must_be_bool(kind_of)?;
                Some(Kind::Bool)
            }
            Expr::Compare(left, comparison, right) => {
                match (left.kind(kind_of)?, right.kind(kind_of)?) {
                    (Some(left), Some(right)) if left != right => {
                        let message = format!(
                            "This compares {} with {}, which is never true.",
                            left.words(),
                            right.words()
                        );
                        return Err(ConditionError::new(&self.span, message)
                            .fix("Compare values of one kind."));
                    }
                    (Some(Kind::Bool), _) | (_, Some(Kind::Bool)) if !comparison.is_equality() => {
                        let message = "True and false can be equal or not, but have no order.";
                        return Err(ConditionError::new(&self.span, message)
                            .fix("Use `==` or `!=`, or write it without a comparison."));
                    }
                    _ => {}
                }
                Some(Kind::Bool)
            }
            Expr::Bool(_) | Expr::Outcome(..) => Some(Kind::Bool),
            Expr::Number(_) | Expr::Count(..) => Some(Kind::Number),
            Expr::Text(_) => Some(Kind::Text),
            Expr::Variable(name) => kind_of(name),
        })
    }

    fn must_be_bool(&self, kind_of: &dyn Fn(&str) -> Option<Kind>) -> Result<(), ConditionError> {
        match self.kind(kind_of)? {
            None | Some(Kind::Bool) => Ok(()),
            Some(kind) => {
                let message = format!("This is {}, but must be true or false.", kind.words());
                let fix = match kind {
                    Kind::Number => "Compare it with a number, for example with `> 0`.",
                    Kind::Text | Kind::Bool => {
                        "Compare it with a text, for example with `!= \"\"`."
                    }
                };
                Err(ConditionError::new(&self.span, message).fix(fix))
            }
        }
    }

    fn holds(&self, facts: &dyn Facts) -> bool {
        match &self.expr {
            Expr::Any(parts) => parts.iter().any(|part| part.holds(facts)),
            Expr::All(parts) => parts.iter().all(|part| part.holds(facts)),
            Expr::Not(inner) => !inner.holds(facts),
            Expr::Compare(left, comparison, right) => {
                comparison.holds(&left.known(facts), &right.known(facts))
            }
            Expr::Bool(value) => *value,
            Expr::Outcome(outcome, step) => {
                facts.step(step).is_some_and(|step| step.outcome == *outcome)
            }
            Expr::Variable(_) => self.known(facts).bool().unwrap_or(false),
            // `must_be_bool` refuses them here.
            Expr::Number(_) | Expr::Text(_) | Expr::Count(..) => false,
        }
    }

    fn known(&self, facts: &dyn Facts) -> Known<'_> {
        match &self.expr {
            Expr::Number(value) => Known::Number(*value),
            Expr::Text(text) => Known::Text(text),
            Expr::Variable(name) => match facts.variable(name) {
                Some(Value::Bool(value)) => Known::Bool(value),
                Some(Value::Number(value)) => value.as_f64().map_or(Known::Nothing, Known::Number),
                Some(Value::String(text)) => Known::Loose(text),
                Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => Known::Nothing,
            },
            Expr::Count(count, step) => {
                let number = facts.step(step).map_or(0, |step| match count {
                    Count::Documents => {
                        step.created.saturating_add(step.updated).saturating_add(step.unchanged)
                    }
                    Count::Created => step.created,
                    Count::Updated => step.updated,
                    Count::Failures => step.failures,
                    Count::Warnings => step.warnings,
                });
                #[allow(clippy::cast_precision_loss)] // no run has 2^53 of anything
                Known::Number(number as f64)
            }
            Expr::Any(_)
            | Expr::All(_)
            | Expr::Not(_)
            | Expr::Compare(..)
            | Expr::Bool(_)
            | Expr::Outcome(..) => Known::Bool(self.holds(facts)),
        }
    }
}

impl Comparison {
    const fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::Unequal)
    }

    fn holds(self, left: &Known<'_>, right: &Known<'_>) -> bool {
        let loose = |known: &Known<'_>| matches!(known, Known::Loose(_));
        let order = match (left, right) {
            (Known::Bool(_), _) | (_, Known::Bool(_)) => match (left.bool(), right.bool()) {
                (Some(left), Some(right)) => {
                    return match self {
                        Self::Equal => left == right,
                        Self::Unequal => left != right,
                        Self::Less | Self::AtMost | Self::More | Self::AtLeast => false,
                    };
                }
                _ => None,
            },
            (Known::Number(_), _) | (_, Known::Number(_)) => numbers(left, right),
            // Two variables, both given as text: in order as numbers if both are, so that 9 is less
            // than 10, but equal only as they are written, so that 007 is not 7.
            _ if loose(left) && loose(right) && !self.is_equality() => {
                numbers(left, right).or_else(|| texts(left, right))
            }
            _ => texts(left, right),
        };
        order.is_some_and(|order| match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::More => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        })
    }
}

fn numbers(left: &Known<'_>, right: &Known<'_>) -> Option<Ordering> {
    left.number()?.partial_cmp(&right.number()?)
}

fn texts(left: &Known<'_>, right: &Known<'_>) -> Option<Ordering> {
    Some(left.text()?.cmp(right.text()?))
}
