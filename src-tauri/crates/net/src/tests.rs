//! The client against servers that do as they please. The servers are raw sockets: a real one would
//! refuse to send most of this.

mod attacks;
mod server;
mod tls;

#[path = "../../../../tests/src/site/mod.rs"]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "the tests crate uses the rest of it")]
mod site;

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{IpAddr, TcpListener as StdListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use serde::Deserialize;
use url::Url;

use crate::{
    AddressPolicy, Client, Cookie, GetOptions, NetError, Overflow, Refusal, Response, SecretString,
    ServiceRequest, Session, client::Lookup,
};
use server::{Act, ok, redirect, server, small};

#[derive(Deserialize)]
struct Row {
    name: String,
    url: String,
    why: String,
}

#[derive(Deserialize)]
struct Name {
    name: String,
    leads_to: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct Table {
    row: Vec<Row>,
    name: Vec<Name>,
}

fn table() -> Table {
    toml::from_str(include_str!("../../../../tests/attacks/net.toml")).expect("the rows")
}

fn bad_addresses(port: u16) -> Vec<Row> {
    let fill = |row: Row| Row {
        url: row.url.replace("{port}", &port.to_string()).replace("{long}", &"x".repeat(2048)),
        ..row
    };
    table().row.into_iter().map(fill).collect()
}

const fn kind(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Scheme(_) => "scheme",
        Refusal::Credentials => "credentials",
        Refusal::TooLong => "length",
        Refusal::Port(_) => "port",
        Refusal::LocalName(_) => "name",
        Refusal::LocalAddress { .. } => "address",
    }
}

#[tokio::test]
async fn no_way_leads_to_an_address_that_is_refused() {
    let trap = StdListener::bind(("0.0.0.0", 0)).expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let port = trap.local_addr().expect("bound").port();
    let lookups = Arc::new(AtomicUsize::new(0));
    let counter = lookups.clone();
    let lookup: Lookup = Arc::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Err(ErrorKind::NotFound.into()) }.boxed()
    });
    let rows = bad_addresses(port);
    let targets: HashMap<String, String> =
        rows.iter().enumerate().map(|(at, row)| (format!("/{at}"), row.url.clone())).collect();
    let site =
        server(move |path| Act::Say(redirect(targets.get(path).map_or("/", String::as_str)))).await;
    let policy = AddressPolicy::new(&[site.address.to_string()]).expect("a host");
    let client = Client::with_lookup(policy, small(), lookup);
    let options = GetOptions::default();
    for (at, row) in rows.iter().enumerate() {
        let refused = |result: Result<Response, NetError>, way: &str| match result {
            Err(NetError::Refused { reason, .. }) => {
                assert_eq!(kind(&reason), row.why, "{} as {way}", row.name)
            }
            other => panic!("{} as {way}: {other:?}", row.name),
        };
        match Url::parse(&row.url) {
            Ok(url) => {
                assert_ne!(row.why, "text", "{}: {url}", row.name);
                refused(client.get(&url, &options).await, "an address");
                let asked = client.ask(ServiceRequest::get(url.clone())).await.map(drop);
                assert!(
                    matches!(asked, Err(NetError::Refused { .. })),
                    "{} as a service",
                    row.name
                );
                assert!(
                    client.robots(&url).await.is_ok_and(|rules| rules.allow(&url)),
                    "{} as a site",
                    row.name
                );
                // A line break cannot be part of a header; the server would have sent two.
                if !row.url.contains('\n') && row.why != "length" && !row.url.starts_with("http:1")
                {
                    refused(client.get(&site.url(&format!("/{at}")), &options).await, "a redirect");
                }
            }
            Err(_) => assert_eq!(row.why, "text", "{} is not an address", row.name),
        }
    }
    assert_eq!(lookups.load(Ordering::SeqCst), 0, "no name was looked up");
    assert_eq!(trap.accept().expect_err("nobody connected").kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_whatever_else_it_leads_to() {
    for Name { name, leads_to: found } in table().name {
        let lookup: Lookup = Arc::new(move |_| {
            let found = found.clone();
            async move { Ok(found) }.boxed()
        });
        let client = Client::with_lookup(AddressPolicy::default(), small(), lookup);
        let url = Url::parse("http://rebind.example.org/").expect("an address");
        let result = client.get(&url, &GetOptions::default()).await;
        assert!(
            matches!(result, Err(NetError::Refused { reason: Refusal::LocalAddress { .. }, .. })),
            "{name}: {result:?}"
        );
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_found_is_looked_for_again() {
    let server = server(|_| Act::Say(ok("", b"inside"))).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        let found = Ok(vec![IpAddr::from([127, 0, 0, 1])]);
        async move { if first { Err(ErrorKind::NotFound.into()) } else { found } }.boxed()
    });
    let policy = AddressPolicy::new(&["intranet.example"]).expect("a host");
    let client = Client::with_lookup(policy, small(), lookup);
    let url = Url::parse(&format!("http://intranet.example:{}/", server.address.port()))
        .expect("an address");
    let error = client.get(&url, &GetOptions::default()).await.expect_err("there is no name");
    assert_eq!((error.code(), error.is_transient()), ("host_not_found", true), "{error}");
    let answer = client.get(&url, &GetOptions::default()).await.expect("there is one now");
    assert_eq!(answer.body, b"inside");
}

#[tokio::test]
async fn a_named_host_may_lead_inside() {
    let server = server(|_| Act::Say(ok("", b"inside"))).await;
    let lookup: Lookup = Arc::new(|_| async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }.boxed());
    let policy = AddressPolicy::new(&["intranet.example"]).expect("a host");
    let client = Client::with_lookup(policy, small(), lookup);
    let url = Url::parse(&format!("http://intranet.example:{}/", server.address.port()))
        .expect("an address");
    assert_eq!(client.get(&url, &GetOptions::default()).await.expect("an answer").body, b"inside");
}

#[tokio::test]
async fn a_body_can_be_cut_at_the_limit() {
    let server = server(|_| Act::Repeat(ok("", b""), b"0123456789".to_vec())).await;
    let options =
        GetOptions { body_bytes: Some(15), overflow: Overflow::Cut, ..GetOptions::default() };
    let response = server.client().get(&server.url("/"), &options).await.expect("an answer");
    assert_eq!((response.body.as_slice(), response.cut), (b"012345678901234".as_slice(), true));
}

#[tokio::test]
async fn a_page_is_fetched() {
    let server = server(|_| {
        Act::Say(ok(
            "Content-Type: text/html\r\nX-Robots-Tag: noindex\r\nRetry-After: 7\r\n",
            b"page",
        ))
    })
    .await;
    let response = server
        .client()
        .get(&server.url("/page#part"), &GetOptions::default())
        .await
        .expect("an answer");
    assert_eq!(
        response,
        Response {
            url: server.url("/page"),
            redirects: vec![],
            status: 200,
            content_type: Some("text/html".to_owned()),
            robots_tag: Some("noindex".to_owned()),
            etag: None,
            last_modified: None,
            retry_after: Some(Duration::from_secs(7)),
            body: b"page".to_vec(),
            cut: false,
        }
    );
}

#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let trap = StdListener::bind(("127.0.0.1", 0)).expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let proxy = format!("http://{}", trap.local_addr().expect("bound"));
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"));
    child
        .args(["--exact", "tests::a_page_is_fetched"])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    {
        child.env(name, &proxy);
    }
    let output = child.output().expect("this test again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(trap.accept().expect_err("nobody connected").kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_key_is_seen_by_nobody_but_its_service() {
    let elsewhere = server(|_| Act::Say(ok("", b"{}"))).await;
    let target = elsewhere.url("/").to_string();
    let service = server(move |path| match path {
        "/moved" => Act::Say(redirect(&target)),
        "/silent?api_token=canary&code=A" => Act::Hold(Vec::new()),
        _ => Act::Say(ok("", b"{}")),
    })
    .await;
    let asked = |path: &str| {
        ServiceRequest::get(service.url(path))
            .secret_header("x-key", SecretString::from("canary".to_owned()))
    };
    let client = service.client();
    assert!(!format!("{:?}", asked("/")).contains("canary"));
    let found = client.ask(asked("/")).await.expect("an answer").read().await.expect("its body");
    assert_eq!((found.status, found.body.as_slice()), (200, b"{}".as_slice()));
    let moved = client.ask(asked("/moved")).await.map(drop).expect_err("it is not followed");
    assert_eq!((moved.code(), elsewhere.hits("/")), ("bad_redirect", 0));
    let silent = asked("/silent?api_token=canary&code=A");
    let silent = client.ask(silent).await.map(drop).expect_err("no answer").to_string();
    assert!(silent.contains("api_token=***&code=A") && !silent.contains("canary"), "{silent}");
    let broken = ServiceRequest::get(service.url("/"))
        .secret_header("x-key", SecretString::from("can\nary".to_owned()));
    let broken = client.ask(broken).await.map(drop).expect_err("a line break");
    assert!(broken.to_string().contains("`x-key`") && !broken.to_string().contains("ary"));
}

#[tokio::test]
async fn a_session_follows_no_redirect_to_another_site() {
    let other = server(|_| Act::Say(ok("", b"elsewhere"))).await;
    let there = other.url("/there").to_string();
    let site = server(move |path| match path {
        "/" => Act::Say(redirect("/in")),
        "/in" => Act::Say(
            b"HTTP/1.1 302 Found\r\nConnection: close\r\nSet-Cookie: fresh=1\r\nLocation: /out\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
        ),
        _ => Act::Say(redirect(&there)),
    })
    .await;
    let hosts = [site.address.to_string(), other.address.to_string()];
    let client = Client::new(AddressPolicy::new(&hosts).expect("hosts"), small());
    let cookie = Cookie {
        name: "kept".to_owned(),
        value: "canary".to_owned(),
        domain: "127.0.0.1".to_owned(),
        subdomains: false,
        path: "/".to_owned(),
        secure: false,
        expires: None,
    };
    let headers = [("authorization".to_owned(), "Bearer canary".to_owned())];
    let session = Session::new("work", &hosts[0], &headers, vec![cookie], 0).expect("a site");
    let options = GetOptions { session: Some(session), ..GetOptions::default() };
    let response = client.get(&site.url("/"), &options).await.expect("an answer");
    assert_eq!(response.body, b"elsewhere");
    let heads = |server: &server::Server| -> Vec<String> {
        server.heads().iter().map(|head| head.to_ascii_lowercase()).collect()
    };
    let asked = heads(&site);
    assert_eq!(asked.len(), 3, "{asked:?}");
    for head in &asked {
        assert!(head.contains("cookie: kept=canary") && head.contains("bearer canary"), "{head}");
    }
    assert!(asked[2].contains("kept=canary; fresh=1"), "what was set goes along: {}", asked[2]);
    let elsewhere = heads(&other);
    assert_eq!(elsewhere.len(), 1);
    assert!(!elsewhere[0].contains("cookie") && !elsewhere[0].contains("canary"), "{elsewhere:?}");
}
