//! The client against servers that do as they please. The servers are raw sockets: a real one would
//! refuse to send most of this.

mod server;

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
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use url::Url;

use crate::{
    AddressPolicy, Client, Cookie, GetOptions, NetError, Overflow, Refusal, Response, SecretString,
    ServiceRequest, Session, client::Lookup,
};
use server::{Act, gzip, ok, redirect, server, small};

async fn get(act: Act) -> Result<Response, NetError> {
    let server = server(move |_| act.clone()).await;
    server.client().get(&server.url("/page"), &GetOptions::default()).await
}

#[derive(Deserialize)]
struct Row {
    name: String,
    url: String,
    why: String,
}

fn bad_addresses(port: u16) -> Vec<Row> {
    #[derive(Deserialize)]
    struct File {
        row: Vec<Row>,
    }
    let file: File =
        toml::from_str(include_str!("../../../../tests/attacks/net.toml")).expect("the rows");
    let fill = |row: Row| Row {
        url: row.url.replace("{port}", &port.to_string()).replace("{long}", &"x".repeat(2048)),
        ..row
    };
    file.row.into_iter().map(fill).collect()
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
    let rows: [&[&str]; 5] = [
        &["127.0.0.1"],
        &["8.8.8.8", "10.0.0.1"],
        &["::ffff:127.0.0.1"],
        &["2606:4700::1111", "::1"],
        &["64:ff9b::a00:1"],
    ];
    for addresses in rows {
        let found: Vec<IpAddr> =
            addresses.iter().map(|ip| ip.parse().expect("an address")).collect();
        let lookup: Lookup = Arc::new(move |_| {
            let found = found.clone();
            async move { Ok(found) }.boxed()
        });
        let client = Client::with_lookup(AddressPolicy::default(), small(), lookup);
        let url = Url::parse("http://rebind.example.org/").expect("an address");
        let result = client.get(&url, &GetOptions::default()).await;
        assert!(
            matches!(result, Err(NetError::Refused { reason: Refusal::LocalAddress { .. }, .. })),
            "{addresses:?}: {result:?}"
        );
    }
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
async fn a_misbehaving_server_costs_no_more_than_the_limits() {
    const PAUSE: Duration = Duration::from_millis(50);
    let say = |headers: &str, body: &[u8]| Act::Say(ok(headers, body));
    let packed = "Content-Encoding: gzip\r\n";
    let bomb = gzip(&vec![0; 64 << 20]);
    let half = {
        let whole = gzip(&(0..9999_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        whole[..whole.len() / 2].to_vec()
    };
    let rows = [
        (
            "interim answers without end",
            Act::Repeat(vec![], b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), Duration::ZERO),
            "timeout",
        ),
        ("silence", Act::Hold(vec![]), "timeout"),
        ("half a head", Act::Hold(b"HTTP/1.1 200 OK\r\nX: ".to_vec()), "timeout"),
        (
            "head by drops",
            Act::Repeat(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X".to_vec(), PAUSE),
            "timeout",
        ),
        ("body that stops", Act::Hold(ok("Content-Length: 10\r\n", b"abc")), "timeout"),
        ("body by drops", Act::Repeat(ok("", b""), b"x".to_vec(), PAUSE), "timeout"),
        ("reset before the head", Act::Reset(vec![]), "interrupted"),
        ("reset in the body", Act::Reset(ok("Content-Length: 10\r\n", b"abc")), "interrupted"),
        ("closed before the head", Act::Say(vec![]), "interrupted"),
        ("closed too early", say("Content-Length: 10\r\n", b"abc"), "interrupted"),
        ("negative length", say("Content-Length: -1\r\n", b"abc"), "interrupted"),
        ("two lengths", say("Content-Length: 3\r\nContent-Length: 2\r\n", b"abc"), "interrupted"),
        ("chunk that is none", say("Transfer-Encoding: chunked\r\n", b"zz\r\nabc"), "interrupted"),
        (
            "huge chunk",
            say("Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\nabc"),
            "interrupted",
        ),
        ("not HTTP", Act::Say(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "interrupted"),
        ("100 GB announced", Act::Hold(ok("Content-Length: 100000000000\r\n", b"")), "too_large"),
        (
            "body without end",
            Act::Repeat(ok("", b""), vec![b'x'; 64 << 10], Duration::ZERO),
            "too_large",
        ),
        (
            "headers of 100 KB",
            say(&format!("X: {}\r\n", "x".repeat(100_000)), b""),
            "headers_too_large",
        ),
        ("5,000 headers", say(&"X: 123456\r\n".repeat(5000), b""), "interrupted"),
        ("header with NUL", say("X: a\0b\r\n", b""), "interrupted"),
        ("gzip bomb", say(packed, &bomb), "decompression_bomb"),
        (
            "gzip in gzip",
            say("Content-Encoding: gzip, gzip\r\n", &gzip(&gzip(b"x"))),
            "bad_encoding",
        ),
        (
            "two encodings",
            say("Content-Encoding: gzip\r\nContent-Encoding: br\r\n", b"x"),
            "bad_encoding",
        ),
        ("an encoding nobody asked for", say("Content-Encoding: zstd\r\n", b"x"), "bad_encoding"),
        (
            "gzip that is none",
            say(packed, b"<p>plain text that claims to be packed"),
            "bad_encoding",
        ),
        ("brotli that is none", say("Content-Encoding: br\r\n", &[0xff; 64]), "bad_encoding"),
        ("half a gzip", say(packed, &half), "interrupted"),
    ];
    let results = futures::future::join_all(
        rows.into_iter().map(|(name, act, code)| async move { (name, get(act).await, code) }),
    );
    for (name, result, code) in results.await {
        match result {
            Err(error) => assert_eq!(error.code(), code, "{name}: {error}"),
            Ok(response) => {
                panic!("{name}: {} bytes with status {}", response.body.len(), response.status)
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_secure_connection_is_not_tried_again() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("bound"));
    let server = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("sent");
        // Closing now, with a greeting unread, could reset the connection before the answer is read.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let policy = AddressPolicy::new(&["127.0.0.1"]).expect("a host");
    let url = Url::parse(&url).expect("an address");
    let client = Client::new(policy, small());
    let options = GetOptions::default();
    let (error, ()) = tokio::join!(client.get(&url, &options), server);
    let error = error.expect_err("nothing was encrypted");
    assert_eq!((error.code(), error.is_transient()), ("tls", false), "{error}");
}

#[tokio::test]
async fn odd_but_whole_answers_are_taken() {
    let rows = [
        ("plain", ok("Content-Type: text/html\r\nContent-Length: 3\r\n", b"abc"), 200, "abc"),
        ("without a length", ok("", b"abc"), 200, "abc"),
        ("more than announced", ok("Content-Length: 2\r\n", b"abc"), 200, "ab"),
        (
            "chunks",
            ok("Transfer-Encoding: chunked\r\n", b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
            200,
            "abc",
        ),
        ("gzip", ok("Content-Encoding: GZIP\r\n", &gzip(b"abc")), 200, "abc"),
        (
            "gzip in two parts",
            ok("Content-Encoding: gzip\r\n", &[gzip(b"ab"), gzip(b"c")].concat()),
            200,
            "abc",
        ),
        ("brotli", ok("Content-Encoding: br\r\n", b"\x0b\x02\x80hello\x03"), 200, "hello"),
        ("nothing, packed", ok("Content-Encoding: gzip\r\nContent-Length: 0\r\n", b""), 200, ""),
        ("identity", ok("Content-Encoding: identity\r\n", b"abc"), 200, "abc"),
        (
            "hints first",
            [b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), ok("", b"abc")].concat(),
            200,
            "abc",
        ),
        (
            "error page",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
            404,
            "abc",
        ),
        ("status 999", b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n".to_vec(), 999, ""),
        ("header that is not ASCII", ok("X: \u{e9}\r\n", b"abc"), 200, "abc"),
    ];
    for (name, answer, status, body) in rows {
        let response =
            get(Act::Say(answer)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            (response.status, String::from_utf8_lossy(&response.body).as_ref()),
            (status, body),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_body_can_be_cut_at_the_limit() {
    let server = server(|_| Act::Repeat(ok("", b""), b"0123456789".to_vec(), Duration::ZERO)).await;
    let options =
        GetOptions { body_bytes: Some(15), overflow: Overflow::Cut, ..GetOptions::default() };
    let response = server.client().get(&server.url("/"), &options).await.expect("an answer");
    assert_eq!((response.body.as_slice(), response.cut), (b"012345678901234".as_slice(), true));
}

#[tokio::test]
async fn redirects_are_followed_within_limits() {
    let far = format!("/{}", "far".repeat(34_000));
    let server = server(move |target| {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Act::Say(match path {
            "/hops" if query == "0" => ok("", b"arrived"),
            "/hops" => redirect(&format!("hops?{}#part", query.parse::<u32>().unwrap_or(1) - 1)),
            "/loop" => redirect("/back"),
            "/back" => redirect("/loop"),
            "/self" => redirect("/self"),
            "/growing" => redirect(&format!("/growing?{query}1")),
            "/nowhere" => b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "/far" => redirect(&far),
            "/overlong" => redirect(&far[..3000]),
            "/odd" => redirect("http://[::1"),
            _ => ok("", b""),
        })
    })
    .await;
    let rows = [
        ("/hops?0", Ok(0)),
        ("/hops?10", Ok(10)),
        ("/hops?11", Err("too_many_redirects")),
        ("/loop", Err("redirect_loop")),
        ("/self", Err("redirect_loop")),
        ("/growing", Err("too_many_redirects")),
        ("/nowhere", Err("bad_redirect")),
        ("/far", Err("headers_too_large")),
        ("/overlong", Err("bad_redirect")),
        ("/odd", Err("bad_redirect")),
    ];
    let client = server.client();
    for (path, expected) in rows {
        let result = client.get(&server.url(path), &GetOptions::default()).await;
        let outcome =
            result.as_ref().map(|response| response.redirects.len()).map_err(NetError::code);
        assert_eq!(outcome, expected, "{path}: {result:?}");
    }
}

#[tokio::test]
async fn robots_files_are_read_as_the_standard_says() {
    let rules = "User-agent: *\nDisallow: /private\n";
    let status =
        |line: &str| Act::Say(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes());
    let endless = Act::Repeat(
        ok("", rules.as_bytes()),
        "Disallow: /a*b$\n".repeat(1000).into_bytes(),
        Duration::ZERO,
    );
    // Whether `/private` and `/public` may be fetched, or that nobody knows for now.
    let rows = [
        (
            "rules",
            Act::Say(ok("Content-Type: text/plain\r\n", rules.as_bytes())),
            Some((false, true)),
        ),
        ("none", status("404 Not Found"), Some((true, true))),
        ("forbidden", status("403 Forbidden"), Some((true, true))),
        ("too many requests", status("429 Too Many Requests"), None),
        ("broken", status("503 Service Unavailable"), None),
        ("silent", Act::Hold(vec![]), None),
        ("cut off", Act::Reset(ok("Content-Length: 900\r\n", rules.as_bytes())), None),
        ("without end", endless, Some((false, true))),
        ("HTML", Act::Say(ok("Content-Type: text/html\r\n", rules.as_bytes())), Some((true, true))),
        (
            "leads inside",
            Act::Say(redirect("http://169.254.169.254/robots.txt")),
            Some((true, true)),
        ),
        ("leads in a circle", Act::Say(redirect("/robots.txt")), Some((true, true))),
    ];
    for (name, act, expected) in rows {
        let server = server(move |_| act.clone()).await;
        let client = server.client();
        let (private, public) = (server.url("/private/x?y#z"), server.url("/public"));
        let both = futures::future::join(client.robots(&private), client.robots(&public)).await;
        let found = both.0.as_ref().ok().map(|rules| (rules.allow(&private), rules.allow(&public)));
        assert_eq!(found, expected, "{name}: {both:?}");
        assert!(
            found.is_some()
                || both.1.as_ref().is_err_and(
                    |error| error.code() == "robots_unavailable" && error.is_transient()
                )
        );
        assert_eq!(server.hits("/robots.txt"), 1, "{name}: asked once for everyone");
    }
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
