//! Who gets what of a session.

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

#[test]
fn what_a_site_sets_is_kept_as_browsers_keep_it() {
    let url = Url::parse("https://www.example.org/docs/page").expect("an address");
    let rows = [
        ("a=1", "https://www.example.org/docs/x", "a=1"),
        ("a=1", "https://www.example.org/", ""),
        ("a=1", "https://example.org/docs/", ""),
        ("a=1; Path=/; Domain=example.org", "https://example.org/", "a=1"),
        ("a=1; path=/; domain=.Example.org", "https://b.example.org/", "a=1"),
        ("a=1; Path=/; Domain=org", "https://www.example.org/", ""),
        ("a=1; Path=/; Domain=b.example.org", "https://b.example.org/", ""),
        ("a=1; Path=/; Domain=example.com", "https://example.com/", ""),
        ("a=1; Path=/; Secure", "http://www.example.org/", ""),
        ("a=1; Path=/; Max-Age=10", "https://www.example.org/", "a=1"),
        ("a=1; Path=/; Max-Age=0", "https://www.example.org/", ""),
        ("a=1; Path=/; Expires=Thu, 01-Jan-1970 00:00:00 GMT", "https://www.example.org/", ""),
        ("a=1; Path=/; Expires=Thu, 01 Jan 2099 00:00:00 GMT", "https://www.example.org/", "a=1"),
        ("a=b=c; Path=/; HttpOnly; SameSite=Lax", "https://www.example.org/", "a=b=c"),
        ("no cookie", "https://www.example.org/docs/x", ""),
        ("=x; Path=/", "https://www.example.org/", ""),
    ];
    for (header, asked, expected) in rows {
        let session = session("example.org", Vec::new());
        let mut answer = HeaderMap::new();
        answer.append(SET_COOKIE, HeaderValue::from_str(header).expect("a header"));
        session.take(&url, &answer);
        assert_eq!(sent(&session, asked).0, expected, "{header} at {asked}");
        let other = Url::parse("https://example.com/").expect("an address");
        session.take(&other, &answer);
        assert_eq!(sent(&session, asked).0, expected, "another site sets nothing");
    }
}

#[test]
fn a_site_replaces_its_cookies_and_cannot_pile_them_up() {
    let session = session("example.org", vec![cookie("a", "example.org")]);
    let url = Url::parse("https://example.org/").expect("an address");
    let set = |text: String| {
        let mut answer = HeaderMap::new();
        answer.append(SET_COOKIE, HeaderValue::from_str(&text).expect("a header"));
        session.take(&url, &answer);
    };
    set("a=2".to_owned());
    assert_eq!(sent(&session, "https://example.org/").0, "a=2");
    set("a=; Max-Age=0".to_owned());
    assert_eq!(sent(&session, "https://example.org/").0, "");
    for n in 0..1_000 {
        set(format!("c{n}={}", "x".repeat(1_000)));
    }
    assert_eq!(session.cookies().len(), MAX_COOKIES);
    assert!(sent(&session, "https://example.org/").0.len() <= MAX_HEADER_BYTES);
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
