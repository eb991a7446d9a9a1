//! Pages that need JavaScript: what is read of them, and what they reach.

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use super::*;

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}

#[tokio::test]
async fn a_page_that_is_made_by_scripts_is_read_as_any_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        (
            "index.html",
            "<title>…</title><div id=app></div><img src=x.png><script type=module src=app.js></script>",
        ),
        (
            "app.js",
            "import { title } from './title.js';
             const list = await (await fetch('/list.json', { headers: { 'x-own': '1' } })).json();
             document.title = title;
             document.getElementById('app').innerHTML =
               '<h1>' + title + '</h1>' + list.map(text => `<p>${text}</p>`).join('') +
               '<a href=second.html>Second</a><a href=notes.txt>Notes</a><a href=moved.html>Moved</a>';
             await new Promise(done => setTimeout(done, 100));
             const part = await (await fetch('/part')).text();
             document.getElementById('app').append(part);",
        ),
        ("title.js", "export const title = 'Fruit of the season';"),
        ("list.json", r#"["Apples ripen in autumn.", "Cherries ripen in summer."]"#),
        ("second.html", "<title>Second</title><p>A page without a script.</p>"),
        ("moved.html", "<title>Moved</title><p>Gone.</p><script>location = '/third.html'</script>"),
        ("third.html", "<title>Third</title><p>Where the script led.</p>"),
        ("notes.txt", "Plain notes."),
        ("x.png", "no picture"),
    ];
    write(folder.path(), &files);
    std::fs::create_dir(folder.path().join("part")).expect("a folder");
    write(folder.path(), &[("part/index.html", "Pears come last, by a redirect.")]);
    let site = StaticSite::serve(folder.path()).expect("a port");
    let plain = crawl(&site, &["/"], json!({ "max_depth": 1 })).await;
    assert!(!plain.documents["/"].markdown.contains("Apples"), "without scripts there is no text");
    let before = site.hits()["/"];
    let crawled =
        crawl(&site, &["/"], json!({ "enable_javascript": true, "page_timeout": "30s" })).await;
    assert_eq!(
        crawled.paths(),
        ["/", "/moved.html", "/notes.txt", "/second.html", "/third.html"],
        "{:?} {:?}",
        crawled.errors,
        crawled.warnings
    );
    assert_eq!(crawled.warnings, Vec::<String>::new());
    let page = &crawled.documents["/"];
    assert_eq!(page.title, "Fruit of the season");
    for words in ["Apples ripen", "Cherries ripen", "Pears come last"] {
        assert!(page.markdown.contains(words), "{words}: {}", page.markdown);
    }
    let rendered = |path: &str| crawled.documents[path].metadata.get("rendered").cloned();
    assert_eq!((rendered("/"), rendered("/notes.txt")), (Some(true.into()), None));
    let original = page.original.as_deref().unwrap_or_default();
    assert!(String::from_utf8_lossy(original).contains("Cherries"), "what was read is kept");
    let hits = site.hits();
    assert_eq!(hits["/"], before + 1, "the page is fetched once");
    assert_eq!(hits.get("/x.png"), None, "pictures are not asked for");
}

#[tokio::test]
async fn what_scripts_would_send_to_their_site_is_not_sent_but_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let query = "fetch('/graphql', { method: 'POST', body: '{}' }).catch(() => {})";
    let long = "<p>Apples ripen in autumn, and cherries in summer.</p>".repeat(20);
    let files = [
        ("index.html", format!("<title>Bare</title><p>Loading</p><script>{query}</script>")),
        ("long.html", format!("<title>Long</title>{long}<script>{query}</script>")),
    ];
    write(folder.path(), &files.each_ref().map(|(name, text)| (*name, &**text)));
    let site = StaticSite::serve(folder.path()).expect("a port");
    let more = json!({ "enable_javascript": true, "page_timeout": "30s" });
    let crawled = crawl(&site, &["/", "/long.html"], more).await;
    assert_eq!(crawled.paths(), ["/", "/long.html"], "{:?}", crawled.errors);
    let [warning] = &crawled.warnings[..] else { panic!("{:?}", crawled.warnings) };
    assert!(warning.contains("/ wanted to send something"), "of the bare page: {warning}");
    assert_eq!(site.hits().get("/graphql"), None, "it was not sent");
}

/// Notes every connection to it, of either kind.
struct Recorder {
    port: u16,
    seen: mpsc::Receiver<String>,
}

impl Recorder {
    fn start() -> Self {
        // The same port for both kinds; another program may have one of them.
        let (listener, socket) = std::iter::repeat_with(|| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            UdpSocket::bind(address).map(|socket| (listener, socket))
        })
        .find_map(Result::ok)
        .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (note, seen) = mpsc::channel();
        let udp = note.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut start = [0; 200];
                let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                let read = std::io::Read::read(&mut &stream, &mut start).unwrap_or_default();
                let text = String::from_utf8_lossy(&start[..read]).into_owned();
                if note.send(format!("tcp {text}")).is_err() {
                    return;
                }
            }
        });
        std::thread::spawn(move || {
            let mut datagram = [0; 200];
            while let Ok((size, _)) = socket.recv_from(&mut datagram) {
                if udp.send(format!("udp of {size} bytes")).is_err() {
                    return;
                }
            }
        });
        Self { port, seen }
    }

    /// All that came until now, as this test's own knocks, the last to come, are the first seen.
    fn seen_before_own_knock(&self) -> Vec<String> {
        let knock = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
            std::io::Write::write_all(&mut stream, b"KNOCK").expect("it reads");
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.send_to(&[0; 5], ("127.0.0.1", self.port)).expect("it reads");
        };
        knock();
        let mut seen = Vec::new();
        let (mut tcp, mut udp) = (false, false);
        while !(tcp && udp) {
            let note = self.seen.recv_timeout(Duration::from_secs(10)).expect("the own knock");
            match note.as_str() {
                "tcp KNOCK" => tcp = true,
                "udp of 5 bytes" => udp = true,
                _ => seen.push(note),
            }
        }
        seen
    }
}

/// Tries every way out that pages have. It writes down what it got, and when it was through.
const ATTACK: &str = r#"<!doctype html><title>Attack</title><p id=log>Log:</p>
<iframe src="http://127.0.0.1:PORT/frame"></iframe>
<iframe srcdoc="<script>fetch('http://127.0.0.1:PORT/inner');new WebSocket('ws://127.0.0.1:PORT/')</script>"></iframe>
<iframe sandbox="allow-scripts allow-popups" srcdoc="<script>fetch('http://127.0.0.1:PORT/sandboxed',{mode:'no-cors'});new WebSocket('ws://127.0.0.1:PORT/');open('http://127.0.0.1:PORT/')</script>"></iframe>
<object data="http://127.0.0.1:PORT/object"></object><embed src="http://127.0.0.1:PORT/embed">
<img src="http://127.0.0.1:PORT/image"><video src="http://127.0.0.1:PORT/video" preload=auto></video>
<link rel=preconnect href="http://127.0.0.1:PORT/"><link rel=prefetch href="http://127.0.0.1:PORT/prefetch">
<link rel=stylesheet href="http://127.0.0.1:PORT/style"><link rel=manifest href="http://127.0.0.1:PORT/manifest">
<style>@font-face{font-family:x;src:url(http://127.0.0.1:PORT/font)} p{font-family:x;background:url(http://127.0.0.1:PORT/background)}</style>
<script src="http://127.0.0.1:PORT/script"></script>
<script type=speculationrules>{"prefetch":[{"source":"list","urls":["http://127.0.0.1:PORT/rules"]}],"prerender":[{"source":"list","urls":["/second.html"]}]}</script>
<script>
const log = text => document.getElementById('log').append(' ' + text + ';');
const ways = {
  fetch: () => fetch('http://127.0.0.1:PORT/fetch').then(r => r.text()),
  opaque: () => fetch('http://127.0.0.1:PORT/opaque', { mode: 'no-cors' }),
  name: () => fetch('http://localhost:PORT/', { mode: 'no-cors' }),
  wide: () => fetch('http://[::ffff:127.0.0.1]:PORT/', { mode: 'no-cors' }),
  metadata: () => fetch('http://169.254.169.254/latest/meta-data/', { mode: 'no-cors' }),
  file: () => fetch('file:///etc/passwd', { mode: 'no-cors' }),
  post: () => fetch('http://127.0.0.1:PORT/post', { method: 'POST', body: 'x', mode: 'no-cors' }),
  redirect: () => fetch('http://OTHER/to?http://127.0.0.1:PORT/redirect', { mode: 'no-cors' }),
  xhr: () => new Promise((done, no) => { const x = new XMLHttpRequest(); x.onload = done; x.onerror = no; x.open('GET', 'http://127.0.0.1:PORT/xhr'); x.send(); }),
  socket: () => new Promise((done, no) => { const s = new WebSocket('ws://127.0.0.1:PORT/socket'); s.onopen = done; s.onerror = no; }),
  own: () => new Promise((done, no) => { const s = new WebSocket('ws://' + location.host + '/socket'); s.onopen = done; s.onerror = no; }),
  stream: () => new Promise((done, no) => { const s = new EventSource('http://127.0.0.1:PORT/stream'); s.onopen = done; s.onerror = no; }),
  transport: async () => { await new WebTransport('https://127.0.0.1:PORT/transport').ready; },
  service: () => navigator.serviceWorker.register('/service.js'),
  worker: () => new Promise((done, no) => { const w = new Worker('/worker.js'); w.onmessage = m => m.data === 'no' ? no() : done(); w.onerror = no; }),
  shared: () => new Promise((done, no) => { const w = new SharedWorker('/worker.js'); w.port.onmessage = done; w.onerror = no; setTimeout(no, 500); }),
  peer: () => new Promise((done, no) => {
    const peer = new RTCPeerConnection({ iceServers: [{ urls: 'stun:127.0.0.1:PORT' }, { urls: 'turn:127.0.0.1:PORT?transport=tcp', username: 'a', credential: 'b' }] });
    peer.createDataChannel('x');
    peer.onicecandidate = event => event.candidate ? done() : no();
    peer.createOffer().then(offer => peer.setLocalDescription(offer));
  }),
  beacon: async () => { navigator.sendBeacon('http://127.0.0.1:PORT/beacon', 'x'); throw 0; },
  popup: async () => { if (!open('http://127.0.0.1:PORT/popup')) throw 0; },
  download: async () => { const a = document.createElement('a'); a.href = 'http://127.0.0.1:PORT/download'; a.download = 'x'; a.click(); throw 0; },
  form: async () => { const f = document.createElement('form'); f.action = 'http://127.0.0.1:PORT/form'; f.method = 'post'; document.body.append(f); f.submit(); throw 0; },
  move: async () => { location.href = 'http://127.0.0.1:PORT/move'; throw 0; },
  dialog: async () => { if (!confirm('Really?')) throw 0; },
};
// A page is read when it has been quiet for a while, and some ways take long to fail.
const awake = setInterval(() => fetch('/awake'), 200);
(async () => {
  for (const [name, way] of Object.entries(ways)) {
    try { await way(); log(name + ' got through'); } catch { log(name + ' failed'); }
  }
  log('all tried');
  clearInterval(awake);
})();
</script>"#;

#[tokio::test]
async fn a_page_reaches_nothing_but_what_quaero_fetches_for_it() {
    let recorder = Recorder::start();
    let folder = tempfile::tempdir().expect("a folder");
    let other = HostileSite::serve().expect("a port");
    let port = recorder.port.to_string();
    let worker = "fetch('http://127.0.0.1:PORT/worker', { mode: 'no-cors' }).then(() => postMessage('yes'), () => postMessage('no')); new WebSocket('ws://127.0.0.1:PORT/'); try { importScripts('http://127.0.0.1:PORT/import') } catch {}";
    let service = "fetch('http://127.0.0.1:PORT/service')";
    let files = [
        ("index.html", ATTACK.replace("PORT", &port).replace("OTHER", &other.host())),
        ("worker.js", worker.replace("PORT", &port)),
        ("service.js", service.replace("PORT", &port)),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let site = StaticSite::serve(folder.path()).expect("a port");
    let settings = json!({
        "allow_hosts": [site.host(), other.host()],
        "enable_javascript": true,
        "page_timeout": "60s",
        "javascript_wait": "30s",
        "max_depth": 0,
    });
    let crawled = crawl(&site, &["/"], settings).await;
    assert_eq!(recorder.seen_before_own_knock(), Vec::<String>::new());
    let page = crawled.documents.get("/").unwrap_or_else(|| panic!("{:?}", crawled.errors));
    let original = page.original.as_deref().unwrap_or_default();
    let html = String::from_utf8_lossy(original);
    let log = html.split_once("Log:").map_or("", |(_, rest)| rest);
    let log = log.split_once("</p>").map_or(log, |(log, _)| log);
    assert!(log.ends_with("all tried;"), "{log}");
    assert!(!log.contains("got through"), "{log}");
    assert_eq!(other.hits().len(), 1, "the redirect itself was fetched: {:?}", other.hits());
}

#[tokio::test]
async fn a_script_without_an_end_ends_with_the_time_of_the_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("loop.html", "<title>Loop</title><p>Before the loop.</p><script>for (;;);</script>"),
        (
            "ticks.html",
            "<title>Ticks</title><p>It never rests.</p><script>(function next() { fetch('/tick').then(next, next) })()</script>",
        ),
        (
            "flood.html",
            "<title>Flood</title><p>A flood.</p><script>for (let i = 0; i < 3000; i++) fetch('/flood?' + i)</script>",
        ),
    ];
    write(folder.path(), &files);
    let site = StaticSite::serve(folder.path()).expect("a port");
    let settings =
        json!({ "enable_javascript": true, "page_timeout": "3s", "javascript_wait": "1s" });
    let crawled = crawl(&site, &["/loop.html", "/ticks.html", "/flood.html"], settings).await;
    assert_eq!(
        crawled.paths(),
        ["/flood.html", "/loop.html", "/ticks.html"],
        "{:?}",
        crawled.errors
    );
    assert!(crawled.documents["/loop.html"].markdown.contains("Before the loop."));
    let told = crawled.warnings.iter().filter(|warning| warning.contains("/loop.html")).count();
    assert_eq!(told, 1, "{:?}", crawled.warnings);
    let hits = site.hits();
    let floods = hits.keys().filter(|target| target.starts_with("/flood?")).count();
    assert!(floods <= 200, "{floods} requests of one page");
}

#[tokio::test]
async fn without_a_browser_nothing_is_fetched_and_the_remedy_is_told() {
    let site = HostileSite::serve().expect("a port");
    let config = json!({ "start_urls": [site.url("/")], "allow_hosts": [site.host()], "enable_javascript": true });
    let mut visitor = visitor(config);
    visitor.browser = Browser::with(Some("no-such-browser".into()), Duration::ZERO);
    let address = Url::parse(&site.url("/")).expect("an address");
    let visit = Visit { depth: 0, deeper: false, attempt: 1, now_ms: 1_000, known: None };
    let error = visitor.visit(&address, visit).await.expect_err("there is no browser");
    assert_eq!((error.code.as_ref(), error.retry), ("no_browser", Retry::Never));
    assert!(error.message.contains("QUAERO_BROWSER"), "{error}");
    assert_eq!(site.hits().len(), 0);
}

#[tokio::test]
async fn robots_txt_is_obeyed_before_a_browser_sees_the_page() {
    let site = HostileSite::with_robots(RobotsFile::Private).expect("a port");
    let crawled = crawl(&site, &["/private/x"], json!({ "enable_javascript": true })).await;
    assert_eq!(crawled.documents.len(), 0);
    assert_eq!(site.hits().get("/private/x"), None);
}
