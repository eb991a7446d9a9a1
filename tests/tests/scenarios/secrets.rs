//! `attacks/secrets.toml`: the real program with keys, cookies and passphrases, and everything that it
//! leaves behind.

#![cfg(unix)]

use std::{fs, path::PathBuf};

use quaero_tests::{
    canary::Canaries,
    program::{Process, Quaero},
    services::{
        Asked, Brave, COOKIE, Emulator, EodhdAccount, Fault, GooglePlaces, KEY, Members, Reply,
        Searxng, Service, SmtpFault, SmtpServer, Tavily, USER,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, run};

/// What opens the file with keys.
const PASSPHRASE: &str = r#"canary phrase 6c\0b"+7f/d4&e8%2a"#;

/// The variables that tell a program where its files are.
const FOLDERS: [&str; 6] =
    ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "TMPDIR"];

#[derive(Deserialize)]
struct Table {
    service: Vec<Asking>,
    answer: Vec<Answering>,
    mail: Vec<Answering>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    id: String,
    step: String,
    kept: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answering {
    name: String,
    fault: String,
    exit: Option<i32>,
    says: Option<String>,
    #[serde(default)]
    but: Vec<String>,
    #[serde(default = "yes")]
    asked: bool,
}

const fn yes() -> bool {
    true
}

fn table() -> Table {
    toml::from_str(include_str!("../../attacks/secrets.toml")).expect("the rows")
}

fn canaries() -> Canaries {
    Canaries::new(&[KEY, COOKIE, PASSPHRASE])
}

/// The program in a place whose folders are all its own, without a keychain.
fn quaero(place: &Place) -> Quaero {
    let quaero = place.quaero().with("QUAERO_KEYCHAIN", "off").with("QUAERO_LOG", "debug");
    FOLDERS.iter().fold(quaero, |quaero, name| quaero.with(*name, place.folder(name)))
}

/// What is set for a service; the mail server's settings are told by its port.
fn set(quaero: &Quaero, settings: &Value) {
    fs::create_dir_all(quaero.data_dir()).expect("created");
    fs::write(quaero.data_dir().join("settings.json"), settings.to_string()).expect("written");
}

fn at(id: &str, base_url: &str) -> Value {
    match id {
        "profile" => json!({}),
        id => json!({ "providers": { id: { "base_url": base_url } } }),
    }
}

fn emulator(id: &str) -> Emulator {
    const FOUND: [&str; 2] = ["https://a.example/one", "https://b.example/two"];
    match id {
        "searxng" => Emulator::start(Searxng::finding(&FOUND)),
        "brave" => Emulator::start(Brave::finding(&FOUND)),
        "tavily" => Emulator::start(Tavily::finding(&FOUND)),
        "google_places" => Emulator::start(GooglePlaces::with(2)),
        "eodhd" => Emulator::start(EodhdAccount),
        "profile" => Emulator::start(Members),
        other => panic!("there is no emulator of {other}"),
    }
}

/// Somebody else, who must not be asked.
struct Nobody;

impl Service for Nobody {
    fn answer(&self, _: &Asked) -> Reply {
        self.error(200, "Thank you.")
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        Reply::page(status, message)
    }

    fn key(&self, _: &Asked) -> String {
        String::new()
    }
}

fn fault(word: &str, elsewhere: &str) -> Option<Fault> {
    Some(match word {
        "none" | "refused" => return None,
        "repeat" => Fault::Repeat,
        "proxy" => Fault::Proxy(502),
        "no_json" => Fault::NoJson,
        "cut" => Fault::Cut,
        "hang_up" => Fault::HangUp,
        "silent" | "killed" => Fault::Silent,
        "elsewhere" => {
            let mut query = url::form_urlencoded::Serializer::new(format!("{elsewhere}in?"));
            query.append_pair("key", KEY).append_pair("sid", COOKIE);
            Fault::Elsewhere(query.finish())
        }
        word => {
            let status = word.strip_prefix("echo_").and_then(|status| status.parse().ok());
            Fault::Echo(status.unwrap_or_else(|| panic!("there is no fault `{word}`")))
        }
    })
}

/// A definition with a step, and one that makes a copy of the database whatever comes of it.
fn definition(place: &Place, step: &str) -> PathBuf {
    let text = format!(
        "id = \"job\"\nname = \"Job\"\n[step.ask]\n{step}\ntask_attempts = 1\non_error = \"fail\"\n\
         [step.copy]\ntype = \"database_maintenance\"\noperations = [\"backup\"]\nalways_run = true\n"
    );
    place.file("job.toml", &text)
}

/// Everything that the program says of its data afterwards.
fn everything(quaero: &Quaero, canaries: &Canaries, place: &Place, service: &str) {
    let ask = |args: &[&str]| {
        let answer = quaero.ask(args);
        canaries.assert_none(&args.join(" "), answer.text().as_bytes());
        answer
    };
    for run in data_ids(&ask(&["runs", "list", "--limit", "100", "--json"]).json()) {
        ask(&["runs", "show", &run, "--json"]);
        ask(&["runs", "stats", &run]);
    }
    for document in data_ids(&ask(&["docs", "list", "--limit", "100", "--json"]).json()) {
        ask(&["docs", "show", &document, "--json"]);
    }
    let (definition, exported) = (place.dir.path().join("job.toml"), place.dir.path().join("out"));
    ask(&["definitions", "import", &definition.to_string_lossy()]).expect(0);
    ask(&["definitions", "export", "job", &exported.to_string_lossy()]).expect(0);
    for args in [
        &["runs", "events"][..],
        &["providers", "list"],
        &["providers", "list", "--json"],
        &["providers", "test", service],
        &["profiles", "list", "--json"],
        &["profiles", "list"],
        &["doctor", "--json"],
    ] {
        ask(args);
    }
}

fn data_ids(list: &Value) -> Vec<String> {
    let items = list.as_array().expect("a list").iter();
    items.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

/// What a running program shows of itself to other programs: its command line, and all that it has
/// started.
fn shown(process: &Process, canaries: &Canaries) {
    for file in ["cmdline", "comm"] {
        if let Ok(text) = fs::read(format!("/proc/{}/{file}", process.id())) {
            canaries.assert_none(file, &text);
        }
    }
}

#[test]
fn what_services_answer_brings_no_secret_to_light() {
    let Table { service, answer, .. } = table();
    let canaries = canaries();
    for asking in &service {
        let place = Place::new();
        let (emulator, elsewhere) = (emulator(&asking.id), Emulator::start(Nobody));
        let base = emulator.base_url();
        let host = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let quaero = ready(&place, asking, &host);
        let step = asking.step.replace("{base}", &base).replace("{host}", &host);
        for row in answer.iter().filter(|row| !row.but.contains(&asking.id)) {
            let what = format!("{}: {}", asking.id, row.name);
            let base = if row.fault == "refused" { nowhere() } else { base.clone() };
            set(&quaero, &at(&asking.id, &base));
            emulator.fail_always(fault(&row.fault, &elsewhere.base_url()));
            let patience = if row.fault == "silent" { "1s" } else { "50s" };
            let step = match (asking.id.as_str(), row.fault.as_str()) {
                ("profile", "refused") => step.replace(&host, &base[7..base.len() - 1]),
                _ => step.clone(),
            };
            let before = emulator.asked().len();
            let definition = definition(&place, &format!("{step}task_timeout = \"{patience}\""));
            let process = quaero.start(run(&definition));
            if row.fault == "killed" {
                emulator.wait_for_more_than(before);
                shown(&process, &canaries);
                // The log of the database is not folded in yet.
                canaries.assert_none_below(place.dir.path());
                canaries.assert_none(&what, process.kill().text().as_bytes());
                continue;
            }
            let answer = process.finish();
            let text = answer.text();
            canaries.assert_none(&what, text.as_bytes());
            assert_eq!(answer.code(), row.exit, "{what}: {answer}");
            let says = row.says.as_deref().unwrap_or_default();
            assert!(text.contains(says), "{what}: nothing says `{says}`: {answer}");
            let asked = emulator.asked().len() > before;
            assert_eq!(asked, row.asked, "{what}: {answer}");
        }
        assert_eq!(elsewhere.asked(), [], "{} was followed elsewhere", asking.id);
        let shows = emulator.asked().iter().all(|asked| match asking.id.as_str() {
            "searxng" => true,
            "profile" => asked.header("cookie").contains(COOKIE),
            _ => format!("{:?}", asked.headers).contains("canary-7f3a"),
        });
        assert!(shows, "the key was not used: {:?}", emulator.asked());
        emulator.fail_always(None);
        everything(&quaero, &canaries, &place, &asking.id);
        let files = canaries.assert_none_below(place.dir.path());
        assert!(files >= 5, "the database, a copy, a log, settings and more: {files} files");
    }
}

/// The program with what the service is opened with.
fn ready(place: &Place, asking: &Asking, host: &str) -> Quaero {
    let quaero = quaero(place);
    let id = asking.id.as_str();
    match (id, asking.kept.as_deref()) {
        ("profile", Some("file")) => {
            let quaero = quaero.with("QUAERO_PASSPHRASE", PASSPHRASE);
            sign_in(&quaero, host);
            quaero
        }
        (id, Some("file")) => {
            let quaero = quaero.with("QUAERO_PASSPHRASE", PASSPHRASE);
            let words = ["providers", "set-key", id, "--keep", "file"];
            quaero.tell(&format!("{KEY}\n"), words).expect(0);
            quaero
        }
        (id, None) => quaero.with(format!("QUAERO_{}_API_KEY", id.to_ascii_uppercase()), KEY),
        (_, Some(other)) => panic!("keys are not kept in {other}"),
    }
}

/// Keeps a cookie and a header for a host, which come from outside the place that is searched.
fn sign_in(quaero: &Quaero, host: &str) {
    let outside = tempfile::tempdir().expect("a folder");
    let (cookies, headers) = (outside.path().join("cookies"), outside.path().join("headers"));
    let line = format!("127.0.0.1\tFALSE\t/\tFALSE\t0\tsid\t{COOKIE}\n");
    fs::write(&cookies, line).expect("written");
    fs::write(&headers, format!("X-Key: {KEY}\n")).expect("written");
    let (cookies, headers) = (cookies.to_string_lossy(), headers.to_string_lossy());
    let words = ["profiles", "import", "work", "--site", host, "--keep", "file"];
    let files = ["--cookies", &*cookies, "--headers", &*headers];
    let answer = quaero.ask(words.iter().chain(&files)).expect(0);
    canaries().assert_none("profiles import", answer.text().as_bytes());
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}/", listener.local_addr().expect("an address"))
}

#[test]
fn what_a_mail_server_answers_brings_no_password_to_light() {
    let (place, canaries) = (Place::new(), canaries());
    let quaero = quaero(&place).with("QUAERO_SMTP_API_KEY", KEY);
    let server = SmtpServer::start(false);
    set(
        &quaero,
        &json!({ "mail": {
            "host": "127.0.0.1", "port": server.port(), "security": "none", "user": USER,
            "from": "quaero@example.org",
        }}),
    );
    for row in table().mail {
        let fault = match row.fault.as_str() {
            "none" => None,
            "bad_password" => Some(SmtpFault::BadPassword),
            "closed" => Some(SmtpFault::Closed),
            "no_such_user" => Some(SmtpFault::NoSuchUser),
            "hang_up" => Some(SmtpFault::HangUp),
            "silent" => Some(SmtpFault::Silent),
            other => panic!("there is no fault `{other}`"),
        };
        server.fail_next(fault);
        let patience = if row.fault == "silent" { "1s" } else { "50s" };
        let step = format!(
            "type = \"email\"\nto = \"ann@example.org\"\nbody = \"Hi\"\ntask_timeout = \"{patience}\""
        );
        let answer = quaero.ask(run(&definition(&place, &step)));
        let text = answer.text();
        canaries.assert_none(&row.name, text.as_bytes());
        assert_eq!(answer.code(), row.exit, "{}: {answer}", row.name);
        let says = row.says.as_deref().unwrap_or_default();
        assert!(text.contains(says), "{}: nothing says `{says}`: {answer}", row.name);
    }
    let mails = server.mails();
    assert!(mails.len() == 1 && mails[0].signed_in, "{mails:?}");
    everything(&quaero, &canaries, &place, "smtp");
    canaries.assert_none_below(place.dir.path());
}

#[test]
fn a_copy_of_the_data_elsewhere_opens_nothing_and_what_is_deleted_is_gone() {
    let (place, site) = (Place::new(), Emulator::start(Members));
    let base = site.base_url();
    let host = base.trim_start_matches("http://").trim_end_matches('/');
    let owner = quaero(&place).with("QUAERO_PASSPHRASE", PASSPHRASE);
    sign_in(&owner, host);
    owner.tell(KEY, ["providers", "set-key", "brave", "--keep", "file"]).expect(0);
    let step = format!(
        "type = \"crawl\"\nstart_urls = [\"{base}\"]\nallow_hosts = [\"{host}\"]\nauthentication = \"work\"\n\
         respect_robots = false"
    );
    let definition = definition(&place, &step);
    owner.ask(run(&definition)).expect(0);

    let elsewhere = tempfile::tempdir().expect("a folder");
    quaero_tests::folders::copy(owner.data_dir(), &elsewhere.path().join("data")).expect("copied");
    let asked = site.asked().len();
    for passphrase in [None, Some("another passphrase")] {
        let other = Quaero::on(elsewhere.path().join("data")).with("QUAERO_KEYCHAIN", "off");
        let other = match passphrase {
            Some(passphrase) => other.with("QUAERO_PASSPHRASE", passphrase),
            None => other,
        };
        let answer = other.ask(run(&definition)).expect(1);
        let says = match passphrase {
            None => "file with your keys is locked",
            Some(_) => "does not open the file",
        };
        assert!(answer.text().contains(says), "{answer}");
        let list = other.ask(["providers", "list"]).expect(0);
        let says = match passphrase {
            None => "key in a locked file",
            Some(_) => "key cannot be read",
        };
        assert!(list.text().contains(says), "{list}");
        let listed = other.ask(["profiles", "list", "--json"]).expect(0).json();
        assert_eq!(listed[0]["site"], host, "{listed}");
    }
    assert_eq!(site.asked().len(), asked, "nobody was asked without the sign-in");

    let read = |name: &str| -> Value {
        let text = fs::read(owner.data_dir().join(name)).expect("a file");
        serde_json::from_slice(&text).expect("JSON")
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let sealed = [
        text(&read("profiles.json")["profiles"]["work"]["secret"]["sealed"]),
        text(&read("keys.json")["secrets"]["brave"]["sealed"]),
    ];
    let sealed = Canaries::new(&sealed.each_ref().map(String::as_str));
    assert!(sealed.found_in(&fs::read(owner.data_dir().join("keys.json")).expect("it")).is_some());
    owner.ask(["profiles", "delete", "work"]).expect(0);
    owner.ask(["providers", "forget-key", "brave"]).expect(0);
    sealed.assert_none_below(place.dir.path());
    let answer = owner.ask(run(&definition)).expect(1);
    assert!(answer.text().contains("There is no sign-in profile `work`"), "{answer}");
}

/// A browser that only says what it was given.
#[cfg(target_os = "linux")]
fn telling(place: &Place, into: &std::path::Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let text = format!(
        "#!/bin/sh\nenv > {0}.part; echo \"$0 $*\" >> {0}.part; mv {0}.part {0}\n",
        into.display()
    );
    let path = place.file("browser", &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("allowed");
    path
}

#[cfg(target_os = "linux")]
#[test]
fn programs_that_are_started_get_no_secrets() {
    use std::sync::mpsc;

    let (place, canaries, site) = (Place::new(), canaries(), Emulator::start(Members));
    let base = site.base_url();
    let host = base.trim_start_matches("http://").trim_end_matches('/');
    let told = place.dir.path().join("told");
    let quaero = quaero(&place)
        .with("QUAERO_BROWSER", telling(&place, &told))
        .with("QUAERO_PASSPHRASE", PASSPHRASE)
        .with("QUAERO_BRAVE_API_KEY", KEY)
        .with("KEPT", "yes");
    sign_in(&quaero, host);
    let step = format!(
        "type = \"crawl\"\nstart_urls = [\"{base}\"]\nallow_hosts = [\"{host}\"]\nauthentication = \"work\"\n\
         respect_robots = false\nenable_javascript = true"
    );
    let answer = quaero.ask(run(&definition(&place, &step)));
    canaries.assert_none("a crawl without a browser", answer.text().as_bytes());
    let text = fs::read(&told).unwrap_or_else(|error| panic!("{error}: {answer}"));
    canaries.assert_none("the browser's environment", &text);
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("KEPT=yes") && text.contains("--headless"), "{text}");
    assert!(!text.contains("QUAERO_"), "{text}");

    // The reader of PDF files lives for a moment, so there are many.
    let folder = place.folder("papers");
    for number in 0..40 {
        let pdf = quaero_tests::folders::pdf(&format!("paper {number}"));
        fs::write(folder.join(format!("{number}.pdf")), pdf).expect("written");
    }
    let process = quaero.start(super::index(&folder));
    let (stop, stopped) = mpsc::channel::<()>();
    let id = process.id();
    let watch = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            for child in super::browser::family(id).split_off(1) {
                let read = |file: &str| fs::read(format!("/proc/{child}/{file}"));
                let (Ok(words), Ok(environment)) = (read("cmdline"), read("environ")) else {
                    continue;
                };
                // Before it has become that program, it is still a copy of this one.
                if words.windows(13).any(|part| part == b"__extract-pdf") {
                    seen.push((words, environment));
                }
            }
        }
        seen
    });
    process.finish().expect(0);
    drop(stop);
    let seen = watch.join().expect("it only reads");
    let whole: Vec<_> = seen.iter().filter(|(_, variables)| !variables.is_empty()).collect();
    assert!(!whole.is_empty(), "no reader was seen among {}", seen.len());
    for (words, environment) in whole {
        canaries.assert_none("the reader's command line", words);
        canaries.assert_none("the reader's environment", environment);
        let text = String::from_utf8_lossy(environment);
        assert!(text.contains("KEPT=yes") && !text.contains("QUAERO_"), "{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_crash_leaves_no_core_dump() {
    use std::os::unix::process::ExitStatusExt as _;

    let place = Place::new();
    let limit = |process: &Process| -> Vec<String> {
        let text = fs::read_to_string(format!("/proc/{}/limits", process.id())).expect("limits");
        let line = text.lines().find(|line| line.starts_with("Max core file size"));
        let words = line.expect("it is listed").split_whitespace().skip(4);
        words.map(str::to_owned).collect()
    };
    let raise = "{ ulimit -c unlimited 2>/dev/null || ulimit -S -c \"$(ulimit -H -c)\"; }";
    let mut process = quaero(&place).start_after(raise, ["serve", "--json"]);
    process.next_json().expect("it says that it is ready");
    let [soft, hard, ..] = &limit(&process)[..] else { panic!("two limits") };
    if hard == "0" {
        quaero_tests::not_tested("core dumps: this computer allows none");
    } else {
        // One byte is none in a file, and tells Linux to start no program for it either.
        assert_eq!(soft, "1", "of {hard}");
    }
    process.signal(rustix::process::Signal::ABORT);
    let answer = process.finish();
    assert_eq!(answer.status.signal(), Some(6), "{answer}");
    assert!(!answer.status.core_dumped(), "{answer}");
}
