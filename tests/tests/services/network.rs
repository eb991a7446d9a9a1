//! The network itself: hosts that are slow by the dozen, one that is away and comes back, names that lead
//! nowhere, and networks that want a sign-in before they let anything through.

use std::{collections::BTreeMap, time::Duration};

use quaero_app::RunText;
use quaero_contract::{JobId, JobQuery, JobStatus, RunStatus, RunView};
use quaero_tests::site::{LivingSite, Outcome, Page, Row, ScriptedSite, Site};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};

use super::{Desk, Ended, hostile::tasks};

/// Nothing here takes this long.
const LIMIT: Duration = Duration::from_secs(60);
/// As many tasks of one run run at the same time.
const WIDTH: u32 = 64;

fn crawl(start: &[String], more: &str) -> String {
    format!(
        "[step.read]\ntype = \"crawl\"\nstart_urls = {start:?}\nallow_hosts = [\"127.0.0.1\"]\nrequest_delay = \"0\"\n\
         task_timeout = \"12h\"\n{more}"
    )
}

/// A site of which every address answers as a row of `http.toml` says.
fn site(row: &str) -> Site {
    let rows: Vec<Row<Outcome>> = Row::all("http.toml");
    let row = rows.iter().find(|of| of.name == row).unwrap_or_else(|| panic!("no row {row}"));
    ScriptedSite::serve([("/", row.answers())]).expect("a port")
}

impl Desk {
    /// Starts a definition with these steps.
    async fn begin(&self, id: &str, steps: &str) -> JobId {
        let request = RunText {
            file: "job.toml".to_owned(),
            text: format!("id = \"{id}\"\nname = \"Job\"\n{steps}"),
            set: BTreeMap::new(),
            request_id: id.to_owned(),
            anyway: true,
        };
        self.app.run_text(request).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Waits until something is so, looking again after each event.
    async fn until(&self, is_so: impl AsyncFn() -> bool) {
        let mut events = self.app.events();
        let wait = async {
            while !is_so().await {
                // That some came too late to be kept is one, too.
                let _ = events.recv().await;
            }
        };
        timeout(LIMIT, wait).await.expect("it gets there");
    }

    async fn view(&self, run: JobId) -> RunView {
        self.app.get_run(run).await.expect("found")
    }
}

#[tokio::test]
async fn hosts_that_are_slow_by_the_dozen_hold_up_no_other_run() {
    let slow: Vec<Site> = (0..80).map(|_| site("silence")).collect();
    let start: Vec<String> = slow.iter().map(|site| site.url("/")).collect();
    let desk = Desk::hurried(1).await;
    let held =
        desk.begin("held", &crawl(&start, "respect_robots = false\npage_timeout = \"10m\"")).await;
    desk.until(async || desk.view(held).await.summary.jobs.running == WIDTH).await;
    let good = LivingSite::start().expect("a port");
    good.page("/", "Front", "It leads to others.", &["/a", "/b", "/c"]);
    for path in ["/a", "/b", "/c"] {
        good.page(path, path, &format!("This is {path}."), &[]);
    }
    let other = timeout(LIMIT, desk.run(&crawl(&[good.url("/")], ""))).await.expect("it has room");
    assert_eq!(other.counts(), (4, 0, 0), "{other:?}");
    let view = desk.view(held).await;
    assert!(view.summary.jobs.running >= WIDTH, "{view:?}");
    let asked = slow.iter().filter(|site| !site.hits().is_empty()).count();
    assert!(asked <= WIDTH as usize, "{asked} hosts were asked at the same time");
    desk.app.cancel_run(held).await.expect("it runs");
    desk.app.wait_run(held).await.expect("ended");
    desk.close().await;
}

#[tokio::test]
async fn a_host_that_was_away_is_read_when_it_is_back() {
    // As long as it does not listen, connections to it are refused, and nobody else gets its port.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_addr().expect("bound");
    let desk = Desk::hurried(20).await;
    let run =
        desk.begin("away", &crawl(&[format!("http://{address}/")], "respect_robots = false")).await;
    let query = JobQuery { limit: 10, ..JobQuery::default() };
    let has_failed = async || {
        let jobs = desk.app.list_jobs(run, query.clone()).await.expect("found").jobs;
        jobs.iter().any(|job| job.attempt > 0 && job.status == JobStatus::Pending)
    };
    desk.until(has_failed).await;
    let listener = socket.listen(16).expect("it may");
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await.expect("a request");
            let body = "<title>Back</title><p>Here I am again.</p>";
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close";
            let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.expect("it is read");
        }
    });
    desk.app.wait_run(run).await.expect("ended");
    let view = desk.view(run).await;
    assert_eq!(
        (view.summary.status, view.summary.documents.created),
        (RunStatus::Completed, 1),
        "{view:?}"
    );
    serving.abort();
    desk.close().await;
}

/// Runs a crawl that must fail, and tells the code and the message of its start page.
async fn failure(desk: &Desk, start: &str, more: &str) -> (String, String, Ended) {
    let ended =
        desk.run(&format!("{}\non_error = \"fail\"", crawl(&[start.to_owned()], more))).await;
    assert_eq!(ended.view.summary.status, RunStatus::Failed, "{ended:?}");
    assert_eq!(ended.step().status, JobStatus::Failed, "{ended:?}");
    assert_eq!(desk.documents().len(), 0, "{ended:?}");
    let error = tasks(&ended).await.remove(start).and_then(|task| task.error);
    let error = error.unwrap_or_else(|| panic!("{start} has no failure: {ended:?}"));
    assert!(ended.view.warnings.iter().any(|text| text.contains(&error.message)), "{ended:?}");
    (error.code, error.message, ended)
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_told_as_what_it_is() {
    let desk = Desk::hurried(1_000).await;
    // Longer than a part of a name can be, so that no server is asked for it.
    let name = format!("http://{}.example.org/", "x".repeat(64));
    let (code, message, _) = failure(&desk, &name, "").await;
    assert_eq!(code, "host_not_found", "{message}");
    assert!(message.contains("cannot be found"), "{message}");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_addr().expect("bound").to_string();
    let (code, message, _) = failure(&desk, &format!("http://{address}/"), "").await;
    assert_eq!(code, "cannot_connect", "{message}");
    assert!(message.contains(&address), "{message}");
    desk.close().await;
}

#[tokio::test]
async fn a_network_that_wants_a_sign_in_is_told_as_one() {
    let desk = Desk::hurried(1_000).await;
    // By the status that is meant for it, of the page and of robots.txt.
    let says_so = site("a network that asks to sign in first");
    for more in ["", "respect_robots = false"] {
        let (code, message, _) = failure(&desk, &says_so.url("/"), more).await;
        assert_eq!(code, "network_sign_in", "{message}");
        assert!(message.contains("sign in to the network"), "{message}");
    }
    // By sending everyone to a page of its own, inside the network or on another site.
    let inside = site("a target inside the network");
    let (code, message, _) = failure(&desk, &inside.url("/"), "").await;
    assert_eq!(code, "address_refused", "{message}");
    assert!(message.contains("169.254.169.254"), "{message}");
    let elsewhere = LivingSite::start().expect("a port");
    let headers = "Location: http://login.example.org/?then=back\r\n".to_owned();
    elsewhere.put("/", Page { status: 302, headers, body: Vec::new() });
    let (code, message, ended) = failure(&desk, &elsewhere.url("/"), "").await;
    assert_eq!(code, "leads_elsewhere", "{message}");
    assert!(message.contains("your network asks you to sign in"), "{message}");
    let asked = ended.app.run_statistics(ended.view.summary.id).await.expect("found").requests;
    let hosts: Vec<&str> = asked.iter().map(|of| &*of.host).collect();
    assert_eq!(hosts, [elsewhere.host()], "nobody else was asked");
    desk.close().await;
}
