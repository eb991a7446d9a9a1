//! Profiles: kept, used, replaced, forgotten, and never seen.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
};

use quaero_contract::{JobId, KeyPlace, LogLevel, LogQuery, RunStatus};

use super::*;
use crate::{AppOptions, Role, RunText, World, secrets::Keychain};

/// A computer without a keychain.
struct NoKeychain;

impl Keychain for NoKeychain {
    fn read(&self, _: &str) -> Result<Option<SecretString>, SecretError> {
        Err(SecretError::NoKeychain("There is none.".to_owned()))
    }

    fn write(&self, _: &str, _: &SecretString) -> Result<(), SecretError> {
        Err(SecretError::NoKeychain("There is none.".to_owned()))
    }

    fn remove(&self, _: &str) -> Result<(), SecretError> {
        Err(SecretError::NoKeychain("There is none.".to_owned()))
    }
}

async fn app(data_dir: &Path) -> App {
    let world = World {
        keychain: Arc::new(NoKeychain),
        environment: Arc::new(|_| None),
        ..World::default()
    };
    let options = AppOptions { data_dir: data_dir.to_owned(), role: Role::EngineForOwnRuns };
    App::open_in(world, options).await.expect("opened")
}

fn wish(name: &str, site: Option<&str>, cookies: &str, headers: &str) -> ImportProfile {
    ImportProfile {
        name: name.to_owned(),
        site: site.map(str::to_owned),
        cookies: cookies.to_owned(),
        headers: headers.to_owned(),
        place: KeyPlace::Session,
    }
}

const COOKIES: &str = ".example.org\tTRUE\t/\tTRUE\t4000000000\tsid\tcanary-one\n\
    www.example.org\tFALSE\t/\tTRUE\t4000000001\tother\tcanary-two\n\
    .example.org\tTRUE\t/\tTRUE\t5\tover\tcanary-three\n";

#[tokio::test]
async fn a_profile_is_kept_for_its_site_and_seen_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = app(folder.path()).await;
    let headers = "Authorization: Bearer canary-four\n\n";
    let imported = app.import_profile(wish("work", None, COOKIES, headers)).await.expect("kept");
    let profile = &imported.profile;
    assert_eq!((profile.site.as_str(), profile.cookies, imported.left_out), ("example.org", 2, 1));
    assert_eq!(profile.headers, ["authorization"]);
    assert_eq!(profile.expires.as_deref(), Some("2096-10-02T07:06:41Z"));
    assert_eq!(app.profiles().await.expect("listed"), std::slice::from_ref(profile));

    let session = app.core.providers.session("work", 0).await.expect("a session");
    let url = |text: &str| url::Url::parse(text).expect("an address");
    assert!(session.covers(&url("https://a.example.org/")));
    assert!(!session.covers(&url("https://example.com/")));
    let text = fs::read_to_string(folder.path().join(FILE)).expect("a file");
    assert!(text.contains("example.org") && !text.contains("canary"), "{text}");
    assert!(!format!("{imported:?} {session:?}").contains("canary"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path().join(FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let again = wish("work", Some("www.example.com"), "", "X-Key: canary");
    app.import_profile(again).await.expect("replaced");
    let sites: Vec<String> =
        app.profiles().await.expect("listed").into_iter().map(|profile| profile.site).collect();
    assert_eq!(sites, ["example.com"]);
    app.delete_profile("work").await.expect("forgotten");
    let gone = app.delete_profile("work").await.expect_err("it is gone");
    assert_eq!(gone.code, ErrorCode::NotFound);
    let error = app.core.providers.session("work", 0).await.expect_err("it is gone");
    assert!(error.code() == "no_profile" && error.to_string().contains("quaero profiles import"));
    app.close().await;
}

#[tokio::test]
async fn what_is_no_profile_is_refused_with_a_reason_and_not_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = app(folder.path()).await;
    let two = format!("{COOKIES}.example.com\tTRUE\t/\tTRUE\t0\tsid\tcanary\n");
    let rows = [
        (wish("Work", None, COOKIES, ""), "name"),
        (wish("", None, COOKIES, ""), "name"),
        (wish("work", None, "", ""), "Name the site"),
        (wish("work", Some("example.org"), "", ""), "no cookies"),
        (wish("work", Some("https://x/"), COOKIES, ""), "not a site"),
        (wish("work", Some("example.com"), COOKIES, ""), "other sites"),
        (wish("work", None, &two, ""), "2 sites (example.com, example.org)"),
        (wish("work", None, "canary", ""), "Line 1"),
        (wish("work", Some("example.org"), "", "canary"), "Line 1"),
        (wish("work", Some("example.org"), "", "Cookie: canary"), "file of cookies"),
        (wish("work", Some("example.org"), "", "Host: canary"), "Line 1"),
        (wish("work", Some("example.org"), "", "a b: canary"), "Line 1"),
    ];
    for (request, expected) in rows {
        let shown = format!("{request:?}");
        let error = app.import_profile(request).await.expect_err("refused");
        assert_eq!(error.code, ErrorCode::Invalid, "{shown}");
        assert!(error.message.contains(expected), "{shown}: {error:?}");
        assert!(!format!("{error:?}{shown}").contains("canary"), "{error:?}");
    }
    let nowhere = ImportProfile { place: KeyPlace::Keychain, ..wish("work", None, COOKIES, "") };
    let error = app.import_profile(nowhere).await.expect_err("there is no keychain");
    assert_eq!(error.code, ErrorCode::Storage);
    assert_eq!(app.profiles().await.expect("listed"), []);
    app.close().await;
}

#[tokio::test]
async fn a_profile_without_its_key_or_with_anothers_content_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = app(folder.path()).await;
    app.import_profile(wish("one", None, COOKIES, "")).await.expect("kept");
    app.import_profile(wish("two", Some("example.com"), "", "X-Key: k")).await.expect("kept");
    let path = folder.path().join(FILE);
    let text = fs::read_to_string(&path).expect("a file");
    let mut content: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let other = content["profiles"]["two"]["secret"].clone();
    let own = std::mem::replace(&mut content["profiles"]["one"]["secret"], other);
    fs::write(&path, content.to_string()).expect("written");
    let error = app.core.providers.session("one", 0).await.expect_err("it was exchanged");
    assert_eq!(error.code(), "profile_unreadable");

    content["profiles"]["one"]["secret"] = own;
    content["profiles"]["one"]["site"] = "evil.example".into();
    fs::write(&path, content.to_string()).expect("written");
    let error = app.core.providers.session("one", 0).await.expect_err("its site was exchanged");
    assert_eq!(error.code(), "profile_unreadable");

    fs::write(&path, text).expect("written");
    app.core.providers.session("one", 0).await.expect("as it was");
    app.core.secrets.forget(KEY).await.expect("forgotten");
    let error = app.core.providers.session("one", 0).await.expect_err("nothing opens it");
    assert!(error.to_string().contains("Import it again"), "{error}");
    app.close().await;
}

/// A site for those who have its cookie; it sets another one.
fn members() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let known = head.iter().any(|line| line.contains("sid=canary-one"));
            let (status, body) = match head.first().map_or("", String::as_str) {
                first if first.contains("/closed") => ("401 Unauthorized", "No."),
                _ if known => ("200 OK", "<title>Inside</title><p>Members.<a href=/closed>x</a>"),
                _ => ("401 Unauthorized", "No."),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nSet-Cookie: fresh=canary-five\r\nContent-Type: text/html\r\nConnection: close\r\n"
            );
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            // A client that has gone needs no answer.
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    host
}

/// What can be read of a run.
async fn all_of(app: &App, run: JobId) -> String {
    let query = LogQuery { run, job: None, min_level: LogLevel::Debug, after: None, limit: 1_000 };
    let log = app.read_log(query).await.expect("a log");
    format!("{:?} {log:?}", app.get_run(run).await.expect("found"))
}

#[tokio::test]
async fn a_run_that_signs_in_leaves_nothing_of_it_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = app(folder.path()).await;
    let host = members();
    let run = |request_id: &str| RunText {
        file: "in.toml".to_owned(),
        text: format!(
            "id = \"in\"\nname = \"In\"\nauthentication = \"work\"\n[step.crawl]\ntype = \"crawl\"\nstart_urls = [\"http://{host}/\"]\nallow_hosts = [\"{host}\"]\nrespect_robots = false\nrequest_delay = \"0s\"\n"
        ),
        set: Default::default(),
        request_id: request_id.to_owned(),
        anyway: true,
    };
    let mut events = app.events();
    let early = app.run_text(run("early")).await.expect("accepted");
    app.wait_run(early).await.expect("ended");
    let told = all_of(&app, early).await;
    assert!(told.contains("quaero profiles import work"), "the first task says what to do: {told}");

    let cookies = "127.0.0.1\tFALSE\t/\tFALSE\t0\tsid\tcanary-one\n";
    let wish = wish("work", Some(&host), cookies, "X-Key: canary-two");
    app.import_profile(wish).await.expect("kept");
    let id = app.run_text(run("late")).await.expect("accepted");
    let ended = app.wait_run(id).await.expect("ended");
    assert_eq!((ended.status, ended.documents.created), (RunStatus::Completed, 1), "{ended:?}");

    let mut seen = all_of(&app, id).await;
    seen.push_str(&format!("{:?}", app.profiles().await.expect("listed")));
    while let Ok(event) = events.try_recv() {
        seen.push_str(&serde_json::to_string(&event).expect("JSON"));
    }
    assert!(seen.contains("closed") && !seen.contains("canary"), "{seen}");
    app.close().await;
    let mut open = vec![folder.path().to_owned()];
    let mut read = 0;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").flatten().map(|entry| entry.path()));
        } else if let Ok(bytes) = fs::read(&path) {
            read += 1;
            let found = bytes.windows(6).any(|part| part == b"canary");
            assert!(!found, "{} has a part of the sign-in", path.display());
        }
    }
    assert!(read >= 3, "the database, the profiles and more: {read} files");
}
