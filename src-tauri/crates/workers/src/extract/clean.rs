//! Text from outside, made fit for a title, a link or a page.

use std::borrow::Cow;

/// Decodes character references such as `&eacute;`.
pub(super) fn entities(text: &str) -> Cow<'_, str> {
    html_escape::decode_html_entities(text)
}

/// One line without characters that cannot be seen: what a title or a link's text may be.
pub(super) fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in visible(text).split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Without control characters (other than line ends and tabs), directional overrides, zero-width
/// characters and Unicode tags: they hide text from the reader or show it in another order.
/// Joiners stay where a script or an emoji needs them.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if text.is_ascii()
        && !text.bytes().any(|b| b.is_ascii_control() && !matches!(b, b'\n' | b'\t' | b'\r'))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let keep = match c {
            '\n' | '\t' | '\r' => true,
            '\u{200c}' | '\u{200d}' => {
                out.chars().next_back().is_some_and(|before| !before.is_ascii())
                    && chars.peek().is_some_and(|after| !after.is_ascii() && !is_hidden(*after))
            }
            c => !c.is_control() && !is_hidden(c),
        };
        if keep {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_shows_what_it_holds() {
        for (given, expected) in [
            ("  a \n\t b ", "a b"),
            ("pay\u{202e}gpj.exe", "paygpj.exe"),
            ("in\u{200b}visi\u{feff}ble\u{2066}", "invisible"),
            ("tag\u{e0041}\u{e007f}s", "tags"),
            ("man\u{ad}ual\u{0}", "manual"),
            ("\u{1f468}\u{200d}\u{1f469}", "\u{1f468}\u{200d}\u{1f469}"),
            ("a\u{200d}b", "ab"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
        ] {
            assert_eq!(line(given), expected, "{given:?}");
        }
    }
}
