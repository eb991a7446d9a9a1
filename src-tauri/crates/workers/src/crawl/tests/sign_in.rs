//! Crawls that take a sign-in along.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use quaero_net::{Cookie, Session};

use super::*;

/// A site for members: it knows one cookie, sets another, and has a page made by a script.
struct Members {
    host: String,
    /// The heads of all requests.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Members {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let head = head.join("\n");
                let (status, body) = answer(&head);
                log.lock().expect("no panic before").push(head);
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                // A client that has gone needs no answer.
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { host, heads }
    }

    fn asked(&self) -> Vec<String> {
        let heads = self.heads.lock().expect("no panic before");
        let target = |head: &String| head.split(' ').nth(1).unwrap_or_default().to_owned();
        heads.iter().map(target).collect()
    }

    fn visitor(&self, more: Value) -> Visitor {
        let mut config = json!({
            "start_urls": [format!("http://{}/", self.host)],
            "allow_hosts": [self.host],
            "respect_robots": false,
        });
        let (Value::Object(all), Value::Object(more)) = (&mut config, more) else {
            panic!("objects")
        };
        all.extend(more);
        let cookie = Cookie {
            name: "sid".to_owned(),
            value: "canary".to_owned(),
            domain: "127.0.0.1".to_owned(),
            subdomains: false,
            path: "/".to_owned(),
            secure: false,
            expires: None,
        };
        let session = Session::new("work", &self.host, &[], vec![cookie], 0).expect("a site");
        Visitor { session: Some(session), ..visitor(config) }
    }

    async fn visit(
        &self,
        visitor: &Visitor,
        path: &str,
    ) -> Result<super::super::visit::Visited, TaskError> {
        let address = Url::parse(&format!("http://{}{path}", self.host)).expect("an address");
        visitor
            .visit(
                &address,
                Visit { depth: 0, deeper: false, attempt: 1, now_ms: 1_000, known: None },
            )
            .await
    }
}

fn answer(head: &str) -> (&'static str, &'static str) {
    let known = head.contains("sid=canary");
    match head.split(' ').nth(1).unwrap_or_default() {
        "/" if known => (
            "200 OK\r\nSet-Cookie: step=two; Path=/",
            "<title>Inside</title><p>For members only.</p><a href=/next>Next</a><a href=/logout>Leave</a>",
        ),
        "/next" if known && head.contains("step=two") => {
            ("200 OK", "<title>Next</title><p>The second page.</p>")
        }
        "/app" => (
            "200 OK",
            "<title>App</title><p id=x>Empty.</p><script>fetch('/data').then(r => r.text()).then(t => document.getElementById('x').innerHTML = t)</script>",
        ),
        "/data" if known => ("200 OK", "Data for members."),
        "/data" => ("200 OK", "No data."),
        "/elsewhere" => ("302 Found\r\nLocation: https://accounts.example.org/sign_in", ""),
        "/expired" => ("302 Found\r\nLocation: /users/sign_in", ""),
        "/users/sign_in" => ("200 OK", "<title>Sign in</title><p>Who are you?</p>"),
        _ => ("401 Unauthorized", "<p>No."),
    }
}

#[tokio::test]
async fn a_signed_in_crawl_reads_what_members_read_and_does_not_sign_out() {
    let site = Members::open();
    let visitor = site.visitor(json!({}));
    let first = site.visit(&visitor, "/").await.expect("a page");
    assert_eq!(first.outcome.documents[0].title, "Inside");
    let links: Vec<_> = first.outcome.children.iter().map(|task| target(&task.name)).collect();
    assert_eq!(links, ["/next"], "nothing that ends the sign-in is followed");
    let next = site.visit(&visitor, "/next").await.expect("a page");
    assert_eq!(next.outcome.documents[0].title, "Next", "what the site has set goes along");
    let left = format!("{:?} {:?}", first.outcome, next.outcome);
    assert!(!left.contains("canary"), "{left}");
}

#[tokio::test]
async fn a_sign_in_that_is_over_is_told_with_its_remedy() {
    let site = Members::open();
    let visitor = site.visitor(json!({}));
    let led = site.visit(&visitor, "/expired").await.expect("a page");
    let warnings = led.outcome.warnings.join("\n");
    assert!(warnings.contains("`work`") && warnings.contains("import"), "{warnings}");
    let error = site.visit(&visitor, "/elsewhere").await.expect_err("it leads off the site");
    assert!(error.code == "signed_out" && error.message.contains("`work`"), "{error}");
    let error = site.visit(&visitor, "/closed").await.expect_err("it is closed");
    assert!(error.code == "forbidden" && error.message.contains("`work`"), "{error}");
    assert!(!error.message.contains("canary"), "{error}");
    let without = Visitor { session: None, ..visitor };
    let error = site.visit(&without, "/closed").await.expect_err("it is closed");
    assert!(!error.message.contains("profile"), "{error}");
}

#[tokio::test]
async fn scripts_of_the_site_use_the_sign_in_and_those_of_others_do_not() {
    let site = Members::open();
    let settings = json!({ "enable_javascript": true, "page_timeout": "30s" });
    let visitor = site.visitor(settings.clone());
    let shown = site.visit(&visitor, "/app").await.expect("a page");
    let text = &shown.outcome.documents[0].markdown;
    assert!(text.contains("Data for members."), "{text}");
    assert!(site.asked().contains(&"/data".to_owned()));

    let foreign = Members::open();
    let mut stranger = site.visitor(settings);
    let foreign_session = foreign.visitor(json!({})).session;
    stranger.session = foreign_session;
    let shown = site.visit(&stranger, "/app").await.expect("a page");
    assert!(shown.outcome.documents[0].markdown.contains("No data."));
    assert_eq!(foreign.asked(), Vec::<String>::new());
}
