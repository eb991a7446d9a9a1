//! The application as the window's commands see it: being opened, open, failed or closed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use quaero_app::App;
use quaero_contract::{ApiError, ErrorCode};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard};

/// Held by Tauri and handed to every command.
pub(crate) struct Host {
    data_dir: PathBuf,
    slot: Arc<RwLock<Slot>>,
}

enum Slot {
    Open(Box<App>),
    Failed(ApiError),
    Closed,
}

impl Host {
    /// A host whose application is still to come. Commands wait until [`Opening::finish`].
    pub(crate) fn new(data_dir: PathBuf) -> (Self, Opening) {
        // Stands only if opening fails without an error of its own.
        let unfinished = ApiError::new(ErrorCode::Internal, "Quaero failed while it was starting.")
            .with_hint("The log in the data folder says more.");
        let slot = Arc::new(RwLock::new(Slot::Failed(unfinished)));
        let opening =
            Opening(Arc::clone(&slot).try_write_owned().expect("nobody else has the lock yet"));
        (Self { data_dir, slot }, opening)
    }

    /// Where everything is kept.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The application, once it is open.
    ///
    /// # Errors
    /// The reason why it could not be opened, or that Quaero is closing.
    pub(crate) async fn app(&self) -> Result<RwLockReadGuard<'_, App>, ApiError> {
        let slot = self.slot.read().await;
        match &*slot {
            Slot::Failed(error) => Err(error.clone()),
            Slot::Closed => Err(ApiError::new(ErrorCode::Conflict, "Quaero is closing.")),
            Slot::Open(_) => Ok(RwLockReadGuard::map(slot, |slot| match slot {
                Slot::Open(app) => &**app,
                Slot::Failed(_) | Slot::Closed => unreachable!("checked under the same lock"),
            })),
        }
    }

    /// Waits for the commands under way, then stops the engine and closes the files. Later calls do
    /// nothing.
    pub(crate) async fn close(&self) {
        let slot = std::mem::replace(&mut *self.slot.write().await, Slot::Closed);
        match slot {
            Slot::Open(app) => app.close().await,
            Slot::Failed(_) | Slot::Closed => {}
        }
    }
}

/// The duty to say how opening the application ended.
pub(crate) struct Opening(OwnedRwLockWriteGuard<Slot>);

impl Opening {
    /// Lets the waiting commands go on.
    pub(crate) fn finish(mut self, result: Result<App, ApiError>) {
        *self.0 = match result {
            Ok(app) => Slot::Open(Box::new(app)),
            Err(error) => Slot::Failed(error),
        };
    }
}

/// Runs something that may block, such as a call to the desktop, away from the other tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(ApiError::new(ErrorCode::Internal, format!("The desktop did not answer: {error}.")))
        }
    }
}
