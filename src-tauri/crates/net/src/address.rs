//! One spelling for each address, and what belongs to one site.

use url::{Host, Url};

use crate::policy::AddressPolicy;

/// Query parameters that tell who came from where, never what the page is.
const TRACKING: [&str; 20] = [
    "_ga",
    "_gl",
    "_hsenc",
    "_hsmi",
    "dclid",
    "fbclid",
    "gbraid",
    "gclid",
    "gclsrc",
    "igshid",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "msclkid",
    "oly_anon_id",
    "oly_enc_id",
    "vero_id",
    "wbraid",
    "wickedid",
    "yclid",
];
/// Query parameters that number the visitor.
const SESSION: [&str; 4] = ["cfid", "cftoken", "jsessionid", "phpsessid"];

/// The one spelling of an address, which identifies what is behind it.
///
/// Fragment, default port, dot segments, needless percent-encoding, tracking and session parameters
/// go; what may tell two resources apart stays (`%2F` is not `/`, the order of parameters, case).
/// `normalise(normalise(a)) == normalise(a)`.
#[must_use]
pub fn normalise(url: &Url) -> Url {
    let mut known = pass(url);
    // What one pass removes can uncover something to remove; no address needs more than a few.
    for _ in 0..16 {
        let next = pass(&known);
        if next == known {
            break;
        }
        known = next;
    }
    known
}

fn pass(url: &Url) -> Url {
    let mut plain = url.clone();
    plain.set_fragment(None);
    if let Some(Host::Domain(name)) = url.host()
        && let Some(bare) = name.strip_suffix('.')
        && !bare.ends_with('.')
    {
        // A name that cannot stand without its dot keeps it.
        let _ = plain.set_host(Some(bare));
    }
    if plain.cannot_be_a_base() {
        return plain;
    }
    let path = without_session(&plain_percent(plain.path()));
    plain.set_path(&path);
    let query = plain.query().map(plain_percent).unwrap_or_default();
    let kept: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty() && !is_noise(pair)).collect();
    plain.set_query((!kept.is_empty()).then(|| kept.join("&")).as_deref());
    plain
}

/// Decodes what needs no encoding and writes the rest in capitals: `%7e` is `~`, `%2f` is `%2F`. A
/// text with a `%` that encodes nothing stays as it is: decoding could complete that `%`.
pub(crate) fn plain_percent(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some(byte) = part.as_bytes().get(..2).and_then(hex_pair) else {
            return text.to_owned();
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&part[..2].to_ascii_uppercase());
        }
        out.push_str(&part[2..]);
    }
    out
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(pair[0])? << 4 | digit(pair[1])?)
}

fn without_session(path: &str) -> String {
    let lower = path.to_ascii_lowercase();
    let mut out = String::with_capacity(path.len());
    let mut at = 0;
    while let Some(start) = lower[at..].find(";jsessionid=").map(|offset| at + offset) {
        out.push_str(&path[at..start]);
        at = path[start + 1..].find([';', '/']).map_or(path.len(), |length| start + 1 + length);
    }
    out.push_str(&path[at..]);
    out
}

fn is_noise(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name).to_ascii_lowercase();
    name.starts_with("utm_")
        || name.starts_with("aspsessionid")
        || TRACKING.contains(&name.as_str())
        || SESSION.contains(&name.as_str())
}

/// What an address belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Site {
    /// A registrable domain: `example.co.uk` with all its subdomains.
    Domain(String),
    /// One host and port: a bare address, a name without a registrable domain, or a host that the
    /// definition names. Without a port it is the usual one, of http and of https.
    Host(String, Option<u16>),
}

impl Site {
    /// The site of an http or https address.
    #[must_use]
    pub fn of(url: &Url, policy: &AddressPolicy) -> Self {
        let name = url.domain().map(|name| name.trim_end_matches('.'));
        if let Some(name) = name
            && !policy.names(url)
            && let Some(domain) = psl::domain_str(name)
        {
            return Self::Domain(domain.to_owned());
        }
        let host = name.or(url.host_str()).unwrap_or_default();
        Self::Host(host.to_owned(), url.port())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    fn normal(text: &str) -> String {
        normalise(&Url::parse(text).expect("the test's own address")).into()
    }

    /// `attacks/addresses.toml`.
    #[test]
    fn one_resource_has_one_spelling() {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            name: String,
            url: String,
            normal: String,
        }
        #[derive(Deserialize)]
        struct Table {
            row: Vec<Row>,
        }
        let text = include_str!("../../../../tests/attacks/addresses.toml");
        let table: Table = toml::from_str(text).expect("the rows");
        for Row { name, url, normal: expected } in table.row {
            let found = normal(&url);
            assert_eq!(found, expected, "{name}");
            assert_eq!(normal(&found), found, "{name}: twice is as once");
        }
    }

    #[test]
    fn an_address_of_any_length_is_normalised() {
        let address = format!("http://example.org/a{}/b", ";jsessionid=1".repeat(100_000));
        assert_eq!(normal(&address), "http://example.org/a/b");
    }

    #[test]
    fn a_site_is_a_registrable_domain_or_one_host_and_port() {
        let policy = AddressPolicy::new(&["wiki.example.org:8080", "intranet"]).expect("two hosts");
        let same = |a: &str, b: &str| {
            let site =
                |text: &str| Site::of(&Url::parse(text).expect("the test's own address"), &policy);
            site(a) == site(b)
        };
        for (a, b) in [
            ("http://example.org/", "https://www.example.org:8443/"),
            ("http://a.example.co.uk/", "http://b.example.co.uk./"),
            ("http://127.0.0.1:80/", "http://127.0.0.1/"),
            ("http://intranet/", "https://intranet/"),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("http://example.co.uk/", "http://other.co.uk/"),
            ("http://a.github.io/", "http://b.github.io/"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:2/"),
            ("http://localhost:1/", "http://localhost:2/"),
            ("http://wiki.example.org:8080/", "http://example.org/"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn normalising_twice_changes_nothing_more(
            host in "[a-z]{1,5}(\\.[a-z]{2,4}){1,2}\\.?(:(80|443|8080))?",
            path in "([/.;=%~]|%2[0-9a-fA-F]|%[0-9a-f]{2}|;jsessionid=|[a-zA-Z0-9é\\\\ ]){0,24}",
            query in "([&=?;+%]|%[0-9a-fA-F]{2}|utm_|gclid|[a-z ö']){0,24}",
        ) {
            if let Ok(url) = Url::parse(&format!("http://{host}/{path}?{query}#x")) {
                let once = normalise(&url);
                prop_assert_eq!(&normalise(&once), &once);
                prop_assert_eq!(&normalise(&Url::parse(once.as_str()).expect("its own text")), &once);
            }
        }
    }
}
