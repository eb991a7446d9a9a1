//! The steps that ask outside services, with the whole application below its window and emulators of
//! the services: what they find, what they say when something is wrong, and that no key is seen.

mod crawl;
mod egress;
mod email;
mod hostile;
mod maintenance;
mod network;
mod places;
mod secrets;
mod sitemaps;
mod traps;
mod web_search;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use quaero_app::{
    App, AppEvent, AppOptions, Role, RunText, World,
    secrets::{Keychain, SecretError},
};
use quaero_contract::{LogLevel, LogQuery, ProviderSettings, RunView, Settings, StepView};
use quaero_engine::{Clock, SystemClock};
use quaero_net::SecretString;
use quaero_tests::{canary::Canaries, data, services::KEY};
use tempfile::TempDir;
use tokio::{
    sync::{Mutex, broadcast},
    time::timeout,
};

/// An application on a data folder of its own, in which pauses pass soon.
struct Desk {
    dir: TempDir,
    app: App,
    clock: Arc<Hurried>,
    /// How many runs were started.
    runs: AtomicI64,
}

impl Desk {
    /// With these services, each with its address and, but for SearXNG, the key [`KEY`].
    async fn with(services: &[(&str, &str)]) -> Self {
        Self::opened(services, |_| {}).await
    }

    /// As [`Desk::with`], with more settings.
    async fn opened(services: &[(&str, &str)], set: impl FnOnce(&mut Settings)) -> Self {
        Self::opened_in(tempfile::tempdir().expect("a folder"), services, set).await
    }

    /// As [`Desk::opened`], with its data in `data` of this folder.
    async fn opened_in(
        dir: TempDir,
        services: &[(&str, &str)],
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::opened_at(HURRY, dir, services, set).await
    }

    /// Without services, on a clock on which pauses are this many times as short.
    async fn hurried(hurry: u32) -> Self {
        Self::opened_at(hurry, tempfile::tempdir().expect("a folder"), &[], |_| {}).await
    }

    async fn opened_at(
        hurry: u32,
        dir: TempDir,
        services: &[(&str, &str)],
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        let keys: Vec<String> = services.iter().map(|(id, _)| (*id).to_owned()).collect();
        let clock = Arc::new(Hurried::new(hurry));
        let world = World {
            clock: clock.clone(),
            keychain: Arc::new(NoKeychain),
            environment: Arc::new(move |name| {
                let id = name.strip_prefix("QUAERO_")?.strip_suffix("_API_KEY")?.to_lowercase();
                (id != "searxng" && keys.contains(&id)).then(|| KEY.to_owned())
            }),
            ..World::default()
        };
        let options = AppOptions { data_dir: dir.path().join("data"), role: Role::Engine };
        let app = App::open_in(world, options).await.expect("opened");
        let desk = Self { dir, app, clock, runs: AtomicI64::new(0) };
        let mut settings = Settings::default();
        for (id, url) in services {
            let base_url = (!url.is_empty()).then(|| (*url).to_owned());
            settings.providers.insert((*id).to_owned(), ProviderSettings { base_url });
        }
        set(&mut settings);
        desk.app.set_settings(settings).await.expect("settings that fit");
        desk
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Runs a definition with these steps to its end.
    async fn run(&self, steps: &str) -> Ended {
        let id = format!("job-{}", self.runs.load(Ordering::SeqCst));
        self.run_as(&id, steps).await
    }

    /// As [`Desk::run`], as another run of the same definition if it has the same id.
    async fn run_as(&self, id: &str, steps: &str) -> Ended {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        let request = RunText {
            file: "job.toml".to_owned(),
            text: format!("id = \"{id}\"\nname = \"Job\"\n{steps}"),
            set: BTreeMap::new(),
            request_id: format!("run-{run}"),
            anyway: true,
        };
        let events = Mutex::new(self.app.events());
        let id = self.app.run_text(request).await.unwrap_or_else(|error| panic!("{error:?}"));
        self.app.wait_run(id).await.expect("ended");
        let view = self.app.get_run(id).await.expect("found");
        Ended { view, app: self.app.clone(), events }
    }

    fn documents(&self) -> data::Documents {
        data::documents(&self.data_dir())
    }

    /// Closes everything and looks for the key in every file.
    async fn close(self) {
        let dir = self.data_dir();
        // Before the log of the database is folded in, and after.
        let canaries = Canaries::new(&[KEY]);
        canaries.assert_none_below(&dir);
        self.app.close().await;
        canaries.assert_none_below(&dir);
        data::assert_whole(&dir);
    }
}

/// A run that has ended.
struct Ended {
    view: RunView,
    app: App,
    events: Mutex<broadcast::Receiver<AppEvent>>,
}

impl Ended {
    fn step(&self) -> &StepView {
        &self.view.steps[0]
    }

    /// `created, updated, unchanged`.
    fn counts(&self) -> (u32, u32, u32) {
        let documents = &self.view.summary.documents;
        (documents.created, documents.updated, documents.unchanged)
    }

    async fn log(&self) -> Vec<String> {
        let (min_level, after) = (LogLevel::Debug, Some(0));
        let query =
            LogQuery { run: self.view.summary.id, job: None, min_level, after, limit: 5_000 };
        let lines = self.app.read_log(query).await.expect("a log").lines;
        lines.into_iter().map(|line| line.message).collect()
    }

    /// Fails if none of what it says to people has these words.
    async fn says(&self, words: &str) {
        let is_told = self.tells(|line| line.contains(words)).await;
        assert!(is_told, "nobody says {words:?}: {self:?} {:?}", self.log().await);
    }

    /// Whether a line of what it says to people fits. The log is written a little later than the run ends.
    async fn tells(&self, fits: impl Fn(&str) -> bool) -> bool {
        let fits = |lines: &[String]| lines.iter().any(|line| fits(line));
        while !fits(&self.view.warnings) && !fits(&self.log().await) {
            let next = timeout(Duration::from_secs(10), self.events.lock().await.recv()).await;
            if !matches!(next, Ok(Ok(_))) {
                return false;
            }
        }
        true
    }
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RunView { summary, steps, warnings, .. } = &self.view;
        f.debug_list().entry(summary).entries(steps).entries(warnings).finish()
    }
}

struct NoKeychain;

impl Keychain for NoKeychain {
    fn read(&self, _name: &str) -> Result<Option<SecretString>, SecretError> {
        Err(SecretError::NoKeychain("There is none.".to_owned()))
    }

    fn write(&self, _name: &str, _secret: &SecretString) -> Result<(), SecretError> {
        Err(SecretError::NoKeychain("There is none.".to_owned()))
    }

    fn remove(&self, _name: &str) -> Result<(), SecretError> {
        Err(SecretError::NoKeychain("There is none.".to_owned()))
    }
}

/// The computer's clock, in which pauses are shorter, and which the test can put forward.
#[derive(Debug)]
struct Hurried {
    hurry: u32,
    start_ms: i64,
    ahead_ms: AtomicI64,
}

/// How much shorter, if nothing else is said.
const HURRY: u32 = 20;

impl Hurried {
    fn new(hurry: u32) -> Self {
        Self { hurry, start_ms: SystemClock.now_ms(), ahead_ms: AtomicI64::new(0) }
    }

    fn pass_hours(&self, hours: i64) {
        self.ahead_ms.fetch_add(hours * 3_600_000, Ordering::SeqCst);
    }
}

impl Clock for Hurried {
    fn now_ms(&self) -> i64 {
        let passed = SystemClock.now_ms() - self.start_ms;
        self.start_ms + passed * i64::from(self.hurry) + self.ahead_ms.load(Ordering::SeqCst)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration / self.hurry)
    }
}

#[tokio::test]
async fn a_key_in_a_definition_is_refused_and_not_repeated() {
    for (step, field) in
        [("web_search", "api_key"), ("places_search", "API_KEY"), ("email", "password")]
    {
        let text =
            format!("id = \"a\"\nname = \"A\"\n[step.s]\ntype = \"{step}\"\n{field} = {KEY:?}\n");
        let problems = App::validate("a.toml", text.as_bytes());
        let problem = problems.iter().find(|problem| problem.code == "unknown_field");
        let problem = problem.unwrap_or_else(|| panic!("{problems:?}"));
        let fix = problem.fix.as_deref().unwrap_or_default();
        assert!(fix.contains("settings"), "{problem:?}");
        assert!(!format!("{problems:?}").contains(KEY), "{problems:?}");
        assert_eq!(problem.line, 5);
    }
}
