//! Files that only name addresses: sitemaps, their indexes, and feeds.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use quick_xml::{XmlVersion, escape::resolve_predefined_entity, events::Event, reader::Reader};
use url::Url;

/// The largest sitemap that sitemaps.org allows, unpacked.
pub(super) const MOST_BYTES: usize = 50 << 20;
/// The most addresses that it allows in one.
const MOST_ADDRESSES: usize = 50_000;

/// What a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// Pages.
    Pages(Vec<Url>),
    /// More sitemaps.
    Sitemaps(Vec<Url>),
}

/// Reads a file; None if it is neither sitemap nor feed. `base` is where it came from.
pub(super) fn read(body: &[u8], base: &Url) -> Option<Listing> {
    let unpacked = unpack(body);
    let body = unpacked.as_deref().unwrap_or(body);
    let (text, _) = quaero_net::decode(body, None);
    let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    if start.starts_with('<') {
        return match root(start)?.as_str() {
            "urlset" => Some(Listing::Pages(locations(start, base))),
            "sitemapindex" => Some(Listing::Sitemaps(locations(start, base))),
            "rss" | "feed" | "RDF" => feed(body, base),
            _ => None,
        };
    }
    if start.starts_with('{') && start.contains("jsonfeed.org/version") {
        return feed(body, base);
    }
    None
}

/// Whether it is worth reading an answer: what calls itself HTML is a page.
pub(super) fn may_be(content_type: Option<&str>, body: &[u8]) -> bool {
    let kind = content_type.unwrap_or_default().to_ascii_lowercase();
    !kind.contains("html")
        && (kind.contains("xml") || kind.contains("json") || body.starts_with(b"<?xml"))
}

/// How many bytes there may be to read in a file.
pub(super) fn bytes(body: &[u8]) -> usize {
    if is_packed(body) { MOST_BYTES } else { body.len() }
}

fn is_packed(body: &[u8]) -> bool {
    body.starts_with(b"\x1f\x8b")
}

fn unpack(body: &[u8]) -> Option<Vec<u8>> {
    if !is_packed(body) {
        return None;
    }
    let mut out = Vec::new();
    // What comes before a defect, or before the limit, is as good as ever.
    let _ = MultiGzDecoder::new(body).take(MOST_BYTES as u64).read_to_end(&mut out);
    Some(out)
}

/// The name of the first element, without its prefix.
fn root(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    // Declarations, comments and instructions come before it; more than a few are no file of ours.
    for _ in 0..100 {
        match reader.read_event().ok()? {
            Event::Start(tag) | Event::Empty(tag) => {
                return Some(tag.local_name().as_ref().to_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
    None
}

/// The addresses in `loc` elements of a sitemap (sitemaps.org/protocol.html). Those of images and videos
/// have the same name and another prefix.
fn locations(text: &str, base: &Url) -> Vec<Url> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut found = Vec::new();
    let mut within: Option<String> = None;
    while found.len() < MOST_ADDRESSES {
        match (reader.read_event(), &mut within) {
            (Ok(Event::Eof) | Err(_), _) => break,
            (Ok(Event::Start(tag)), _) => {
                within = (tag.name().as_ref() == "loc").then(String::new);
            }
            (Ok(Event::End(_)), _) => {
                let text = within.take().unwrap_or_default();
                found.extend(base.join(text.trim()).ok().filter(|_| !text.trim().is_empty()));
            }
            (Ok(Event::Text(part)), Some(text)) => {
                text.push_str(&part.xml_content(XmlVersion::Implicit1_0));
            }
            (Ok(Event::CData(part)), Some(text)) => {
                text.push_str(&part.xml_content(XmlVersion::Implicit1_0));
            }
            (Ok(Event::GeneralRef(name)), Some(text)) => {
                let named = name.xml_content(XmlVersion::Implicit1_0);
                match name.resolve_char_ref() {
                    Ok(Some(c)) => text.push(c),
                    _ => text.push_str(resolve_predefined_entity(&named).unwrap_or_default()),
                }
            }
            (Ok(_), _) => {}
        }
    }
    found
}

fn feed(body: &[u8], base: &Url) -> Option<Listing> {
    let parsed =
        feed_rs::parser::Builder::new().base_uri(Some(base.as_str())).build().parse(body).ok()?;
    let alternate = |link: &feed_rs::model::Link| {
        link.rel.as_deref().is_none_or(|rel| rel.eq_ignore_ascii_case("alternate"))
    };
    let links = parsed.entries.iter().filter_map(|entry| {
        let link = entry.links.iter().find(|link| alternate(link))?;
        base.join(link.href.trim()).ok()
    });
    Some(Listing::Pages(links.take(MOST_ADDRESSES).collect()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn base() -> Url {
        Url::parse("https://example.org/feed/index.xml").expect("an address")
    }

    fn check(text: &str, expected: Option<(&str, &[&str])>) {
        let found = read(text.as_bytes(), &base()).map(|listing| match listing {
            Listing::Pages(urls) => ("pages", urls),
            Listing::Sitemaps(urls) => ("sitemaps", urls),
        });
        let found = found.map(|(kind, urls)| (kind, urls.iter().map(Url::to_string).collect()));
        let expected =
            expected.map(|(kind, urls)| (kind, urls.iter().map(|url| (*url).to_owned()).collect()));
        let (found, expected): (Option<(&str, Vec<String>)>, _) = (found, expected);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn sitemaps_and_feeds_name_their_addresses() {
        check(
            "\u{feff}<?xml version=\"1.0\"?><!-- made by hand --><urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>
             <url><loc> https://example.org/a?b=1&amp;c=2&#38;d </loc><lastmod>2026-01-01</lastmod></url>
             <url><loc><![CDATA[https://example.org/d]]></loc><image:image><image:loc>https://example.org/i.png</image:loc></image:image></url>
             <url><loc></loc></url><url><loc>/relative</loc></url></urlset>",
            Some(("pages", &["https://example.org/a?b=1&c=2&d", "https://example.org/d", "https://example.org/relative"])),
        );
        check(
            "<sitemapindex><sitemap><loc>https://example.org/s1.xml.gz</loc></sitemap></sitemapindex>",
            Some(("sitemaps", &["https://example.org/s1.xml.gz"])),
        );
        check(
            "<rss version='2.0'><channel><title>News</title><link>https://example.org/</link>
             <item><title>A</title><link>https://example.org/a</link></item><item><title>No link</title></item></channel></rss>",
            Some(("pages", &["https://example.org/a"])),
        );
        check(
            "<feed xmlns='http://www.w3.org/2005/Atom'><id>f</id><title>News</title><updated>2026-01-01T00:00:00Z</updated>
             <link rel='self' href='https://example.org/feed'/><entry><id>1</id><title>A</title><updated>2026-01-01T00:00:00Z</updated>
             <link rel='enclosure' href='https://example.org/a.mp3'/><link href='../a'/></entry></feed>",
            Some(("pages", &["https://example.org/a"])),
        );
        check(
            r#"{"version": "https://jsonfeed.org/version/1.1", "title": "News", "items": [{"id": "1", "url": "https://example.org/a", "content_text": "A"}]}"#,
            Some(("pages", &["https://example.org/a"])),
        );
        check("<html><body>A page about <urlset></body></html>", None);
        check("plain text", None);
        check(
            "<urlset><url><loc>https://example.org/a</loc></url><url><loc",
            Some(("pages", &["https://example.org/a"])),
        );
        check(
            "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><urlset><url><loc>https://example.org/&b;</loc></url></urlset>",
            Some(("pages", &["https://example.org/"])),
        );
    }

    #[test]
    fn packed_sitemaps_are_unpacked_within_limits() {
        let pack = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(text.as_bytes()).expect("memory takes it");
            encoder.finish().expect("memory takes it")
        };
        let text = "<urlset><url><loc>https://example.org/a</loc></url></urlset>";
        let mut packed = pack(text);
        let expected =
            Some(Listing::Pages(vec![Url::parse("https://example.org/a").expect("an address")]));
        assert_eq!(read(&packed, &base()), expected);
        packed.truncate(packed.len() - 6);
        assert_eq!(read(&packed, &base()), expected, "only the check sum is missing");
        let bomb = pack(&format!("<urlset>{}", " ".repeat(MOST_BYTES * 2)));
        assert_eq!(read(&bomb, &base()), Some(Listing::Pages(Vec::new())));
    }

    #[test]
    fn more_addresses_than_a_sitemap_may_have_are_left_out() {
        let text =
            format!("<urlset>{}</urlset>", "<url><loc>/a</loc></url>".repeat(MOST_ADDRESSES + 10));
        let Some(Listing::Pages(urls)) = read(text.as_bytes(), &base()) else {
            panic!("a sitemap")
        };
        assert_eq!(urls.len(), MOST_ADDRESSES);
    }
}
