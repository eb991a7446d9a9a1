//! Signing in to a site in a window of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::mpsc,
};

use quaero_tests::data;

use crate::desk::drive;

/// What a page of the site does there: it asks for everything that could be had from the program, and
/// tells the site what came of it.
const PAGE: &str = "<!doctype html><title>Welcome</title><h1>Welcome</h1><script>
    (async () => {
        const told = [];
        const ask = async (name, what) => {
            try { told.push(name + ': got ' + JSON.stringify(await what())); }
            catch (error) { told.push(name + ': ' + String(error).split(/\\s+/).join(' ')); }
        };
        const invoke = (command, args) => window.__TAURI_INTERNALS__.invoke(command, args);
        await ask('profiles', () => invoke('list_profiles'));
        await ask('runs', () => invoke('list_runs', { before: null, limit: 10 }));
        await ask('keep', () => invoke('keep_sign_in', { place: 'session' }));
        await ask('listen', () => invoke('plugin:event|listen', { event: 'log-appended', target: { kind: 'Any' }, handler: 1 }));
        await ask('window', () => invoke('plugin:window|close', { label: 'main' }));
        await fetch('/told', { method: 'POST', body: told.join('\\n') });
    })();
</script>";

/// A site that signs in whoever comes, shows `/secret` to who is signed in only, and hands back what
/// its page has told.
fn site() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let (mut head, mut length) = (String::new(), 0);
            while reader.read_line(&mut head).is_ok_and(|read| read > 2) {
                let line = head.lines().next_back().unwrap_or_default().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            let mut body = vec![0; length];
            let _ = reader.read_exact(&mut body);
            let signed_in = head.contains("sid=canary");
            let (status, cookies, text) = match head.split(' ').nth(1).unwrap_or_default() {
                "/login" => (
                    "200 OK",
                    "Set-Cookie: sid=canary; Path=/; HttpOnly\r\nSet-Cookie: theme=dark; Max-Age=9999\r\n",
                    PAGE,
                ),
                "/secret" if signed_in => {
                    ("200 OK", "", "<title>Secret</title><p>Only for members: the walrus.</p>")
                }
                "/told" => {
                    let _ = tell.send(String::from_utf8_lossy(&body).into_owned());
                    ("200 OK", "", "")
                }
                "/secret" => ("401 Unauthorized", "", "<p>Who are you?</p>"),
                _ => ("404 Not Found", "", ""),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/html\r\n{cookies}Connection: close\r\n\
                 Content-Length: {}\r\n\r\n{text}",
                text.len()
            );
            // A client that has gone needs no answer.
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    (host, told)
}

#[test]
fn a_site_is_signed_in_to_in_a_window_that_reaches_nothing_of_the_program() {
    drive("sign-in", async |desk| {
        let (host, told) = site();
        desk.define(
            "members.toml",
            &format!(
                "id = \"members\"\nname = \"Members\"\n[step.pages]\ntype = \"crawl\"\n\
                 start_urls = [\"http://{host}/secret\"]\nallow_hosts = [\"{host}\"]\n\
                 respect_robots = false\nauth_id = \"club\"\n"
            ),
        );
        desk.open().await;
        desk.click("link", "Settings").await;
        desk.click("button", "Sign in…").await;
        // There is a box of this name behind the dialog as well.
        let name = desk.see("document.querySelector('[role=dialog] input')", "its first box").await;
        desk.element(&name).send_keys("club").await.expect("it takes text");
        desk.fill("Address", &format!("http://{host}/login")).await;
        desk.click("button", "Open window").await;
        desk.find("button", "Keep sign-in").await;
        let told = tokio::task::spawn_blocking(move || {
            told.recv_timeout(std::time::Duration::from_secs(20))
        });
        let told = told.await.expect("waited").expect("the page of the site was shown");
        let refused = told.lines().filter(|line| line.contains("not allowed")).count();
        assert_eq!((refused, told.lines().count()), (5, 5), "{told}");
        desk.click("button", "Keep sign-in").await;
        desk.read("2 cookies").await;
        desk.start_job("Members").await;
        desk.run_is("completed").await;
        let documents = data::documents(&desk.data_dir());
        let secret = documents.values().next().expect("the page for members");
        assert!(secret.markdown.contains("walrus"), "{}", secret.markdown);
        // What was kept is sealed.
        let kept = std::fs::read_to_string(desk.data_dir().join("profiles.json")).expect("kept");
        assert!(kept.contains("club") && !kept.contains("canary"), "{kept}");
    });
}
