//! How two texts differ, line by line.

use std::time::Duration;

use quaero_contract::{ApiError, DiffHunk, DiffKind, DiffLine, DiffPart, ErrorCode, TextDiff};
use similar::{ChangeTag, DiffOp};

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;
/// More bytes than this are not compared.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Lines shown at most, over all hunks.
const MAX_LINES: usize = 10_000;
/// After this time the rest is told as removed and added without looking for what is the same.
const PATIENCE: Duration = Duration::from_millis(500);

/// How `old` became `new`. Within lines that were changed, the pieces that differ are marked.
///
/// # Errors
/// `invalid` if one of them has more than 4 MiB.
pub fn diff_texts(old: &str, new: &str) -> Result<TextDiff, ApiError> {
    let longest = old.len().max(new.len());
    if longest > MAX_BYTES {
        let message =
            format!("A text of {longest} bytes is not compared; at most {MAX_BYTES} are allowed.");
        return Err(ApiError::new(ErrorCode::Invalid, message));
    }
    let diff = similar::TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
    let mut result = TextDiff::default();
    for op in diff.ops() {
        match *op {
            DiffOp::Equal { .. } => {}
            DiffOp::Delete { old_len, .. } => result.removed += number(old_len),
            DiffOp::Insert { new_len, .. } => result.added += number(new_len),
            DiffOp::Replace { old_len, new_len, .. } => {
                result.removed += number(old_len);
                result.added += number(new_len);
            }
        }
    }
    let mut left = MAX_LINES;
    for group in diff.grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (old, new) = (
            first.old_range().start..last.old_range().end,
            first.new_range().start..last.new_range().end,
        );
        if old.len() + new.len() > left {
            result.truncated = true;
            break;
        }
        left -= old.len() + new.len();
        let start = |range: &std::ops::Range<usize>| match range.len() {
            0 => 0,
            _ => number(range.start + 1),
        };
        result.hunks.push(DiffHunk {
            old_start: start(&old),
            old_lines: number(old.len()),
            new_start: start(&new),
            new_lines: number(new.len()),
            lines: group.iter().flat_map(|op| diff.iter_inline_changes(op)).map(line).collect(),
        });
    }
    Ok(result)
}

fn line(change: similar::InlineChange<'_, str>) -> DiffLine {
    let mut parts: Vec<DiffPart> = Vec::new();
    for &(changed, text) in change.values() {
        let text = text.strip_suffix('\n').unwrap_or(text);
        match parts.last_mut() {
            _ if text.is_empty() => {}
            Some(part) if part.changed == changed => part.text.push_str(text),
            _ => parts.push(DiffPart { text: text.to_owned(), changed }),
        }
    }
    DiffLine {
        kind: match change.tag() {
            ChangeTag::Equal => DiffKind::Same,
            ChangeTag::Insert => DiffKind::Added,
            ChangeTag::Delete => DiffKind::Removed,
        },
        old: change.old_index().map(|index| number(index + 1)),
        new: change.new_index().map(|index| number(index + 1)),
        parts,
        unterminated: change.missing_newline(),
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hunks as text: `[` and `]` around the pieces that differ, `\` for no line break.
    fn shown(old: &str, new: &str) -> String {
        let diff = diff_texts(old, new).expect("compared");
        let mut text = format!("-{} +{}", diff.removed, diff.added);
        for hunk in &diff.hunks {
            let DiffHunk { old_start, old_lines, new_start, new_lines, lines } = hunk;
            text += &format!("\n@ {old_start},{old_lines} {new_start},{new_lines}");
            for line in lines {
                let sign = match line.kind {
                    DiffKind::Same => ' ',
                    DiffKind::Added => '+',
                    DiffKind::Removed => '-',
                };
                let place = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
                text += &format!("\n{sign}{}:{} ", place(line.old), place(line.new));
                for part in &line.parts {
                    text +=
                        &if part.changed { format!("[{}]", part.text) } else { part.text.clone() };
                }
                if line.unterminated {
                    text.push('\\');
                }
            }
        }
        text
    }

    #[test]
    fn lines_have_their_numbers_and_what_differs_is_marked() {
        let rows = [
            ("same\n", "same\n", "-0 +0"),
            ("", "", "-0 +0"),
            ("", "a\nb\n", "-0 +2\n@ 0,0 1,2\n+:1 a\n+:2 b"),
            ("a\n", "", "-1 +0\n@ 1,1 0,0\n-1: a"),
            ("a\n", "a", "-1 +1\n@ 1,1 1,1\n-1: a\n+:1 a\\"),
            (
                "one\ntwo = 1 there\nthree\n",
                "one\ntwo = 2 there\nthree\n",
                "-1 +1\n@ 1,3 1,3\n 1:1 one\n-2: two = [1] there\n+:2 two = [2] there\n 3:3 three",
            ),
            (
                "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
                "0\n1\n2\n3\n4\n5\n6\n7\n8\n",
                "-1 +1\n@ 1,3 1,4\n+:1 0\n 1:2 1\n 2:3 2\n 3:4 3\n@ 6,4 7,3\n 6:7 6\n 7:8 7\n 8:9 8\n-9: 9",
            ),
        ];
        for (old, new, expected) in rows {
            assert_eq!(shown(old, new), expected, "{old:?} → {new:?}");
        }
    }

    #[test]
    fn large_texts_end_in_a_bounded_answer() {
        let (old, new): (String, String) =
            (0..60_000).map(|n| (format!("a{n}\n"), format!("b{n}\n"))).unzip();
        let diff = diff_texts(&old, &new).expect("compared");
        assert_eq!((diff.removed, diff.added, diff.truncated), (60_000, 60_000, true));
        assert_eq!(diff.hunks, []);
        let huge = "x".repeat(MAX_BYTES + 1);
        assert_eq!(diff_texts(&huge, "").expect_err("refused").code, ErrorCode::Invalid);
    }
}
