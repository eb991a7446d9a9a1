//! `kill -9` at random moments. Whatever the moment: no accepted run is lost, the database never
//! contradicts itself, and in the end the documents are those of an undisturbed run.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use quaero_store::Store;
use quaero_tests::{
    data,
    dice::Dice,
    folders,
    program::Quaero,
    site::{Site, StaticSite},
};
use serde_json::Value;

use super::{Place, counts, index, run};

/// How often each run is killed.
const KILLS: u32 = 12;

/// What became of a run that was killed again and again.
struct Survived {
    /// How often a live process was killed.
    kills: u32,
    /// The run as `runs show` has it in the end.
    run: Value,
}

/// Starts a run and kills it at random moments of its first `window`, resuming it each time.
fn kill_and_resume(quaero: &Quaero, first: &[String], window: Duration) -> Survived {
    let mut dice = Dice::default();
    let mut kills = 0;
    let mut accepted: Option<String> = None;
    let show = |id: &String| quaero.ask(["runs", "show", id, "--json"]).expect(0).json();
    loop {
        let resume = |id: &String| ["runs", "resume", id, "--json"].map(str::to_owned).to_vec();
        let args = accepted.as_ref().map_or(first.to_vec(), resume);
        let mut process = quaero.start(&args);
        // Some moments are in the first instants: while the folder is made, or a run is taken back.
        let early = Duration::from_millis(60);
        let longest = if dice.roll().is_multiple_of(3) { early } else { window };
        let moment = dice.up_to(longest);
        if kills == KILLS || process.ends_within(moment) {
            let id = process.finish().expect(0).finished()["run_id"].as_str().map(str::to_owned);
            return Survived { kills, run: show(&id.expect("an id")) };
        }
        let told = process.kill().lines.first().and_then(|line| {
            // Its last line may have been cut off.
            let line: Value = serde_json::from_str(line).ok()?;
            line["run_id"].as_str().map(str::to_owned)
        });
        kills += 1;
        let known = known_run(quaero);
        for before in [&told, &accepted] {
            assert!(
                before.is_none() || *before == known,
                "kill {kills} after {moment:?} lost {before:?}: {known:?}"
            );
        }
        accepted = known;
        if let Some(run) = accepted.as_ref().map(show).filter(|run| run["status"] == "completed") {
            // It was killed between its end and the end of the process.
            return Survived { kills, run };
        }
    }
}

/// The run that the data folder knows, which must not contradict itself.
fn known_run(quaero: &Quaero) -> Option<String> {
    // Killed before the database was first complete.
    if Store::exists(quaero.data_dir()) {
        data::assert_consistent(quaero.data_dir());
    }
    let list = quaero.ask(["runs", "list", "--json"]).expect(0).json();
    let runs = list.as_array().expect("a list");
    assert!(runs.len() <= 1, "one wish became more than one run: {list}");
    let run = runs.first()?;
    assert!(run["status"] == "interrupted" || run["status"] == "completed", "{list}");
    run["id"].as_str().map(str::to_owned)
}

/// How long the run takes undisturbed.
fn undisturbed(quaero: &Quaero, args: &[String]) -> Duration {
    let start = Instant::now();
    quaero.ask(args).expect(0);
    start.elapsed()
}

fn assert_same(killed: &Path, calm: &Path) {
    let (killed_documents, calm_documents) = (data::documents(killed), data::documents(calm));
    let differ: Vec<&String> = calm_documents
        .iter()
        .filter(|(source, content)| killed_documents.get(*source) != Some(content))
        .map(|(source, _)| source)
        .collect();
    assert!(differ.is_empty(), "missing or different: {differ:?}");
    assert_eq!(killed_documents.len(), calm_documents.len(), "there are more than there should be");
    data::assert_whole(killed);
}

#[test]
fn a_killed_folder_run_ends_as_an_undisturbed_one() {
    let place = Place::new();
    let folder = place.folder("docs");
    folders::plain(&folder, 500).expect("a folder");
    let (calm, killed) = (place.quaero_in("calm"), place.quaero_in("killed"));
    let took = undisturbed(&calm, &index(&folder));

    let survived = kill_and_resume(&killed, &index(&folder), took * 2 / 5);
    assert!(survived.kills >= KILLS / 3, "only {} kills met a live process", survived.kills);
    // A document and the end of its task are one commit: no file is saved twice.
    assert_eq!(counts(&survived.run), (500, 0, 0), "{}", survived.run["documents"]);
    assert_same(killed.data_dir(), calm.data_dir());
}

#[test]
fn a_killed_crawl_ends_as_an_undisturbed_one() {
    const CONCURRENCY: usize = 2;
    let place = Place::new();
    let pages = place.folder("site");
    folders::web_site(&pages, 150).expect("a site");
    let site = StaticSite::serve(&pages).expect("a port");
    let definition = place.crawl(
        &site,
        &["/"],
        &format!("request_delay = \"5ms\"\nconcurrency = {CONCURRENCY}"),
    );
    let (calm, killed) = (place.quaero_in("calm"), place.quaero_in("killed"));
    let took = undisturbed(&calm, &run(&definition));
    let fetched = |site: &Site| -> usize {
        site.hits()
            .into_iter()
            .filter(|(path, _)| path != "/robots.txt")
            .map(|(_, hits)| hits)
            .sum()
    };
    let calm_hits = fetched(&site);

    let survived = kill_and_resume(&killed, &run(&definition), took * 2 / 5);
    assert!(survived.kills >= KILLS / 3, "only {} kills met a live process", survived.kills);
    assert_eq!(counts(&survived.run), (150, 0, 0), "{}", survived.run["documents"]);
    assert_same(killed.data_dir(), calm.data_dir());
    let again = fetched(&site) - 2 * calm_hits;
    let most = survived.kills as usize * CONCURRENCY;
    assert!(
        again <= most,
        "{again} pages were fetched again; at most {most} were under way when it was killed"
    );
}
