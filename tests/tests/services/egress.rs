//! Nothing that a site says leads anywhere that is refused: every bad address, in every place in which a
//! site can put one, with the whole application below its window.

use std::{fmt::Write as _, io::ErrorKind, net::TcpListener};

use quaero_contract::{HostRequests, RunStatus};
use quaero_tests::site::{Answer, LivingSite, Page, ScriptedSite};
use serde::Deserialize;

use super::Desk;

#[derive(Deserialize)]
struct Row {
    name: String,
    url: String,
}

/// The bad addresses; `port` is a port of this computer that listens.
fn rows(port: u16) -> Vec<Row> {
    #[derive(Deserialize)]
    struct File {
        row: Vec<Row>,
    }
    let file: File = toml::from_str(include_str!("../../attacks/net.toml")).expect("the rows");
    let fill = |row: Row| Row {
        url: row.url.replace("{port}", &port.to_string()).replace("{long}", &"x".repeat(2_048)),
        ..row
    };
    file.row.into_iter().map(fill).collect()
}

fn escaped(url: &str) -> String {
    url.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[tokio::test]
async fn no_place_in_a_site_leads_to_an_address_that_is_refused() {
    let trap = TcpListener::bind(("0.0.0.0", 0)).expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let rows = rows(trap.local_addr().expect("bound").port());
    assert!(rows.len() > 40, "{} rows", rows.len());
    let site = LivingSite::start().expect("a port");
    let (mut robots, mut map, mut index) =
        ("User-agent: *\n".to_owned(), String::new(), String::new());
    let (mut feed, mut links) = (String::new(), String::new());
    for (at, row) in rows.iter().enumerate() {
        let url = escaped(&row.url);
        let one_line = !row.url.contains(['\n', '\r', '\t']);
        if one_line {
            let _ = writeln!(robots, "Sitemap: {}", row.url);
            let headers = format!("Location: {}\r\n", row.url);
            site.put(&format!("/moved/{at}"), Page { status: 302, headers, body: Vec::new() });
            let _ = write!(links, "<a href=\"/moved/{at}\">moved</a>");
        }
        let _ = write!(map, "<url><loc>{url}</loc></url>");
        let _ = write!(index, "<sitemap><loc>{url}</loc></sitemap>");
        let _ = write!(feed, "<item><title>{at}</title><link>{url}</link></item>");
        let _ = write!(
            links,
            "<a href=\"{url}\">{at}</a><img srcset=\"{url} 2x\" src=\"{url}\"><iframe src=\"{url}\"></iframe>"
        );
        // Each page says that it is elsewhere, in all ways there are.
        let body = format!(
            "<!doctype html><head><base href=\"{url}\"><link rel=canonical href=\"{url}\">\
             <meta http-equiv=refresh content=\"0; url={url}\"><link rel=alternate type=\"application/rss+xml\" href=\"{url}\">\
             <title>Page {at}</title></head><body><main><h1>Page {at}</h1><p>It says that it is elsewhere, which is not so, \
             and has a link that its base makes another one of: <a href=\"next\">next</a>.</p></main></body>"
        );
        site.file(&format!("/page/{at}"), "text/html; charset=utf-8", body.as_bytes());
        let _ = write!(links, "<a href=\"/page/{at}\">page</a>");
    }
    for (path, kind) in [("/map.xml", "sitemap"), ("/index.xml", "sitemap")] {
        let _ = writeln!(robots, "{kind}: {}", site.url(path));
    }
    site.file("/robots.txt", "text/plain", robots.as_bytes());
    site.file("/map.xml", "text/xml", format!("<urlset>{map}</urlset>").as_bytes());
    site.file("/index.xml", "text/xml", format!("<sitemapindex>{index}</sitemapindex>").as_bytes());
    let feed = format!("<rss version=\"2.0\"><channel><title>News</title>{feed}</channel></rss>");
    site.file("/feed", "application/rss+xml", feed.as_bytes());
    let front = format!(
        "<!doctype html><title>Front</title><main><h1>Front</h1>{links}<a href=\"/feed\">feed</a></main>"
    );
    site.file("/", "text/html; charset=utf-8", front.as_bytes());

    let desk = Desk::with(&[]).await;
    let ended = desk
        .run(&format!(
            "[step.read]\ntype = \"crawl\"\nstart_urls = [\"{}\"]\nallow_hosts = [\"{}\"]\nrequest_delay = \"0\"\n\
             same_site = false\nsitemaps = true\nmax_pages = 2000\nconcurrency = 8\ntask_attempts = 1",
            site.url("/"),
            site.host()
        ))
        .await;
    assert_eq!(ended.view.summary.status, RunStatus::Completed, "{ended:?}");
    assert_nobody_came(&trap);
    let asked = ended.app.run_statistics(ended.view.summary.id).await.expect("found").requests;
    let own = asked.iter().filter(|of| of.host == site.host()).count();
    assert_eq!(own, 1, "the site itself was asked");
    assert_others_were_refused(&asked, &[site.host()]);
    // The pages were read, each as itself.
    let hits = site.hits();
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(hits.get(&format!("200 /page/{at}")), Some(&1), "{}", row.name);
    }
    assert!(hits.contains_key("200 /feed") && hits.contains_key("200 /index.xml"), "{hits:?}");
    for source in desk.documents().keys() {
        assert!(source.starts_with(&site.base_url()), "{source}");
    }
    desk.close().await;
}

fn assert_nobody_came(trap: &TcpListener) {
    let accepted = trap.accept().map(|(_, from)| from);
    assert!(
        accepted.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "a connection came in: {accepted:?}"
    );
}

/// Of all other hosts the account says nothing but that they were refused.
fn assert_others_were_refused(asked: &[HostRequests], own: &[String]) {
    for of in asked.iter().filter(|of| !own.contains(&of.host)) {
        let answers: Vec<&str> = of.answers.iter().map(|answer| &*answer.answer).collect();
        assert_eq!(answers, ["address_refused"], "{} was not asked", of.host);
    }
}

/// What a page's scripts do with addresses, one way after the other. They tell the site what they got.
const TRY: &str = r#"<!doctype html><title>Page</title><p>A page.</p><script>
const tell = what => fetch('/told/' + what);
const add = (name, attributes) => document.body.append(Object.assign(document.createElement(name), attributes));
const quoted = url => JSON.stringify(url).replaceAll('<', '\u003c');
const ways = {
  fetch: url => fetch(url, { mode: 'no-cors' }),
  redirect: (url, at) => fetch('/moved/' + at, { mode: 'no-cors' }),
  script: url => new Promise((done, no) => add('script', { src: url, onload: done, onerror: no })),
  import: url => import(url),
  socket: url => new Promise((done, no) => { const s = new WebSocket(url.replace(/^http/, 'ws')); s.onopen = done; s.onerror = no; }),
  stream: url => new Promise((done, no) => { const s = new EventSource(url); s.onopen = done; s.onerror = no; }),
  beacon: async url => { navigator.sendBeacon(url, 'x'); throw 0; },
  frame: async url => { add('iframe', { src: url }); throw 0; },
  inner: async url => { add('iframe', { srcdoc: '<script>location = ' + quoted(url) + '<\/script>' }); throw 0; },
  link: async url => { add('link', { rel: 'stylesheet', href: url }); add('link', { rel: 'prefetch', href: url }); add('link', { rel: 'preconnect', href: url }); throw 0; },
  picture: async url => { add('img', { src: url }); throw 0; },
  popup: async url => { if (!open(url)) throw 0; },
  form: async url => { add('iframe', { name: 'inner' }); const f = document.createElement('form'); document.body.append(f); f.action = url; f.target = 'inner'; f.submit(); throw 0; },
};
// A page is read when it has been quiet for a while: there is always something under way.
let busy = true;
const wait = async () => { while (busy) await fetch('SLOW', { mode: 'no-cors' }); };
wait();
(async () => {
  const all = ALL;
  for (const [at, url] of all) {
    for (const [name, way] of Object.entries(ways)) {
      try { await way(url, at); await tell('through/' + name + '/' + at); } catch { }
    }
    await tell('tried/' + at);
  }
  busy = false;
  location.href = all[0][1];
})();
</script>"#;

#[tokio::test]
async fn no_script_of_a_page_reaches_an_address_that_is_refused() {
    let trap = TcpListener::bind(("0.0.0.0", 0)).expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let mut rows = rows(trap.local_addr().expect("bound").port());
    // A browser takes a name and a password out of an address, and here a public one would be left;
    // without slashes an address is one of the page's own site; and `data` brings along what it is.
    let is_other = |url: &str| {
        url.contains("@example.org")
            || ["http:1", "data:"].iter().any(|start| url.starts_with(start))
    };
    rows.retain(|row| !is_other(&row.url));
    assert!(rows.len() > 40, "{} rows", rows.len());
    let site = LivingSite::start().expect("a port");
    let half_a_second = r#"body = [{ text = "x", times = 5, pause_ms = 100 }]"#;
    let half_a_second: Answer = toml::from_str(half_a_second).expect("an answer");
    let slow = ScriptedSite::serve([("/", vec![half_a_second])]).expect("a port");
    let mut links = String::new();
    for (at, row) in rows.iter().enumerate() {
        let one_line = row.url.replace(['\n', '\r', '\t'], "");
        let headers = format!("Location: {one_line}\r\n");
        site.put(&format!("/moved/{at}"), Page { status: 302, headers, body: Vec::new() });
    }
    let numbered: Vec<(usize, &str)> = rows.iter().map(|row| &*row.url).enumerate().collect();
    // A page may ask for two hundred things.
    for (page, some) in numbered.chunks(5).enumerate() {
        let all = serde_json::to_string(some).expect("text").replace('<', "\\u003c");
        let body = TRY.replace("ALL", &all).replace("SLOW", &slow.url("/"));
        site.file(&format!("/page/{page}"), "text/html; charset=utf-8", body.as_bytes());
        let _ = write!(links, "<a href=\"/page/{page}\">page</a>");
    }
    site.file("/", "text/html; charset=utf-8", format!("<title>Front</title>{links}").as_bytes());
    let desk = Desk::hurried(1).await;
    let ended = desk
        .run(&format!(
            "[step.read]\ntype = \"crawl\"\nstart_urls = [\"{}\"]\nallow_hosts = [\"{}\", \"{}\"]\nrequest_delay = \"0\"\n\
             same_site = false\nmax_pages = 2000\nconcurrency = 4\nenable_javascript = true\njavascript_wait = \"30s\"",
            site.url("/"),
            site.host(),
            slow.host()
        ))
        .await;
    assert_eq!(ended.view.summary.status, RunStatus::Completed, "{ended:?}");
    assert_nobody_came(&trap);
    let asked = ended.app.run_statistics(ended.view.summary.id).await.expect("found").requests;
    assert_others_were_refused(&asked, &[site.host(), slow.host()]);
    let hits = site.hits();
    let through: Vec<&String> = hits.keys().filter(|hit| hit.contains("/told/through/")).collect();
    assert_eq!(through, [""; 0]);
    for (at, row) in rows.iter().enumerate() {
        let tried = hits.contains_key(&format!("404 /told/tried/{at}"));
        assert!(tried, "`{}` was not tried: {ended:?}", row.name);
    }
    desk.close().await;
}
