//! Cancelling, being killed, being started twice.

use std::{process::Command, time::Duration};

use quaero_tests::{
    data, folders,
    program::{Quaero, binary},
    site::{HostileSite, StaticSite},
};

use crate::desk::{drive, until};

/// How soon a cancelled run has stopped.
const CANCEL_TIME: Duration = Duration::from_secs(2);

/// A crawl of a site on this computer.
fn crawl(host: &str, start: &str, settings: &str) -> String {
    format!(
        "id = \"crawl-here\"\nname = \"Crawl here\"\n[step.crawl]\ntype = \"crawl\"\nstart_urls = {start}\n\
         allow_hosts = [\"{host}\"]\nmax_depth = 50\nmax_pages = 1000\non_error = \"fail\"\n{settings}\n"
    )
}

#[test]
fn a_run_is_cancelled_from_its_page() {
    drive("cancel", async |desk| {
        let site = HostileSite::serve().expect("a port");
        let start = format!("[\"{}\", \"{}\"]", site.url("/slow"), site.url("/silent"));
        desk.define(
            "here.toml",
            &crawl(&site.host(), &start, "request_delay = \"0s\"\npage_timeout = \"10m\""),
        );
        desk.open().await;
        desk.start_job("Crawl here").await;
        desk.run_is("running").await;
        until("the site to be asked", async || site.hits().contains_key("/slow")).await;
        desk.click("button", "Cancel run").await;
        let took = desk.run_is("cancelled").await;
        assert!(took < CANCEL_TIME, "{took:?}");
        desk.find("button", "Run again").await;
    });
}

#[test]
fn a_killed_window_goes_on_by_itself_when_it_is_opened_again() {
    drive("killed", async |desk| {
        let pages = desk.folder("site");
        folders::web_site(&pages, 80).expect("a site");
        let site = StaticSite::serve(&pages).expect("a port");
        let definition =
            crawl(&site.host(), &format!("[\"{}\"]", site.url("/")), "request_delay = \"25ms\"");
        desk.define("here.toml", &definition);
        desk.open().await;
        desk.start_job("Crawl here").await;
        until("some pages to be read", async || site.hits().len() > 15).await;
        desk.kill().await;
        data::assert_consistent(&desk.data_dir());
        let before = data::sources(&desk.data_dir()).len();
        assert!((1..80).contains(&before), "{before}");

        desk.open().await;
        desk.click("link", "Runs").await;
        // The link's name goes on with what the run works on.
        let run = "[...document.querySelectorAll('main a')].find((one) => nameOf(one).startsWith('Crawl here'))";
        let run = desk.see(run, "the run").await;
        desk.element(&run).click().await.expect("clicked");
        desk.run_is("completed").await;
        desk.read("80 new").await;
        desk.close().await;

        let calm = Quaero::on(desk.folder("calm"));
        let file = desk.data_dir().join("definitions/here.toml");
        calm.ask([file.as_os_str(), "--json".as_ref()].iter().fold(
            vec!["run".as_ref()],
            |mut words, word| {
                words.push(*word);
                words
            },
        ))
        .expect(0);
        let (killed, calm) = (data::documents(&desk.data_dir()), data::documents(calm.data_dir()));
        assert!(killed == calm, "the documents differ from those of an undisturbed run");
        data::assert_whole(&desk.data_dir());
    });
}

#[test]
fn a_second_window_on_the_same_data_gives_way_to_the_first() {
    drive("second", async |desk| {
        desk.open().await;
        let first = desk.engine().expect("it has the engine");
        let data_dir = desk.data_dir();
        let second = tokio::task::spawn_blocking(move || {
            Command::new(binary())
                .arg("--data-dir")
                .arg(data_dir)
                .env_remove("WAYLAND_DISPLAY")
                .status()
        });
        let status =
            tokio::time::timeout(Duration::from_secs(20), second).await.expect("it ends by itself");
        let status = status.expect("waited for").expect("started");
        assert!(status.success(), "{status}");
        assert_eq!(desk.engine(), Some(first));
        desk.click("link", "Runs").await;
        desk.find("heading", "Runs").await;
    });
}
