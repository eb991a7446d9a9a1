//! Notices what happens to definitions and job templates, whoever does it: keeps every new text in
//! the history and tells everybody who shows or runs definitions.
//!
//! The operating system says that something has changed; what it was is found by looking. Looking is
//! always safe, so an event too many or too few does no harm. Where changes cannot be watched, the
//! files are looked at whenever somebody asks for definitions.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use quaero_contract::{ApiError, DefinitionsChanged, VersionReason};
use quaero_engine::{Clock, work::Registry};
use quaero_store::{Store, StoreError};
use tokio::sync::{Mutex, MutexGuard, Notify, broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    AppEvent, blocking, error,
    library::{Files, Library, NewText},
};

/// Changes that follow each other more closely than this are one: an editor's save is several.
const QUIET: Duration = Duration::from_millis(100);
/// After this time changes are told even if they do not cease.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the definitions and templates were when they were last looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Nothing is told of the first look: nobody knew anything before.
    looked: bool,
    definitions: Files,
    templates: Files,
}

/// Watches as long as it is there.
pub(crate) struct DefinitionWatch {
    shared: Arc<Shared>,
    closing: CancellationToken,
    _stop: DropGuard,
}

struct Shared {
    library: Library,
    registry: Registry,
    store: Store,
    clock: Arc<dyn Clock>,
    events: broadcast::Sender<AppEvent>,
    known: Mutex<Known>,
    changes: watch::Sender<u64>,
    wake: Notify,
    watching: AtomicBool,
}

impl DefinitionWatch {
    /// A watch that looks when it is asked to; [`DefinitionWatch::start`] makes it look by itself.
    pub(crate) fn new(
        library: Library,
        registry: Registry,
        store: Store,
        clock: Arc<dyn Clock>,
        events: broadcast::Sender<AppEvent>,
        closing: &CancellationToken,
    ) -> Self {
        let shared = Shared {
            library,
            registry,
            store,
            clock,
            events,
            known: Mutex::default(),
            changes: watch::Sender::new(0),
            wake: Notify::new(),
            watching: AtomicBool::new(false),
        };
        let closing = closing.child_token();
        Self { shared: Arc::new(shared), _stop: closing.clone().drop_guard(), closing }
    }

    /// Begins to watch.
    pub(crate) fn start(&self) {
        tokio::spawn(follow(Arc::clone(&self.shared), self.closing.clone()));
    }

    /// Counts up at every change of definitions or templates.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Keeps the definitions from being looked at, for as long as they are being changed.
    pub(crate) async fn hold(&self) -> MutexGuard<'_, Known> {
        self.shared.known.lock().await
    }

    /// Looks at the files: keeps new texts in the history, that of `written` for its own reason, and
    /// tells of every change since the last look.
    ///
    /// # Errors
    /// If the files cannot be listed or the history cannot be written. The next look tries again.
    pub(crate) async fn look(
        &self,
        known: &mut Known,
        written: Option<(PathBuf, VersionReason)>,
    ) -> Result<(), ApiError> {
        self.shared.look(known, written).await
    }

    /// Looks at the files if nobody would say that they have changed.
    pub(crate) async fn look_unless_watching(&self) {
        if self.shared.watching.load(Ordering::Acquire) {
            return;
        }
        // Perhaps it is possible by now.
        self.shared.wake.notify_one();
        let mut known = self.hold().await;
        if let Err(error) = self.look(&mut known, None).await {
            tracing::warn!(%error, "The history of the definitions is behind.");
        }
    }
}

impl Shared {
    async fn look(
        &self,
        known: &mut Known,
        written: Option<(PathBuf, VersionReason)>,
    ) -> Result<(), ApiError> {
        let (library, registry, old) = (self.library.clone(), self.registry.clone(), known.clone());
        let look = move || {
            let (definitions, texts) = library
                .look(&old.definitions, &registry)
                .map_err(|e| error::no_list(library.folder(), &e))?;
            let templates = library
                .look_at_templates(&old.templates, &registry)
                .map_err(|e| error::no_list(library.templates_folder(), &e))?;
            Ok((Known { looked: true, definitions, templates }, texts))
        };
        let (new, texts) = blocking(look).await??;
        self.keep(texts, written).await?;
        let changed = DefinitionsChanged {
            ids: differing(&known.definitions, &new.definitions),
            templates: differing(&known.templates, &new.templates),
        };
        let tell = known.looked && changed != DefinitionsChanged::default();
        *known = new;
        if tell {
            self.changes.send_modify(|count| *count += 1);
            // Without a listener there is nobody to tell.
            let _ = self.events.send(AppEvent::Definitions(changed));
        }
        Ok(())
    }

    /// Puts texts into the history. A process that only reads leaves that to the one that writes.
    async fn keep(
        &self,
        texts: Vec<NewText>,
        written: Option<(PathBuf, VersionReason)>,
    ) -> Result<(), ApiError> {
        if texts.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        let kept = self.store.write(move |tx| {
            for NewText { path, history_id, text } in texts {
                let why = match &written {
                    Some((file, why)) if *file == path => *why,
                    _ => VersionReason::FoundOnDisk,
                };
                let hash = tx.keep_text(&text)?;
                tx.note_version(&history_id, &hash, why, None, now_ms)?;
            }
            Ok(())
        });
        match kept.await {
            Ok(()) | Err(StoreError::ReadOnly) => Ok(()),
            Err(error) => Err(error::store(error)),
        }
    }

    /// Whether an event of the operating system can be about definitions or templates. Our own
    /// looking makes events as well.
    fn concerns(&self, event: &notify::Event) -> bool {
        let written = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Access(_) => false,
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other => true,
        };
        let paths = &event.paths;
        event.need_rescan()
            || written && (paths.is_empty() || paths.iter().any(|path| self.library.concerns(path)))
    }
}

/// The ids of all files that are not in both, or not the same.
fn differing(old: &Files, new: &Files) -> Vec<String> {
    let mut ids = BTreeSet::new();
    for (one, other) in [(old, new), (new, old)] {
        for (path, seen) in one {
            if other.get(path).is_none_or(|o| (&o.id, &o.hash) != (&seen.id, &seen.hash)) {
                ids.insert(seen.id.clone());
            }
        }
    }
    ids.into_iter().collect()
}

/// Looks whenever something has changed.
async fn follow(shared: Arc<Shared>, closing: CancellationToken) {
    let mut watched = None;
    loop {
        // First watch, then look: what happens in between is seen by one of the two.
        let was = shared.watching.load(Ordering::Acquire);
        match rearmed(watched.take(), &shared).await {
            Ok(armed) => {
                watched = Some(armed);
                shared.watching.store(true, Ordering::Release);
            }
            Err(error) => {
                shared.watching.store(false, Ordering::Release);
                if was || !shared.known.lock().await.looked {
                    tracing::warn!(folder = %shared.library.folder().display(), %error, "Changes of definitions cannot be watched; they are noticed when definitions are listed or run.");
                }
            }
        }
        let looked = {
            let mut known = shared.known.lock().await;
            tokio::select! {
                () = closing.cancelled() => return,
                looked = shared.look(&mut known, None) => looked,
            }
        };
        if let Err(error) = looked
            && !closing.is_cancelled()
        {
            tracing::warn!(%error, "The history of the definitions is behind.");
        }
        tokio::select! {
            () = closing.cancelled() => return,
            () = settled(&shared) => {}
        }
    }
}

/// Resolves when something has happened and then nothing for a while.
async fn settled(shared: &Shared) {
    shared.wake.notified().await;
    let mut patience = shared.clock.sleep(PATIENCE);
    loop {
        tokio::select! {
            () = &mut patience => return,
            () = shared.clock.sleep(QUIET) => return,
            () = shared.wake.notified() => {}
        }
    }
}

/// What is being watched.
struct Watched {
    watcher: RecommendedWatcher,
    places: Vec<PathBuf>,
}

/// Watches the places where something can change now. A folder that was removed and made again is
/// another one under the same name, so all of them are watched anew.
async fn rearmed(watched: Option<Watched>, shared: &Arc<Shared>) -> Result<Watched, ApiError> {
    let shared = Arc::clone(shared);
    let arm = move || -> notify::Result<Watched> {
        let mut watched = match watched {
            Some(watched) => watched,
            None => Watched { watcher: watcher(&shared)?, places: Vec::new() },
        };
        for place in watched.places.drain(..) {
            // One that is gone is not watched any more.
            let _ = watched.watcher.unwatch(&place);
        }
        for place in shared.library.places() {
            match watched.watcher.watch(&place, RecursiveMode::NonRecursive) {
                Ok(()) => watched.places.push(place),
                // It has been removed since; its folder tells of that.
                Err(_) if !place.exists() => shared.wake.notify_one(),
                Err(error) => return Err(error),
            }
        }
        Ok(watched)
    };
    blocking(arm).await?.map_err(|error| {
        let hint = match error.kind {
            notify::ErrorKind::MaxFilesWatch => {
                "Raise the system's limit, such as fs.inotify.max_user_watches."
            }
            _ => "Check that the folder can be read, and on Linux fs.inotify.max_user_instances.",
        };
        ApiError::new(quaero_contract::ErrorCode::Storage, format!("{error}.")).with_hint(hint)
    })
}

fn watcher(shared: &Arc<Shared>) -> notify::Result<RecommendedWatcher> {
    let shared = Arc::downgrade(shared);
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Some(shared) = shared.upgrade() else { return };
        if event.map_or(true, |event| shared.concerns(&event)) {
            shared.wake.notify_one();
        }
    })
}

#[cfg(test)]
mod tests;
