//! Use cases for any host: the window, the command line and the tests call these functions and
//! nothing below them. Errors become codes here, once.

mod compose;
mod control;
mod definitions;
mod diff;
mod doctor;
mod documents;
mod error;
mod follow;
mod keep;
pub mod library;
mod profiles;
pub mod providers;

mod runs;
pub mod schedule;
mod scheduled;
pub mod secrets;
pub mod settings;
mod watch;
mod whole_file;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use quaero_contract::{
    ApiError, AppInfo, DefinitionSummary, DefinitionView, DefinitionsChanged, EngineHalted,
    ErrorCode, JobId, JobProgress, JobStatusChange, LogAppended, Problem, ResultSaved, Settings,
    StorageWait,
};
use quaero_engine::{
    Adopt, Clock, Engine, EngineOptions, Event, JobMonitor, SystemClock, definition::check,
    work::Registry,
};
use quaero_net::{NoProviders, Providers};
use quaero_store::{Access, Store, shared_file_system};
use quaero_workers::extract::PdfExtractor;
use serde::{Deserialize, Serialize};
use tokio::sync::{RwLock, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

pub use control::{EngineAt, Remote};
pub use diff::diff_texts;
pub use follow::{Follow, Followed};
use library::Library;
use profiles::ProfilesFile;
pub use profiles::SignIn;
use providers::UserProviders;
pub use quaero_workers::render;
use secrets::{Environment, Keychain, SecretError, Secrets, SystemKeychain};
use settings::SettingsFile;
use watch::DefinitionWatch;

/// Documents rendered at the same time. Rendering cannot be interrupted.
const RENDERERS: usize = 2;
/// How long running tasks get to end when the application closes.
const CLOSE_TIME: Duration = Duration::from_secs(10);

/// What a process wants of the data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Run the engine and go on with every interrupted run: the window.
    Engine,
    /// Run the engine for the runs that this process starts or resumes: `quaero run`.
    EngineForOwnRuns,
    /// Only read: `quaero runs list`, `quaero docs search`.
    Reader,
}

/// How to open the application.
#[derive(Clone, Debug)]
pub struct AppOptions {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What this process wants.
    pub role: Role,
}

/// Something happened. Lagging receivers lose old events, never the truth: read again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum AppEvent {
    /// Progress of a run.
    #[serde(rename = "progress")]
    Progress(Box<JobProgress>),
    /// A run or step changed state.
    #[serde(rename = "status_change")]
    Status(JobStatusChange),
    /// Documents were written.
    #[serde(rename = "result_saved")]
    Saved(ResultSaved),
    /// Log lines were written.
    #[serde(rename = "log")]
    Log(LogAppended),
    /// Definitions or job templates changed.
    #[serde(rename = "definitions_changed")]
    Definitions(DefinitionsChanged),
    /// Work waits for the storage, or goes on.
    #[serde(rename = "storage_wait")]
    Waits(StorageWait),
    /// The engine has given up, for this reason: nothing runs until the next start.
    #[serde(rename = "engine_halted")]
    Halted(EngineHalted),
}

impl AppEvent {
    /// The run it is about, if it is about one.
    #[must_use]
    pub const fn run_id(&self) -> Option<JobId> {
        match self {
            Self::Progress(event) => Some(event.run.id),
            Self::Status(event) => Some(event.run_id),
            Self::Saved(event) => Some(event.run_id),
            Self::Log(event) => Some(event.run_id),
            Self::Definitions(_) | Self::Waits(_) | Self::Halted(_) => None,
        }
    }
}

/// A definition to run that is not in the library: `quaero run FILE`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunText {
    /// The file's name, for messages; its ending (`.toml`, `.json`) tells the format.
    pub file: String,
    /// The definition.
    pub text: String,
    /// Values for keys of `[config]`.
    pub set: BTreeMap<String, String>,
    /// See [`quaero_contract::RunRequest::request_id`].
    pub request_id: String,
    /// See [`quaero_contract::RunRequest::anyway`].
    pub anyway: bool,
}

/// One line of `quaero doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, and what to do if it is not ok.
    pub detail: String,
}

/// The application. Cheap to clone.
#[derive(Clone)]
pub struct App {
    core: Arc<Core>,
}

/// What the clones share.
struct Core {
    data_dir: PathBuf,
    store: Store,
    clock: Arc<dyn Clock>,
    /// `None` for a reader.
    engine: RwLock<Option<Engine>>,
    registry: Registry,
    library: Library,
    watch: DefinitionWatch,
    settings: SettingsFile,
    secrets: Secrets,
    profiles: ProfilesFile,
    providers: Arc<dyn Providers>,
    events: broadcast::Sender<AppEvent>,
    renderers: Semaphore,
    server: Mutex<Option<control::Server>>,
    /// Starts definitions by themselves, in a process that does so.
    scheduler: Mutex<Option<schedule::Scheduler>>,
    closing: CancellationToken,
}

/// What the application is made of, besides its data.
#[derive(Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The step types, which find outside services as they are set up.
    pub registry: Arc<dyn Fn(Arc<dyn Providers>) -> Registry + Send + Sync>,
    /// The system's keychain.
    pub keychain: Arc<dyn Keychain>,
    /// The environment's variables, in which keys may be.
    pub environment: Environment,
}

impl Default for World {
    /// The computer's clock and the shipped step types. PDF files are read by this program started
    /// again (`__extract-pdf`), so that a hostile file ends a child process and not this one.
    fn default() -> Self {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("quaero"));
        let pdf = PdfExtractor::ChildProcess { program, args: vec!["__extract-pdf".to_owned()] };
        Self {
            clock: Arc::new(SystemClock),
            registry: Arc::new(move |providers| quaero_workers::registry(pdf.clone(), providers)),
            keychain: Arc::new(SystemKeychain),
            environment: Arc::new(|name| std::env::var(name).ok()),
        }
    }
}

impl App {
    /// Opens the data folder. As an engine, takes its lock and listens for requests of other
    /// processes; the folder is created if need be.
    ///
    /// # Errors
    /// `busy` if another process has the engine; `not_found` if a reader finds no data; `corrupt`
    /// or `storage` if the folder or database cannot be used.
    pub async fn open(options: AppOptions) -> Result<Self, ApiError> {
        Self::open_in(World::default(), options).await
    }

    /// As [`App::open`], in a world of the caller's.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_in(world: World, options: AppOptions) -> Result<Self, ApiError> {
        let AppOptions { data_dir, role } = options;
        let data_dir = std::path::absolute(&data_dir)
            .map_err(|e| error::file(&format!("The data folder {}", data_dir.display()), &e))?;
        let adopt = match role {
            Role::Engine => Some(Adopt::All),
            Role::EngineForOwnRuns => Some(Adopt::None),
            Role::Reader => None,
        };
        let access = if adopt.is_some() { Access::Write } else { Access::Read };
        if access == Access::Read && !Store::exists(&data_dir) {
            return Err(ApiError::new(
                ErrorCode::NotFound,
                format!("There is no data in {} yet.", data_dir.display()),
            )
            .with_hint("Run a definition first: quaero definitions list"));
        }
        let World { clock, registry, keychain, environment } = world;
        let settings = SettingsFile::new(&data_dir);
        let secrets = Secrets::new(&data_dir, keychain, environment);
        let profiles = ProfilesFile::new(&data_dir, secrets.clone());
        let providers: Arc<dyn Providers> = Arc::new(UserProviders {
            settings: settings.clone(),
            secrets: secrets.clone(),
            profiles: profiles.clone(),
        });
        let registry = registry(Arc::clone(&providers));
        let store = Store::open(&data_dir, access, clock.now_ms()).await.map_err(error::store)?;
        if let (Access::Write, Some(kind)) = (access, shared_file_system(&data_dir)) {
            tracing::warn!("{}", on_shared(&data_dir, kind));
        }
        let library = Library::new(&data_dir);
        let (events, _) = broadcast::channel(4096);
        let engine = match adopt {
            Some(adopt) => {
                for folder in [library.folder(), library.templates_folder()] {
                    if let Err(error) = std::fs::create_dir_all(folder) {
                        tracing::warn!(folder = %folder.display(), %error, "The folder cannot be made.");
                    }
                }
                let options = EngineOptions { adopt, ..EngineOptions::default() };
                let engine =
                    Engine::start(store.clone(), registry.clone(), clock.clone(), options).await;
                Some(engine.map_err(error::engine)?)
            }
            None => None,
        };
        if let Some(engine) = &engine {
            // Who tells must not be kept from ending.
            let monitor = Arc::downgrade(engine.monitor());
            tokio::spawn(forward(engine.events(), monitor, events.clone()));
        }
        let closing = CancellationToken::new();
        let watch = DefinitionWatch::new(
            library.clone(),
            registry.clone(),
            store.clone(),
            clock.clone(),
            events.clone(),
            &closing,
        );
        if access == Access::Write {
            watch.start();
        }
        let core = Arc::new(Core {
            watch,
            settings,
            secrets,
            profiles,
            providers,
            registry,
            library,
            store,
            clock,
            engine: RwLock::new(engine),
            events,
            scheduler: Mutex::default(),
            renderers: Semaphore::new(RENDERERS),
            server: Mutex::default(),
            closing,
            data_dir,
        });
        if access == Access::Write {
            match control::Server::start(&core, &core.data_dir) {
                Ok(server) => *core.server() = Some(server),
                // Everything works without it, except commands beside this process.
                Err(error) => {
                    tracing::warn!(%error, "Requests of other processes cannot be taken.")
                }
            }
        }
        let app = Self { core };
        if role == Role::Engine {
            app.start_scheduler().await?;
            app.keep_history();
        }
        Ok(app)
    }

    /// What happens from now on. A reader hears nothing.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<AppEvent> {
        self.core.events.subscribe()
    }

    /// Every definition that can be run by its id, the user's first.
    ///
    /// # Errors
    /// If the user's folder cannot be listed.
    pub async fn list_definitions(&self) -> Result<Vec<DefinitionSummary>, ApiError> {
        self.definitions().await.map(|views| views.into_iter().map(|view| view.summary).collect())
    }

    /// A definition with its text and problems.
    ///
    /// # Errors
    /// `not_found`, or if the user's folder cannot be listed.
    pub async fn get_definition(&self, id: &str) -> Result<DefinitionView, ApiError> {
        let found = self.definitions().await?.into_iter().find(|view| view.summary.id == id);
        found.ok_or_else(|| error::no_definition(id))
    }

    /// The definitions of a data folder that need not be open or even exist.
    ///
    /// # Errors
    /// If the user's folder cannot be listed.
    pub fn definitions_in(data_dir: &Path) -> Result<Vec<DefinitionView>, ApiError> {
        all_definitions(&Library::new(data_dir), registry())
    }

    async fn definitions(&self) -> Result<Vec<DefinitionView>, ApiError> {
        if self.core.store.writes() {
            self.core.watch.look_unless_watching().await;
        }
        let core = Arc::clone(&self.core);
        blocking(move || all_definitions(&core.library, &core.registry)).await?
    }

    /// Checks a definition's text. No side effects; needs no open data folder.
    #[must_use]
    pub fn validate(file: &str, text: &[u8]) -> Vec<Problem> {
        check(file, text, registry()).problems
    }

    /// Reads a definition's text. No side effects; needs no open data folder.
    #[must_use]
    pub fn inspect(file: &str, text: &[u8]) -> DefinitionView {
        library::inspect(file.to_owned(), text, registry())
    }

    /// The user's settings.
    ///
    /// # Errors
    /// If this part of the program failed; a bad file means the defaults.
    pub async fn settings(&self) -> Result<Settings, ApiError> {
        let file = self.core.settings.clone();
        blocking(move || file.load()).await
    }

    /// Replaces the user's settings.
    ///
    /// # Errors
    /// `invalid` if a value is, `storage` if they cannot be written.
    pub async fn set_settings(&self, settings: Settings) -> Result<(), ApiError> {
        if let Some(wrong) = settings::wrong_value(&settings) {
            return Err(ApiError::new(ErrorCode::Invalid, wrong)
                .with_hint("Names have 1 to 64 of the characters a-z, 0-9 and _."));
        }
        if let Some(wrong) = providers::wrong_provider(&settings) {
            return Err(ApiError::new(ErrorCode::Invalid, wrong));
        }
        let (file, old) = (self.core.settings.clone(), self.settings().await?);
        // A key is for the host that it was given for: it must not be shown to another one.
        for id in providers::moved(&old, &settings) {
            match self.core.secrets.forget(id).await {
                Ok(()) | Err(SecretError::InEnvironment(_)) => {}
                Err(error) => return Err(providers::secret_error(&error)),
            }
        }
        blocking(move || file.save(&settings))
            .await?
            .map_err(|e| error::file("The settings cannot be saved", &e))
    }

    /// Facts for the settings page.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn info(&self) -> Result<AppInfo, ApiError> {
        let store = &self.core.store;
        let live_runs = match self.live().await? {
            Some(epoch) => store.live_runs(epoch).await.map_err(error::store)?,
            None => 0,
        };
        let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
        let log = store.database().with_extension("db-wal");
        Ok(AppInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sqlite_version: Store::sqlite_version().to_owned(),
            data_dir: self.core.data_dir.to_string_lossy().into_owned(),
            definitions_dir: self.core.library.folder().to_string_lossy().into_owned(),
            documents: store.count_documents().await.map_err(error::store)?,
            database_bytes: size(store.database()) + size(log),
            live_runs,
        })
    }

    /// Resolves when every run that another process has handed over has ended: until then closing
    /// would interrupt somebody else's run.
    pub async fn handed_over_runs_ended(&self) {
        let handed = self.core.server().as_ref().map(control::Server::handed_over);
        if let Some(mut handed) = handed {
            // A server that is gone has taken nothing over.
            let _ = handed.wait_for(|count| *count == 0).await;
        }
    }

    /// Stops starting work, lets running tasks end or go back to the queue within 10 s, and closes
    /// the files. Other clones get errors from then on.
    pub async fn close(self) {
        self.core.closing.cancel();
        let scheduler = self.core.scheduler.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(scheduler) = scheduler {
            scheduler.stop().await;
        }
        let server = self.core.server().take();
        if let Some(server) = server {
            server.stop().await;
        }
        let engine = self.core.engine.write().await.take();
        if let Some(engine) = engine {
            engine.stop(CLOSE_TIME).await;
        }
        if let Err(error) = self.core.store.close(self.core.clock.now_ms()).await {
            tracing::warn!(%error, "The store was not closed cleanly. Nothing that was saved is lost.");
        }
    }

    async fn live(&self) -> Result<Option<i64>, ApiError> {
        self.core.store.live_epoch().await.map_err(error::store)
    }
}

impl Core {
    fn server(&self) -> std::sync::MutexGuard<'_, Option<control::Server>> {
        // Only ever replaced whole.
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shipped step types, for checking definitions. Nothing is ever run with it.
pub(crate) fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY
        .get_or_init(|| quaero_workers::registry(PdfExtractor::InProcess, Arc::new(NoProviders)))
}

fn all_definitions(
    library: &Library,
    registry: &Registry,
) -> Result<Vec<DefinitionView>, ApiError> {
    library.all(registry).map_err(|e| error::no_list(library.folder(), &e))
}

/// Turns the engine's events into the application's until the engine is gone.
async fn forward(
    mut from: broadcast::Receiver<Event>,
    monitor: Weak<JobMonitor>,
    to: broadcast::Sender<AppEvent>,
) {
    loop {
        let event = match from.recv().await {
            Ok(Event::Progress(event)) => AppEvent::Progress(event),
            Ok(Event::Status(event)) => AppEvent::Status(event),
            Ok(Event::Saved(event)) => AppEvent::Saved(event),
            Ok(Event::Log(event)) => AppEvent::Log(event),
            Ok(Event::Waits(why)) => AppEvent::Waits(StorageWait { error: why.map(error::store) }),
            Ok(Event::Halted(why)) => AppEvent::Halted(EngineHalted { error: error::store(why) }),
            // Others are told again by what follows them; this is not.
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let Some(monitor) = monitor.upgrade() else { return };
                AppEvent::Waits(StorageWait { error: monitor.why_waits().map(error::store) })
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        // Without a listener there is nobody to tell.
        let _ = to.send(event);
    }
}

/// What to say of a data folder that is not on a disk of this computer.
fn on_shared(folder: &Path, kind: &str) -> String {
    format!(
        "{} is on a network or user-space file system ({kind}), where a database can be damaged. Keep it on a disk of this computer: name another folder with --data-dir or QUAERO_DATA_DIR.",
        folder.display()
    )
}

/// Runs what would hold up the async threads on one of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "A part of Quaero failed.");
        ApiError::new(ErrorCode::Internal, "A part of Quaero failed unexpectedly.")
            .with_hint("The log in the data folder says more.")
    })
}

#[cfg(test)]
mod tests;
