//! Just enough of Rust's grammar to tell code from comments and string literals.

/// The parts of a Rust file.
pub(super) struct Parts {
    /// The text with comments and the insides of literals blanked; lines stay where they are.
    pub(super) code: String,
    /// Each string literal's line, from 1, and its text as it is written.
    pub(super) strings: Vec<(usize, String)>,
}

/// Takes a file apart.
pub(super) fn split(text: &str) -> Parts {
    let chars: Vec<char> = text.chars().collect();
    let mut parts = Parts { code: String::with_capacity(text.len()), strings: Vec::new() };
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_comment(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_comment(&chars, at),
            '"' => string(&chars, at, &mut parts),
            'r' if !continues_a_word(&chars, at) && raw_hashes(&chars, at).is_some() => {
                raw_string(&chars, at, &mut parts)
            }
            '\'' => char_or_lifetime(&chars, at),
            other => {
                parts.code.push(other);
                at += 1;
                continue;
            }
        };
        parts.code.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    parts
}

fn line_comment(chars: &[char], start: usize) -> usize {
    (start..chars.len()).find(|&at| chars[at] == '\n').unwrap_or(chars.len())
}

fn block_comment(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_u32);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (at, depth) = (at + 2, depth + 1),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    chars.len()
}

fn string(chars: &[char], start: usize, parts: &mut Parts) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    keep(&chars[start + 1..at.min(chars.len())], parts);
    (at + 1).min(chars.len())
}

/// How many `#` follow the `r` of a raw string.
fn raw_hashes(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    (chars.get(start + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn raw_string(chars: &[char], start: usize, parts: &mut Parts) -> usize {
    let hashes = raw_hashes(chars, start).unwrap_or(0);
    let open = start + 2 + hashes;
    let closes =
        |at: usize| chars[at] == '"' && (1..=hashes).all(|n| chars.get(at + n) == Some(&'#'));
    let close = (open..chars.len()).find(|&at| closes(at)).unwrap_or(chars.len());
    keep(&chars[open..close], parts);
    (close + 1 + hashes).min(chars.len())
}

/// A `'` begins a character or names a lifetime.
fn char_or_lifetime(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => {
            (start + 3..chars.len()).find(|&at| chars[at] == '\'').map_or(chars.len(), |at| at + 1)
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// `r` at the end of a name, as in `for"`, does not begin a raw string. `br"` does.
fn continues_a_word(chars: &[char], at: usize) -> bool {
    let word: String =
        chars[..at].iter().rev().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
    !matches!(word.as_str(), "" | "b" | "c")
}

fn keep(text: &[char], parts: &mut Parts) {
    let line = parts.code.matches('\n').count() + 1;
    parts.strings.push((line, text.iter().collect()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_comments_and_strings_are_told_apart() {
        let rows: [(&str, &str, &[&str]); 8] = [
            ("a(); // \"no\" b()\nc()", "a();            \nc()", &[]),
            ("a /* x /* y */ z */ b", "a                   b", &[]),
            (r#"f("he said \"x\"") + g"#, r"f(               ) + g", &[r#"he said \"x\""#]),
            ("r#\"SELECT \"1\"\"#;", "               ;", &["SELECT \"1\""]),
            ("br\"x\"", "b    ", &["x"]),
            ("let c = '\"'; d", "let c =    ; d", &[]),
            (r"'\'' x '\n'", "     x     ", &[]),
            ("fn f<'a>(x: &'a str)", "fn f< a>(x: & a str)", &[]),
        ];
        for (text, code, strings) in rows {
            let parts = split(text);
            assert_eq!(parts.code, code, "{text}");
            assert_eq!(
                parts.strings.iter().map(|(_, s)| s.as_str()).collect::<Vec<_>>(),
                strings,
                "{text}"
            );
        }
    }

    #[test]
    fn strings_know_their_line() {
        assert_eq!(split("a\n\"one\"\n  r\"two\"").strings, [(2, "one".into()), (3, "two".into())]);
    }
}
