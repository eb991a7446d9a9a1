//! Who gets what of a session.

use serde::Deserialize;

use super::*;

const NOW: i64 = 1_000_000;

fn cookie(name: &str, domain: &str) -> Cookie {
    Cookie {
        name: name.to_owned(),
        value: "v".to_owned(),
        domain: domain.to_owned(),
        subdomains: true,
        path: "/".to_owned(),
        secure: false,
        expires: None,
    }
}

fn session(site: &str, cookies: Vec<Cookie>) -> Session {
    let headers = [("authorization", "Bearer t"), ("Host", "evil.example"), ("x y", "z")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Session::new("work", site, &headers, cookies, NOW).expect("a site")
}

/// The `Cookie` and `Authorization` headers that an address gets.
fn sent(session: &Session, url: &str) -> (String, String) {
    let headers = session.headers(&Url::parse(url).expect("an address"));
    let text = |name: &str| {
        let value = headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        assert!(headers.get(name).is_none_or(HeaderValue::is_sensitive), "{name} can be logged");
        value.unwrap_or_default()
    };
    assert!(!headers.contains_key("host"));
    (text("cookie"), text("authorization"))
}

#[test]
fn a_cookie_goes_where_it_belongs() {
    let cookies = vec![
        cookie("wide", "example.org"),
        Cookie { subdomains: false, ..cookie("host", "www.example.org") },
        Cookie { path: "/docs".to_owned(), ..cookie("path", "example.org") },
        Cookie { secure: true, ..cookie("secure", "example.org") },
        Cookie { expires: Some(NOW), ..cookie("over", "example.org") },
        Cookie { expires: Some(NOW + 100), ..cookie("later", "example.org") },
        cookie("foreign", "example.com"),
        cookie("public", "org"),
    ];
    let session = session("www.example.org", cookies);
    let rows = [
        ("https://example.org/", "wide=v; secure=v; later=v", "Bearer t"),
        ("https://www.example.org/", "wide=v; host=v; secure=v; later=v", "Bearer t"),
        ("https://a.www.example.org/", "wide=v; secure=v; later=v", "Bearer t"),
        ("http://example.org/", "wide=v; later=v", ""),
        ("https://example.org:8443/docs/a", "path=v; wide=v; secure=v; later=v", "Bearer t"),
        ("https://example.org/docs", "path=v; wide=v; secure=v; later=v", "Bearer t"),
        ("https://example.org/docsx", "wide=v; secure=v; later=v", "Bearer t"),
        ("https://example.com/", "", ""),
        ("https://notexample.org/", "", ""),
        ("https://example.org.evil.example/", "", ""),
        ("https://127.0.0.1/", "", ""),
    ];
    for (url, cookies, authorization) in rows {
        assert_eq!(sent(&session, url), (cookies.to_owned(), authorization.to_owned()), "{url}");
    }
}

#[test]
fn a_host_of_the_own_network_is_a_site_of_its_own() {
    let session = session("127.0.0.1:8080", vec![cookie("a", "127.0.0.1")]);
    let both = ("a=v".to_owned(), "Bearer t".to_owned());
    assert_eq!(sent(&session, "http://127.0.0.1:8080/"), both);
    for url in ["http://127.0.0.1/", "http://127.0.0.1:8081/", "http://a.127.0.0.1.example:8080/"] {
        assert_eq!(sent(&session, url), Default::default(), "{url}");
    }
}

/// A row of `attacks/cookies.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default = "page")]
    at: String,
    set: Vec<String>,
    #[serde(default = "once")]
    times: usize,
    #[serde(default = "once")]
    long: usize,
    #[serde(default = "page")]
    asked: String,
    sent: Option<String>,
    kept: Option<usize>,
}

fn page() -> String {
    "https://www.example.org/docs/page".to_owned()
}

const fn once() -> usize {
    1
}

#[test]
fn what_a_site_sets_is_kept_as_browsers_keep_it() {
    #[derive(Deserialize)]
    struct Table {
        row: Vec<Row>,
    }
    let text = include_str!("../../../../../tests/attacks/cookies.toml");
    let table: Table = toml::from_str(text).expect("the rows");
    for Row { name, at, set, times, long, asked, sent: expected, kept } in table.row {
        let session = session("example.org", Vec::new());
        let url = Url::parse(&at).expect("an address");
        for n in 0..times {
            let mut answer = HeaderMap::new();
            for text in &set {
                let text = text.replace("{n}", &n.to_string()).replace("{long}", &"x".repeat(long));
                answer.append(SET_COOKIE, HeaderValue::from_bytes(text.as_bytes()).expect("one"));
            }
            session.take(&url, &answer);
        }
        let (found, _) = sent(&session, &asked);
        assert!(expected.is_none_or(|expected| found == expected), "{name}: {found:.300}");
        assert!(found.len() <= MAX_HEADER_BYTES, "{name}: {} bytes", found.len());
        let number = session.cookies().len();
        assert!(kept.is_none_or(|kept| number == kept), "{name}: {number} are kept");
    }
}

#[test]
fn a_session_is_over_with_its_last_cookie() {
    let at = |expires| Cookie { expires, ..cookie("a", "example.org") };
    let rows = [
        (vec![], false),
        (vec![at(None)], false),
        (vec![at(Some(NOW - 1))], true),
        (vec![at(Some(NOW - 1)), at(Some(NOW + 1_000))], false),
    ];
    for (cookies, over) in rows {
        assert_eq!(session("example.org", cookies.clone()).is_over(), over, "{cookies:?}");
    }
}

#[test]
fn a_site_is_named_by_any_of_its_hosts() {
    let rows = [
        ("www.example.co.uk", Some("example.co.uk")),
        (".example.org", Some("example.org")),
        ("intranet", Some("intranet")),
        ("127.0.0.1:8080", Some("127.0.0.1:8080")),
        ("https://example.org/", None),
        ("me@example.org", None),
        ("", None),
    ];
    for (host, site) in rows {
        assert_eq!(site_name(host).ok().as_deref(), site, "{host}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let secret = Cookie { value: "canary".to_owned(), ..cookie("a", "example.org") };
    let printed = format!("{secret:?} {:?}", session("example.org", vec![secret.clone()]));
    assert!(!printed.contains("canary") && !printed.contains("Bearer"), "{printed}");
}
