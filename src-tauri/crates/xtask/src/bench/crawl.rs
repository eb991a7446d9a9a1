//! `cargo xtask bench crawl`: a crawl by Quaero beside other crawlers, of the same sites on this machine.
//! What the programs do stands in tests/bench/README.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use serde_json::{Value, json};

use super::peer::{self, CRAWLERS, Failure, Installed, OURS, bench_dir};
use crate::process::{find, run};

const USAGE: &str = "\
Usage: cargo xtask bench crawl [OPTION…]

  --rounds N      how often each site is crawled by each (3)
  --peers A,B     of the crawlers, beside Quaero itself: spider scrapy wget, or none
  --pages N       crawl a made-up site of N pages by Quaero alone instead, and search it
";

/// Debian's packages that a crawl needs: the server, and two manuals as sites.
const PACKAGES: [&str; 3] = ["nginx", "postgresql-doc-15", "python3.11-doc"];
const SITES: [(&str, &str); 2] = [
    ("postgresql", "usr/share/doc/postgresql-doc-15/html"),
    ("python", "usr/share/doc/python3.11/html"),
];

/// Crawls, prints the table and leaves `target/bench/crawl.json`.
///
/// # Errors
/// If a word is not understood, or Quaero or a site cannot be got.
pub(crate) fn crawl(words: &[&str]) -> Result<ExitCode, String> {
    let (mut rounds, mut pages) = (3_usize, None);
    let mut peers: Vec<&str> = CRAWLERS.iter().map(|peer| peer.name).collect();
    let mut rest = words.iter().copied();
    while let Some(word) = rest.next() {
        let number = |value: Option<&str>| value.and_then(|n| n.parse().ok()).filter(|n| *n > 0);
        match word {
            "--rounds" => rounds = number(rest.next()).ok_or("--rounds needs a number.")?,
            "--pages" => pages = Some(number(rest.next()).ok_or("--pages needs a number.")?),
            "--peers" => peers = rest.next().unwrap_or_default().split(',').chain([OURS]).collect(),
            _ => {
                print!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    fs::create_dir_all(bench_dir())
        .map_err(|error| format!("{} cannot be made: {error}.", bench_dir().display()))?;
    if let Some(pages) = pages {
        return large(pages);
    }
    let mut installed = Vec::new();
    for peer in CRAWLERS.iter().filter(|peer| peers.contains(&peer.name)) {
        println!("-- getting {}", peer.name);
        match peer.install() {
            Ok(peer) => installed.push(peer),
            Err(why) if peer.name == OURS => return Err(why),
            Err(why) => println!("{} is left out: {why}", peer.name),
        }
    }
    let server = Server::start()?;
    let mut found: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    for round in 0..rounds {
        for (site, _) in SITES {
            for peer in &installed {
                let (result, asked) = server.crawled(site, peer);
                match result {
                    Ok(mut outcome) => {
                        outcome.found.insert("asked".to_owned(), asked.len().into());
                        let row = Value::Object(outcome.found);
                        println!("{site} {}: {row}", peer.peer.name);
                        found
                            .entry((site.to_owned(), peer.peer.name.to_owned()))
                            .or_default()
                            .push(row);
                    }
                    Err(Failure::Broken(why) | Failure::Unsupported(why)) => println!("{why}"),
                }
            }
        }
        println!("-- round {} of {rounds}", round + 1);
    }
    let rows: Vec<Value> = found
        .iter()
        .map(|((site, peer), runs)| json!({ "site": site, "peer": peer, "runs": runs }))
        .collect();
    let file = bench_dir().join("crawl.json");
    let text = serde_json::to_string_pretty(&rows).unwrap_or_default();
    fs::write(&file, text)
        .map_err(|error| format!("{} cannot be written: {error}.", file.display()))?;
    println!("\n{}\nThe figures are in {}.", table(&found), file.display());
    Ok(ExitCode::SUCCESS)
}

/// The middle of several runs.
fn median(runs: &[Value], of: impl Fn(&Value) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = runs.iter().filter_map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn table(found: &BTreeMap<(String, String), Vec<Value>>) -> String {
    let mut table = "| site | crawler | pages asked | pages/s | CPU s | memory MiB |\n|---|---|--:|--:|--:|--:|\n".to_owned();
    for ((site, peer), runs) in found {
        let asked = |run: &Value| run["asked"].as_f64();
        let rate = median(runs, |run| Some(asked(run)? / run["seconds"].as_f64()?));
        let cpu = median(runs, |run| {
            run["cpu_s"].as_f64().or_else(|| Some(run["process_cpu_ms"].as_f64()? / 1e3))
        });
        let memory = median(runs, |run| {
            run["memory_mib"].as_f64().or_else(|| Some(run["memory_kib"].as_f64()? / 1024.0))
        });
        let show = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
        };
        let _ = writeln!(
            table,
            "| {site} | {peer} | {} | {} | {} | {} |",
            show(median(runs, asked), 0),
            show(rate, 1),
            show(cpu, 1),
            show(memory, 0)
        );
    }
    table
}

/// A web server that writes down what it was asked.
struct Server {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Server {
    fn start() -> Result<Self, String> {
        let files = unpacked()?;
        let folder = bench_dir().join("crawl");
        let cannot = |what: &Path, error: std::io::Error| {
            format!("{} cannot be written: {error}.", what.display())
        };
        fs::create_dir_all(&folder).map_err(|error| cannot(&folder, error))?;
        // Free a moment ago; nothing else here listens meanwhile.
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| format!("No port can be had: {error}."))?
            .port();
        let at = folder.display();
        let locations: String = SITES
            .iter()
            .map(|(name, path)| {
                format!(
                    "location /{name}/ {{ alias {}/; index index.html; }}\n",
                    files.join(path).display()
                )
            })
            .collect();
        let text = format!(
            "daemon on; pid {at}/pid; worker_processes 1; error_log {at}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ types {{ text/html html; text/plain txt; }} default_type application/octet-stream;\n\
             log_format short '$status $uri $sent_http_content_type'; access_log {at}/access.log short;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi; sendfile on; keepalive_requests 100000;\n\
             server {{ listen 127.0.0.1:{port}; {locations} }} }}\n"
        );
        let config = folder.join("nginx.conf");
        fs::write(&config, text).map_err(|error| cannot(&config, error))?;
        // It goes into the background when it listens.
        let server = Self { program: files.join("usr/sbin/nginx"), folder, port };
        run(&mut server.command())?;
        Ok(server)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("-p")
            .arg(&self.folder)
            .arg("-c")
            .arg(self.folder.join("nginx.conf"))
            .arg("-e")
            .arg(self.folder.join("error.log"));
        command
    }

    /// Has a site crawled. Returns the pages that were asked for as well.
    fn crawled(
        &self,
        site: &str,
        peer: &Installed,
    ) -> (Result<peer::Outcome, Failure>, BTreeSet<String>) {
        let log = self.folder.join("access.log");
        let before = fs::metadata(&log).map_or(0, |data| data.len());
        let url = format!("url=http://127.0.0.1:{}/{site}/index.html", self.port);
        let result = peer.run("crawl", &[url, "concurrency=64".to_owned()]);
        let lines = fs::read_to_string(&log).unwrap_or_default();
        let pages = lines
            .get(usize::try_from(before).unwrap_or(0)..)
            .unwrap_or_default()
            .lines()
            .filter(|line| line.starts_with("200 ") && line.ends_with(" text/html"))
            .map(str::to_owned)
            .collect();
        (result, pages)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = run(self.command().args(["-s", "stop"]));
    }
}

/// The files of the packages, which are not installed.
fn unpacked() -> Result<PathBuf, String> {
    let folder = bench_dir().join("debian");
    let files = folder.join("files");
    let is_there = |path: &str| files.join(path).exists();
    if SITES.iter().all(|(_, path)| is_there(path)) && is_there("usr/sbin/nginx") {
        return Ok(files);
    }
    if find("apt-get").is_none() || find("dpkg").is_none() {
        return Err("The sites are packages of Debian: this needs apt-get and dpkg.".to_owned());
    }
    fs::create_dir_all(&files).map_err(|error| format!("{}: {error}.", files.display()))?;
    run(Command::new("apt-get").args(["--quiet", "download"]).args(PACKAGES).current_dir(&folder))?;
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|ending| ending == "deb") {
            run(Command::new("dpkg").arg("-x").arg(entry.path()).arg(&files))?;
        }
    }
    Ok(files)
}

/// A made-up site of many pages, crawled by Quaero alone and then searched.
fn large(pages: usize) -> Result<ExitCode, String> {
    let program = peer::build_crawl()?;
    let mut server = Command::new(&program)
        .args(["serve", &pages.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("The site cannot be started: {error}."))?;
    let mut url = String::new();
    let out = server.stdout.take().expect("piped above");
    BufReader::new(out).read_line(&mut url).map_err(|error| format!("No address: {error}."))?;
    let ours = CRAWLERS.iter().find(|peer| peer.name == OURS).expect("it is in the list");
    let words =
        [format!("url={}", url.trim()), "concurrency=16".to_owned(), format!("pages={pages}")];
    let result = ours.install()?.run("crawl", &words);
    drop(server.stdin.take());
    let _ = server.wait();
    match result {
        Ok(outcome) => println!("{}", Value::Object(outcome.found)),
        Err(Failure::Broken(why) | Failure::Unsupported(why)) => return Err(why),
    }
    Ok(ExitCode::SUCCESS)
}
