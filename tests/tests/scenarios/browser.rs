//! Pages whose scripts are run: that the browser ends with Quaero, however Quaero ends.

#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::mpsc,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
    time::Timespec,
};

use super::{Place, run};

/// Nothing here takes this long.
const LIMIT: Duration = Duration::from_secs(60);

/// A page that says when its script runs, and whose script then never ends.
const PAGE: &str = "<!doctype html><title>Endless</title><p>It does not end.</p>
    <script>fetch('/started').then(() => { for (;;); })</script>";

/// A site of that page; what it hands back learns of each start of its script.
fn endless_site() -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let (tell, started) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            lines.find(String::is_empty);
            let body = if request.contains("/started") { "yes" } else { PAGE };
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            // A client that has gone needs no answer.
            let _ = (&stream).write_all(answer.as_bytes());
            if body == "yes" && tell.send(()).is_err() {
                return;
            }
        }
    });
    (host, started)
}

/// The process and all that it has started, by what the system knows.
pub(super) fn family(root: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program, in brackets, may contain anything.
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .expect("Linux has it")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let one = found[at];
        found.extend(all.iter().filter(|(_, parent)| *parent == one).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

#[test]
fn a_killed_quaero_leaves_no_browser_behind() {
    let place = Place::new();
    let (host, started) = endless_site();
    let definition = place.file(
        "endless.toml",
        &format!(
            "id = \"endless\"\nname = \"Endless\"\n[step.crawl]\ntype = \"crawl\"\nstart_urls = [\"http://{host}/\"]\n\
             allow_hosts = [\"{host}\"]\nrespect_robots = false\nenable_javascript = true\npage_timeout = \"10m\"\n"
        ),
    );
    let process = place.quaero().start(run(&definition));
    started.recv_timeout(LIMIT).expect("the page's script runs");
    let family = family(process.id());
    // The shell has become the browser, which has processes of its own.
    assert!(family.len() > 3, "Quaero, the browser and its helpers: {family:?}");
    let watched = family[1..].iter().map(|pid| {
        let raw = i32::try_from(*pid).ok().and_then(Pid::from_raw).expect("a process id");
        (*pid, pidfd_open(raw, PidfdFlags::empty()).expect("it is running"))
    });
    let watched: Vec<_> = watched.collect();
    process.kill();
    for (pid, process) in &watched {
        // It becomes readable when the process ends.
        let mut events = [PollFd::new(process, PollFlags::IN)];
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        let ended = poll(&mut events, Some(&limit)).expect("a wait");
        assert_eq!(ended, 1, "process {pid} of the browser is still there");
    }
}
