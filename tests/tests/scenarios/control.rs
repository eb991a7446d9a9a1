//! Ending, interrupting and watching runs from other processes, and what is refused.

use std::time::{Duration, Instant};

use quaero_tests::{
    data, folders, not_tested,
    program::{Process, Quaero},
    site::{HostileSite, Site, StaticSite},
};

#[cfg(unix)]
use rustix::process::Signal;

use super::{Place, completed_at_least, counts, index, run};

/// How soon running work stops after a cancel.
const CANCEL_TIME: Duration = Duration::from_secs(2);

/// A run that never ends by itself, and its id.
fn endless(place: &Place, quaero: &Quaero, site: &Site) -> (Process, String) {
    let settings = "request_delay = \"0s\"\nconcurrency = 4\npage_timeout = \"10m\"";
    let definition = place.crawl(site, &["/slow", "/silent", "/page/a"], settings);
    let mut process = quaero.start(run(&definition));
    let id = process.run_id();
    process.wait_for("progress", |line| {
        line["run"]["jobs"]["running"] == 2 && completed_at_least(line, 1)
    });
    (process, id)
}

#[test]
fn a_run_is_cancelled_from_another_process() {
    let place = Place::new();
    let (quaero, site) = (place.quaero(), HostileSite::serve().expect("a port"));
    let (process, id) = endless(&place, &quaero, &site);

    let asked = Instant::now();
    quaero.ask(["runs", "cancel", &id]).expect(0);
    let answer = process.finish().expect(3);
    assert!(asked.elapsed() < CANCEL_TIME, "{:?}", asked.elapsed());
    let finished = answer.finished();
    assert_eq!(finished["status"], "cancelled");
    assert_eq!(
        (&finished["jobs"]["completed"], &finished["jobs"]["cancelled"]),
        (&1.into(), &2.into()),
        "{finished}"
    );
    data::assert_whole(quaero.data_dir());

    let again = quaero.ask(["runs", "cancel", &id]).expect(1);
    assert!(again.stderr.contains("already ended"), "{again}");
    quaero.ask(["runs", "resume", &id]).expect(1);
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_goes_on_where_it_was() {
    let place = Place::new();
    let (pages, quaero) = (place.folder("site"), place.quaero());
    folders::web_site(&pages, 60).expect("a site");
    let site = StaticSite::serve(&pages).expect("a port");
    let definition = place.crawl(&site, &["/"], "request_delay = \"20ms\"\nconcurrency = 2");

    let mut process = quaero.start(run(&definition));
    let id = process.run_id();
    process.wait_for("progress", |line| completed_at_least(line, 5));
    process.interrupt();
    let answer = process.finish().expect(130);
    assert!(
        answer.stderr.contains(&format!("quaero runs resume {id}")),
        "it says how to go on: {answer}"
    );
    data::assert_consistent(quaero.data_dir());

    let list = quaero.ask(["runs", "list", "--json"]).expect(0).json();
    assert_eq!(
        (&list[0]["id"], &list[0]["status"]),
        (&id.as_str().into(), &"interrupted".into()),
        "{list}"
    );
    let kept = data::sources(quaero.data_dir()).len();
    assert!((5..60).contains(&kept), "{kept}");

    let finished = quaero.ask(["runs", "resume", &id, "--json"]).expect(0).finished();
    assert_eq!(counts(&finished), (60, 0, 0), "{finished}");
    assert_eq!(data::sources(quaero.data_dir()).len(), 60);
    let most = site
        .hits()
        .into_iter()
        .filter(|(path, _)| path != "/robots.txt")
        .map(|(_, hits)| hits)
        .sum::<usize>();
    assert!(most <= 61 + 2, "only what was under way is fetched again: {most}");
    data::assert_whole(quaero.data_dir());
}

/// How a process is asked to end, how it then does, and whether in order.
#[cfg(unix)]
const ENDS: [(&[Signal], bool); 4] = [
    (&[Signal::TERM], true),
    (&[Signal::HUP], true),
    (&[Signal::INT], true),
    // Whoever asks twice does not want to wait.
    (&[Signal::INT, Signal::INT], false),
];

/// Whether this process, and with it all that it starts, was started to outlive its terminal.
#[cfg(unix)]
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 1)
}

#[test]
#[cfg(unix)]
fn every_request_to_end_leaves_a_run_that_goes_on_with_all_that_was_done() {
    let place = Place::new();
    let pages = place.folder("site");
    folders::web_site(&pages, 40).expect("a site");
    let site = StaticSite::serve(&pages).expect("a port");
    let definition = place.crawl(&site, &["/"], "request_delay = \"30ms\"\nconcurrency = 2");
    for (number, (signals, in_order)) in ENDS.into_iter().enumerate() {
        if signals == [Signal::HUP] && hangups_are_ignored() {
            not_tested(
                "that a lost terminal ends a command: these tests were told to outlive theirs",
            );
            continue;
        }
        for serves in [false, true] {
            let what = format!("{signals:?}, serves: {serves}");
            let quaero = place.quaero_in(&format!("data {number} {serves}"));
            let (process, id) = if serves {
                let mut server = quaero.start(["serve", "--json"]);
                server.wait_for("serving", |line| line["type"] == "serving");
                // Handed over to the server; whoever has asked may go away.
                let mut asking = quaero.start(run(&definition));
                let id = asking.run_id();
                asking.wait_for("progress", |line| completed_at_least(line, 5));
                asking.kill();
                (server, id)
            } else {
                let mut process = quaero.start(run(&definition));
                let id = process.run_id();
                process.wait_for("progress", |line| completed_at_least(line, 5));
                (process, id)
            };
            for signal in signals {
                process.signal(*signal);
            }
            let answer = process.finish();
            // The first one may be all that it takes before the second arrives.
            let codes: &[i32] = match (serves, in_order) {
                (true, true) => &[0],
                (true, false) => &[0, 130],
                (false, _) => &[130],
            };
            assert!(answer.code().is_some_and(|code| codes.contains(&code)), "{what}: {answer}");
            data::assert_consistent(quaero.data_dir());
            let shown = quaero.ask(["runs", "show", &id, "--json"]).expect(0).json();
            assert_eq!(shown["status"], "interrupted", "{what}: {shown}");
            if in_order {
                assert_eq!(
                    shown["jobs"]["running"], 0,
                    "{what}: nobody is left with work: {shown}"
                );
            }
            let before = data::sources(quaero.data_dir());
            assert!(before.len() >= 5, "{what}: {before:?}");

            let finished = quaero.ask(["runs", "resume", &id, "--json"]).expect(0).finished();
            assert_eq!(counts(&finished), (40, 0, 0), "{what}: {finished}");
            assert!(data::sources(quaero.data_dir()).is_superset(&before), "{what}");
            data::assert_whole(quaero.data_dir());
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_command_that_was_told_to_outlive_its_terminal_does() {
    let place = Place::new();
    let (quaero, site) = (place.quaero(), HostileSite::serve().expect("a port"));
    let (mut process, id) = {
        let settings = "request_delay = \"0s\"\nconcurrency = 4\npage_timeout = \"10m\"";
        let definition = place.crawl(&site, &["/silent", "/page/a"], settings);
        let mut process = quaero.start_after("trap '' HUP", run(&definition));
        let id = process.run_id();
        process.wait_for("progress", |line| completed_at_least(line, 1));
        (process, id)
    };
    process.signal(Signal::HUP);
    assert!(!process.ends_within(Duration::from_millis(300)), "{process} has ended");
    quaero.ask(["runs", "cancel", &id]).expect(0);
    process.finish().expect(3);
}

#[test]
fn others_read_while_a_run_is_under_way_and_hand_over_their_own() {
    let place = Place::new();
    let (folder, quaero, site) =
        (place.folder("docs"), place.quaero(), HostileSite::serve().expect("a port"));
    folders::plain(&folder, 20).expect("a folder");
    let (process, id) = endless(&place, &quaero, &site);

    let list = quaero.ask(["runs", "list", "--json"]).expect(0).json();
    assert_eq!(
        (&list[0]["id"], &list[0]["status"]),
        (&id.as_str().into(), &"running".into()),
        "{list}"
    );
    let documents = quaero.ask(["docs", "list", "--json"]).expect(0).json();
    assert_eq!(
        documents.as_array().map(Vec::len),
        Some(1),
        "what is done can be read: {documents}"
    );
    quaero.ask(["doctor", "--json"]).expect(0);

    // The first process does the work, the second one watches it.
    let finished = quaero.ask(index(&folder)).expect(0).finished();
    assert_eq!(counts(&finished), (20, 0, 0), "{finished}");
    quaero.ask(["runs", "cancel", &id]).expect(0);
    process.finish().expect(3);
    data::assert_whole(quaero.data_dir());
}

#[test]
fn two_processes_on_one_folder_share_one_engine() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("docs"), place.quaero());
    folders::plain(&folder, 60).expect("a folder");
    // Which of them has the engine is for the system to say.
    let both: Vec<_> = (0..2).map(|_| quaero.start(index(&folder))).collect();
    let all: Vec<_> =
        both.into_iter().map(|process| process.finish().expect(0).finished()).collect();
    let ids: Vec<_> = all.iter().map(|finished| finished["run_id"].clone()).collect();
    assert_ne!(ids[0], ids[1], "two wishes, two runs");
    let list = quaero.ask(["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    let (created, updated): (u64, u64) = all
        .iter()
        .map(counts)
        .fold((0, 0), |sum, (created, updated, _)| (sum.0 + created, sum.1 + updated));
    assert_eq!((created, updated), (60, 0), "each file becomes a document once");
    assert_eq!(data::sources(quaero.data_dir()).len(), 60);
    data::assert_whole(quaero.data_dir());
}

#[test]
fn what_makes_no_sense_is_refused_with_2() {
    let place = Place::new();
    let quaero = place.quaero();
    let folder = place.folder("docs");
    folders::plain(&folder, 1).expect("a folder");
    let set = format!("folder={}", folder.display());
    let long = format!("folder={}", "x".repeat(100_000));
    let rows: [(&[&str], &str); 15] = [
        (&["fly"], "unrecognized subcommand"),
        (&["run"], "FILE|ID"),
        (&["run", "nothing"], "nothing"),
        (&["run", "missing.toml"], "missing.toml"),
        (&["run", "index-folder"], "folder"),
        (&["run", "index-folder", "--set", "folder"], "KEY=VALUE"),
        (&["run", "index-folder", "--set", "fodler=/tmp"], "fodler"),
        (&["run", "index-folder", "--set", &set, "--set", &set], "twice"),
        (&["run", "index-folder", "--set", &long], "65536"),
        (&["runs", "show", "99"], "99"),
        (&["runs", "show", "x"], "x"),
        (&["runs", "cancel", "99"], "99"),
        (&["docs", "show", "-1"], "-1"),
        (&["docs", "search"], "QUERY"),
        (&["docs", "list", "--limit", "0"], "limit"),
    ];
    for (args, word) in rows {
        let answer = quaero.ask(args);
        assert_eq!(answer.code(), Some(2), "{answer}");
        assert!(answer.stderr.contains(word), "`{word}` is not said: {answer}");
        assert_eq!(answer.lines, [""; 0], "an error is nothing for standard output: {answer}");
    }
    let list = quaero.ask(["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list, serde_json::json!([]), "a refused wish is no run");
}

#[test]
fn a_definition_with_problems_is_refused_with_all_of_them() {
    let place = Place::new();
    let quaero = place.quaero();
    let text = "id = \"x\"\nname = \"X\"\n[step.a]\ntype = \"crawl\"\nstart_urls = [\"https://example.org/\"]\nmax_page = 3\n\
                [step.b]\ntype = \"flying\"\ndepends = \"nobody\"\n";
    let file = place.file("bad.toml", text);
    let good = place.file("good.toml", "id = \"y\"\nname = \"Y\"\n[step.a]\ntype = \"reindex\"\n");
    let (file, good) = (file.to_string_lossy().into_owned(), good.to_string_lossy().into_owned());

    let reports = quaero.ask(["validate", &file, &good, "--json"]).expect(2).json();
    assert_eq!(
        (&reports[0]["file"], &reports[1]["file"]),
        (&file.as_str().into(), &good.as_str().into())
    );
    let mut codes: Vec<_> = reports[0]["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|p| p["code"].as_str())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, ["unknown_dependency", "unknown_field", "unknown_step_type"]);
    assert_eq!(reports[1]["problems"], serde_json::json!([]));
    quaero.ask(["validate", &good, "--json"]).expect(0);

    let answer = quaero.ask(["run", &file, "--json"]).expect(2);
    assert!(answer.stderr.contains("max_pages"), "the fix is named: {answer}");
    assert!(!quaero.data_dir().exists(), "validation leaves nothing behind");
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_listens_on_the_network() {
    let place = Place::new();
    let (quaero, site) = (place.quaero(), HostileSite::serve().expect("a port"));
    let (process, id) = endless(&place, &quaero, &site);
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", process.id()))
        .expect("it is running")
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| {
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    assert!(!sockets.is_empty(), "it talks to the site");
    let listening: Vec<String> = ["tcp", "tcp6", "udp", "udp6"]
        .iter()
        .flat_map(|table| {
            std::fs::read_to_string(format!("/proc/net/{table}"))
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN; 07 is what an unconnected UDP socket is in.
            columns.len() > 9
                && ["0A", "07"].contains(&columns[3])
                && sockets.iter().any(|socket| socket == columns[9])
        })
        .collect();
    assert_eq!(listening, [""; 0]);
    quaero.ask(["runs", "cancel", &id]).expect(0);
    process.finish().expect(3);
}
