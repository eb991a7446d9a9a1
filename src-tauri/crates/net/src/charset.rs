//! Bytes to text.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

/// Where a page may declare its charset; browsers look at the first 1,024 bytes.
const PRESCAN_BYTES: usize = 4096;
/// What the guess is made from.
const DETECT_BYTES: usize = 64 << 10;

/// The text of a body, and the name of its charset.
///
/// A byte order mark decides, then the `Content-Type` header, then the page's own declaration, then
/// a guess. What a charset cannot read becomes U+FFFD. A page that claims UTF-8 and is mostly not is
/// guessed as well.
#[must_use]
pub fn decode(bytes: &[u8], content_type: Option<&str>) -> (String, &'static str) {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return (
            encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned(),
            encoding.name(),
        );
    }
    let declared = content_type.and_then(of_content_type).or_else(|| of_page(bytes));
    let encoding = declared.unwrap_or_else(|| guess(bytes));
    let (text, broken) = encoding.decode_without_bom_handling(bytes);
    if broken && encoding == UTF_8 && is_mostly_broken(&text) {
        let guessed = guess(bytes);
        return (guessed.decode_without_bom_handling(bytes).0.into_owned(), guessed.name());
    }
    (text.into_owned(), encoding.name())
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&bytes[..bytes.len().min(DETECT_BYTES)], bytes.len() <= DETECT_BYTES);
    detector.guess(None, Utf8Detection::Allow)
}

fn is_mostly_broken(text: &str) -> bool {
    let (mut broken, mut sound) = (0_usize, 0_usize);
    for ch in text.chars().filter(|ch| !ch.is_ascii()) {
        *if ch == char::REPLACEMENT_CHARACTER { &mut broken } else { &mut sound } += 1;
    }
    broken > sound
}

/// A charset by its name. The labels that stand for "do not read this" are not taken.
fn of_label(label: &str) -> Option<&'static Encoding> {
    let label = label.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != REPLACEMENT)
}

fn of_content_type(header: &str) -> Option<&'static Encoding> {
    header.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| of_label(value)).flatten()
    })
}

/// What `<meta charset>`, `<meta http-equiv content>` or an XML declaration says. As the text could
/// be read up to there as ASCII, it cannot be UTF-16.
fn of_page(bytes: &[u8]) -> Option<&'static Encoding> {
    let head: String =
        bytes[..bytes.len().min(PRESCAN_BYTES)].iter().map(|byte| char::from(*byte)).collect();
    let head = head.to_ascii_lowercase();
    let declaration = head.trim_start().strip_prefix("<?xml").and_then(|rest| {
        let declaration = &rest[..rest.find("?>")?];
        value_after(declaration, "encoding")
    });
    let encoding = declaration.and_then(of_label).or_else(|| {
        head.match_indices("<meta").find_map(|(at, _)| {
            let tag = &head[at..];
            let tag = &tag[..tag.find('>').unwrap_or(tag.len())];
            of_label(value_after(tag, "charset")?)
        })
    })?;
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

/// The word after `name =`, without quotes.
fn value_after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text[text.find(name)? + name.len()..].trim_start().strip_prefix('=')?;
    let rest = rest.trim_start().trim_start_matches(['"', '\'']);
    let end = rest.find(|c: char| c.is_whitespace() || "\"';/>".contains(c)).unwrap_or(rest.len());
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_then_header_then_page_then_guess() {
        let legacy = b"<meta charset=windows-1251><p>\xcf\xf0\xe8\xe2\xe5\xf2";
        let rows: [(&[u8], Option<&str>, &str, &str); 13] = [
            ("é".as_bytes(), None, "UTF-8", "é"),
            (b"\xef\xbb\xbf\xc3\xa9", Some("text/html; charset=iso-8859-1"), "UTF-8", "é"),
            (b"\xff\xfea\0", Some("text/html; charset=utf-8"), "UTF-16LE", "a"),
            (b"\xe9", Some("text/html;Charset=\"ISO-8859-1\""), "windows-1252", "é"),
            (b"\xe9t\xe9", Some("text/html; charset=nonsense"), "windows-1252", "été"),
            (b"a+AG8-", Some("text/html; charset=utf-7"), "UTF-8", "a+AG8-"),
            (legacy, None, "windows-1251", "<meta charset=windows-1251><p>Привет"),
            (
                legacy,
                Some("text/html; charset=utf-8"),
                "windows-1251",
                "<meta charset=windows-1251><p>Привет",
            ),
            (
                b"<?xml version='1.0' encoding='ISO-8859-2'?>\xb1",
                None,
                "ISO-8859-2",
                "<?xml version='1.0' encoding='ISO-8859-2'?>ą",
            ),
            (
                b"<meta http-equiv=x content='text/html; charset=koi8-r'>\xd0",
                None,
                "KOI8-R",
                "<meta http-equiv=x content='text/html; charset=koi8-r'>п",
            ),
            (b"<meta charset=utf-16>a", None, "UTF-8", "<meta charset=utf-16>a"),
            (
                b"one bad \xff byte",
                Some("text/html; charset=utf-8"),
                "windows-1252",
                "one bad ÿ byte",
            ),
            (
                "é é é \u{1F600}".as_bytes(),
                Some("text/html; charset=utf-8"),
                "UTF-8",
                "é é é \u{1F600}",
            ),
        ];
        for (bytes, content_type, charset, text) in rows {
            assert_eq!(
                decode(bytes, content_type),
                (text.to_owned(), charset),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn a_few_bad_bytes_do_not_spoil_a_page() {
        let (text, charset) =
            decode(b"\xc3\xa9\xc3\xa9\xc3\xa9\xff", Some("text/html; charset=utf-8"));
        assert_eq!((text.as_str(), charset), ("ééé\u{fffd}", "UTF-8"));
    }
}
