//! Puts values in the place of placeholders. Nothing is evaluated: a name is replaced by a value, in
//! one pass, and what was put in is never looked at again.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    format,
    placeholder::{Context, Piece, Values, pieces, text_of},
    schema::View,
    source::{Node, Tree},
};

/// The output would become too large.
pub(super) struct TooLarge;

/// What a value costs, beside its text.
const NODE_BYTES: usize = 8;

/// Fills the placeholders of configurations.
pub(super) struct Filler<'v> {
    values: &'v Values<'v>,
    /// Bytes that may still be written.
    left: &'v mut usize,
}

impl<'v> Filler<'v> {
    pub(super) fn new(values: &'v Values<'v>, left: &'v mut usize) -> Self {
        Self { values, left }
    }

    /// The value of `node` with its placeholders filled.
    pub(super) fn fill(&mut self, node: &Node, view: Option<View<'_>>) -> Result<Value, TooLarge> {
        self.spend(NODE_BYTES)?;
        Ok(match &node.tree {
            Tree::String(text) => self.text(text, Context::of(view))?,
            Tree::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    list.push(self.fill(item, view.and_then(|view| view.item(index)))?);
                }
                Value::Array(list)
            }
            Tree::Table(fields) => {
                let mut map = Map::new();
                for field in fields {
                    self.spend(field.key.len())?;
                    let view = view.and_then(|view| view.child(&field.key));
                    map.insert(field.key.clone(), self.fill(&field.node, view)?);
                }
                Value::Object(map)
            }
            Tree::Null | Tree::Bool(_) | Tree::Integer(_) | Tree::Float(_) | Tree::Unusable => {
                node.to_value()
            }
        })
    }

    fn value(&self, placeholder: &str) -> Option<Cow<'v, Value>> {
        self.values.get(self.values.name(placeholder))
    }

    fn text(&mut self, text: &str, context: Context) -> Result<Value, TooLarge> {
        let pieces = pieces(text, context);
        // Alone in its field a value keeps its type, and means what its author means by it.
        if let [Piece::Name(range)] = pieces.as_slice()
            && context != Context::Tag
            && let Some(value) = self.value(&text[range.clone()])
        {
            self.spend(value.as_str().map_or(0, str::len))?;
            return Ok(value.into_owned());
        }
        let mut out = String::new();
        for piece in &pieces {
            let (Piece::Text(range) | Piece::Double(range) | Piece::Name(range)) = piece;
            let literal = &text[range.clone()];
            let value = match piece {
                Piece::Name(_) => self.value(literal),
                Piece::Text(_) | Piece::Double(_) => None,
            };
            let Some(value) = value else {
                self.spend(literal.len())?;
                out.push_str(literal);
                continue;
            };
            let value = text_of(&value);
            // Before escaping, so that nothing large is made first.
            self.spend(value.len())?;
            let value = match context {
                Context::Plain => value,
                Context::Regex => regex::escape(&value),
                Context::Glob => globset::escape(&value),
                Context::Tag => format::as_tag(&value),
                // At the start it is the address itself, further in it is a part of one.
                Context::Url if out.is_empty() => value,
                Context::Url => encode(&value),
            };
            out.push_str(&value);
        }
        Ok(Value::String(out))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), TooLarge> {
        *self.left = self.left.checked_sub(bytes).ok_or(TooLarge)?;
        Ok(())
    }
}

/// Percent-encodes what could leave the part of the address that a value stands in.
fn encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for part in value.split_inclusive(['/', ':']) {
        let (part, separator) = match part.char_indices().next_back() {
            Some((at, '/' | ':')) => part.split_at(at),
            _ => (part, ""),
        };
        out.extend(
            url::form_urlencoded::byte_serialize(part.as_bytes())
                .map(|piece| if piece == "+" { "%20" } else { piece }),
        );
        out.push_str(separator);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn a_value_in_an_address_cannot_leave_its_part() {
        assert_eq!(encode("a b/c?d#e@f&g"), "a%20b/c%3Fd%23e%40f%26g");
        assert_eq!(encode("localhost:80/"), "localhost:80/");
        assert_eq!(encode("é+"), "%C3%A9%2B");
    }
}
