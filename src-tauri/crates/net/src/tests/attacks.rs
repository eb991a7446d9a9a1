//! The rows of `attacks/http.toml` and `robots.toml`.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use url::Url;

use super::{
    server::small,
    site::{Made, Outcome, Row, ScriptedSite, Site},
};
use crate::{AddressPolicy, Client, GetOptions, Limits, NetError, RobotRules};

/// One for all rows: reading the system's certificates takes a while.
fn client() -> Client {
    // A busy machine may take a second for what is done at once.
    let patience = Duration::from_secs(2);
    let total = Duration::from_secs(8);
    let limits = Limits { first_byte: patience, idle: patience, total, ..small() };
    Client::new(AddressPolicy::new(&["127.0.0.1"]).expect("a host"), limits)
}

fn address(site: &Site, path: &str) -> Url {
    Url::parse(&site.url(path)).expect("an address")
}

/// Plays each row as a path of a site of its own, all at the same time, and reports all that is wrong.
async fn play<Expected: serde::de::DeserializeOwned>(
    file: &str,
    path: &str,
    check: impl AsyncFn(&Client, &Row<Expected>, &Site) -> Result<(), String>,
) {
    let rows: Vec<Row<Expected>> = Row::all(file);
    let serve = |row| ScriptedSite::serve([(path, Row::answers(row))]).expect("a port");
    let sites: Vec<Site> = rows.iter().map(serve).collect();
    let client = client();
    let checks = rows.iter().zip(&sites).map(|(row, site)| check(&client, row, site));
    let found = futures::future::join_all(checks).await;
    let wrong: Vec<String> = rows
        .iter()
        .zip(found)
        .filter_map(|(row, found)| Some(format!("`{}`: {}", row.name, found.err()?)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[tokio::test]
async fn what_a_server_sends_is_taken_or_refused_as_the_file_says() {
    play("http.toml", "/row", async |client: &Client, row: &Row<Outcome>, site: &Site| {
        let Outcome { client: expected, reads, .. } = &row.expected;
        let url = address(site, "/row");
        let result = client.get(&url, &GetOptions::default()).await;
        let found = match &result {
            Ok(answer) => Made::Status(answer.status),
            Err(error) => Made::Code(error.code().to_owned()),
        };
        if *expected != found {
            return Err(format!("{found:?} in place of {expected:?}: {result:.300?}"));
        }
        let body = result.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
        match reads {
            Some(reads) if body.as_ref() != Ok(reads) => {
                Err(format!("{body:?} in place of {reads:?}"))
            }
            _ => Ok(()),
        }
    })
    .await;
}

/// What must come of a row of `robots.toml`.
#[derive(Deserialize)]
struct Rules {
    #[serde(default)]
    allowed: Vec<String>,
    #[serde(default)]
    disallowed: Vec<String>,
    #[serde(default)]
    unavailable: bool,
    #[serde(default)]
    delay_ms: u64,
}

#[tokio::test]
async fn a_robots_file_means_what_the_standard_says() {
    play("robots.toml", "/robots.txt", async |client: &Client, row: &Row<Rules>, site: &Site| {
        let expected = &row.expected;
        let any = address(site, "/");
        // Both want to know at the same time; the file is asked for once.
        let (first, second) = futures::future::join(client.robots(&any), client.robots(&any)).await;
        let asked = site.hits().get("/robots.txt").copied();
        if asked != Some(1) || first.is_ok() != second.is_ok() {
            return Err(format!("asked {asked:?} times for {first:?} and {second:?}"));
        }
        let rules: Arc<RobotRules> = match first {
            Ok(rules) if !expected.unavailable => rules,
            Err(NetError::Robots { .. } | NetError::NetworkSignIn { .. })
                if expected.unavailable =>
            {
                return Ok(());
            }
            other => return Err(format!("{other:?}")),
        };
        for (paths, allowed) in [(&expected.allowed, true), (&expected.disallowed, false)] {
            if let Some(path) =
                paths.iter().find(|path| rules.allow(&address(site, path)) != allowed)
            {
                return Err(format!("{path} is {}", if allowed { "forbidden" } else { "allowed" }));
            }
        }
        let delay = rules.crawl_delay().unwrap_or_default();
        if delay != Duration::from_millis(expected.delay_ms) {
            return Err(format!("a pause of {delay:?}"));
        }
        Ok(())
    })
    .await;
}
