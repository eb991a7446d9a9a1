//! What single elements say: title, metadata, links, images, and text of unusual kinds.

use super::{IMAGE_END, IMAGE_START, Image, OpenLink, Pass, Skip, tag::Tag};
use url::Url;

use crate::extract::{
    Link, clean,
    text::{cut, without_tags},
};

/// Bytes of text that a `<noscript>` must hold to be content.
const MIN_NOSCRIPT: usize = 600;
/// Bytes of it that are looked at to know.
const MAX_NOSCRIPT: usize = 64 * 1024;
/// Different addresses kept from one page.
const MAX_LINKS: usize = 10_000;
/// Bytes of one address.
const MAX_URL: usize = 2048;
/// Bytes of JSON-LD kept from one page.
const MAX_JSON_LD: usize = 256 * 1024;
/// Blocks of it.
const MAX_JSON_LD_BLOCKS: usize = 100;
/// Letters of a link's text.
const MAX_LINK_TEXT: usize = 200;
/// Most images of one page.
const MAX_IMAGES: usize = 2_000;

/// Marks that point to the heading beside them.
pub(super) const PERMALINKS: [&str; 7] = [
    "headerlink",
    "header-anchor",
    "heading-anchor",
    "anchorjs-link",
    "hash-link",
    "anchor",
    "permalink",
];

impl<'a> Pass<'a> {
    pub(super) fn script(&mut self, tag: &Tag<'a>) -> usize {
        if tag.self_closing && self.xml {
            return tag.end;
        }
        let close = self.close_of("script", tag.end);
        let kept: usize = self.out.json_ld.iter().map(String::len).sum();
        if tag.raw("type").is_some_and(|kind| kind.eq_ignore_ascii_case("application/ld+json"))
            && kept + (close - tag.end) <= MAX_JSON_LD
            && self.out.json_ld.len() < MAX_JSON_LD_BLOCKS
        {
            let json = &self.html[tag.end..close];
            self.out.json_ld.push(json.to_owned());
            self.out.html.push_str("<script type=\"application/ld+json\">");
            self.out.html.push_str(json);
            self.out.html.push_str("</script>");
        }
        self.find(close, ">").map_or(self.html.len(), |end| end + 1)
    }

    /// Usually a tracking image or a plea to turn scripts on; sometimes the whole content.
    pub(super) fn noscript(&mut self, tag: &Tag<'a>) -> usize {
        if tag.end < self.noscript_end {
            return tag.end;
        }
        let close = self.close_of("noscript", tag.end);
        let content = without_tags(cut(&self.html[tag.end..close], MAX_NOSCRIPT));
        if content.trim().len() > MIN_NOSCRIPT {
            self.noscript_end = close;
            return tag.end;
        }
        self.find(close, ">").map_or(self.html.len(), |end| end + 1)
    }

    pub(super) fn title(&mut self, tag: &Tag<'a>) -> usize {
        let close = self.close_of("title", tag.end);
        let text = &self.html[tag.end..close];
        if self.out.title.is_empty() {
            self.out.title = cut(text, 4000).to_owned();
            self.out.html.push_str("<title>");
            self.out.html.push_str(&text.replace('<', "&lt;"));
            self.out.html.push_str("</title>");
        }
        self.find(close, ">").map_or(self.html.len(), |end| end + 1)
    }

    /// Old elements whose content is shown as it is.
    pub(super) fn preformatted(&mut self, name: &str, tag: &Tag<'a>) -> usize {
        let close =
            if name == "plaintext" { self.html.len() } else { self.close_of(name, tag.end) };
        self.out.html.push_str("<pre><code>");
        let text = escape(&self.html[tag.end..close]);
        self.text(&text);
        self.out.html.push_str("</code></pre>");
        self.find(close, ">").map_or(self.html.len(), |end| end + 1)
    }

    /// A formula becomes its own source where the page gives it.
    pub(super) fn math(&mut self, tag: &Tag<'a>) -> usize {
        if let Some(source) = tag.raw("alttext") {
            self.out.html.push_str("<code>");
            self.text(&source.replace('<', "&lt;"));
            self.out.html.push_str("</code>");
            self.skip = Some(Skip { name: "math", depth: 0, until_block: true });
        }
        tag.end
    }

    pub(super) fn meta(&mut self, tag: &Tag<'a>) {
        let Some(content) = tag.get("content").filter(|content| !content.trim().is_empty()) else {
            return;
        };
        if tag.raw("http-equiv").is_some_and(|key| key.trim().eq_ignore_ascii_case("refresh")) {
            self.refresh(&content);
        }
        for key in ["name", "property", "itemprop", "http-equiv"] {
            if let Some(name) = tag.raw(key) {
                self.out
                    .meta
                    .entry(name.trim().to_ascii_lowercase())
                    .or_insert_with(|| clean::line(&content));
            }
        }
    }

    /// A page that sends the reader on after some seconds leads there: `0; url=latest/`.
    fn refresh(&mut self, content: &str) {
        let Some((_, target)) = content.split_once([';', ',']) else { return };
        let target = target.trim();
        let after_name = target
            .get(..3)
            .filter(|name| name.eq_ignore_ascii_case("url"))
            .and_then(|_| target[3..].trim_start().strip_prefix('='));
        let target = after_name.unwrap_or(target).trim().trim_matches(['"', '\'']);
        if let Some(url) = self.resolve(target) {
            self.add_link(Link { url, text: String::new(), nofollow: false });
        }
    }

    /// The first counts. An overlong one is none: it would be copied for every link.
    pub(super) fn set_base(&mut self, tag: &Tag<'a>) {
        let Some(href) = tag.raw("href") else { return };
        if std::mem::replace(&mut self.has_base, true) || href.len() > MAX_URL {
            return;
        }
        if let Ok(base) = self.base.join(clean::entities(href).trim()) {
            self.base = base;
        }
    }

    pub(super) fn head_link(&mut self, tag: &Tag<'a>) {
        if self.out.canonical.is_none() && tag.has_token("rel", &["canonical"]) {
            self.out.canonical = tag
                .get("href")
                .filter(|href| href.len() <= MAX_URL)
                .and_then(|href| self.base.join(href.trim()).ok());
        }
    }

    pub(super) fn begin_link(&mut self, name: &str, tag: &Tag<'a>) {
        if name == "a" {
            self.end_link();
        }
        if self.out.links.len() >= MAX_LINKS {
            return;
        }
        let Some(url) = tag.get("href").and_then(|href| self.resolve(href.trim())) else { return };
        let nofollow = tag.has_token("rel", &["nofollow"]);
        let text = if name == "area" { tag.raw("alt").unwrap_or_default() } else { "" };
        self.link = Some(OpenLink { url, text: text.to_owned(), nofollow });
        if name == "area" {
            self.end_link();
        }
    }

    pub(super) fn resolve(&self, href: &str) -> Option<Url> {
        if href.is_empty() || href.starts_with('#') || href.len() > MAX_URL {
            return None;
        }
        let mut url = self.base.join(href).ok()?;
        url.set_fragment(None);
        let followable =
            matches!(url.scheme(), "http" | "https") || url.scheme() == self.base.scheme();
        (followable && url != self.page && url.as_str().len() <= MAX_URL).then_some(url)
    }

    pub(super) fn end_link(&mut self) {
        let Some(link) = self.link.take() else { return };
        let text = clean::line(&clean::entities(&link.text)).chars().take(MAX_LINK_TEXT).collect();
        self.add_link(Link { url: link.url, text, nofollow: link.nofollow });
    }

    fn add_link(&mut self, link: Link) {
        if let Some(&index) = self.seen.get(&link.url) {
            let known: &mut Link = &mut self.out.links[index];
            known.nofollow &= link.nofollow;
            if known.text.is_empty() {
                known.text = link.text;
            }
            return;
        }
        if self.out.links.len() < MAX_LINKS {
            self.seen.insert(link.url.clone(), self.out.links.len());
            self.out.links.push(link);
        }
    }

    /// The finders drop images. So a mark that they take for text stands in for each.
    pub(super) fn image(&mut self, tag: &Tag<'a>) {
        let alt = tag.get("alt");
        let description = clean::line(alt.as_deref().unwrap_or_default());
        if let Some(link) = &mut self.link
            && link.text.len() < MAX_LINK_TEXT
        {
            link.text.push_str(cut(&description, MAX_LINK_TEXT));
        }
        let tiny = |key| {
            tag.raw(key).is_some_and(|size| matches!(size.trim_end_matches("px"), "0" | "1" | "2"))
        };
        // An empty description says that the image is decoration.
        if alt.as_deref() == Some("")
            || tiny("width")
            || tiny("height")
            || self.out.images.len() >= MAX_IMAGES
        {
            return;
        }
        let source = ["data-src", "data-original", "src"]
            .into_iter()
            .filter_map(|key| tag.get(key))
            .find_map(|source| {
                let url = self.base.join(source.trim()).ok()?;
                let known =
                    matches!(url.scheme(), "http" | "https") || url.scheme() == self.base.scheme();
                (known && url.as_str().len() <= MAX_URL).then_some(url)
            });
        let Some(source) = source else { return };
        let title = clean::line(&tag.get("title").unwrap_or_default());
        let mark = format!("{IMAGE_START}{}{IMAGE_END} ", self.out.images.len());
        self.out.html.push_str(&mark);
        self.out.images.push(Image { url: source, description, title });
    }
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
