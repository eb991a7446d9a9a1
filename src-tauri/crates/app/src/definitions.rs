//! Reading, changing and comparing definitions.
//!
//! The file is the truth. Every text that a file has had is in the history: what is there before a
//! change is kept before anything is written.

use std::{path::PathBuf, sync::Arc};

use quaero_contract::{
    ApiError, DefinitionSummary, DefinitionVersion, DefinitionVersionView, DefinitionView,
    DeletedDefinition, ImportDefinition, ImportedDefinition, JobId, SaveDefinition, TextDiff,
    VersionReason,
};
use quaero_engine::work::Registry;
use tokio::sync::watch;

use crate::{App, blocking, diff, error, library::Library};

impl App {
    /// Counts up whenever definitions or job templates change, in Quaero or from outside. A reader
    /// sees only its own changes.
    #[must_use]
    pub fn definitions_changed(&self) -> watch::Receiver<u64> {
        self.core.watch.changes()
    }

    /// Every job template, the user's first.
    ///
    /// # Errors
    /// If the user's folder cannot be listed.
    pub async fn list_templates(&self) -> Result<Vec<DefinitionSummary>, ApiError> {
        let views = self.library(|library, registry| {
            let views = library.templates(registry);
            views.map_err(|e| error::no_list(library.templates_folder(), &e))
        });
        Ok(views.await?.into_iter().map(|view| view.summary).collect())
    }

    /// A job template with its text and problems.
    ///
    /// # Errors
    /// `not_found`, or if the user's folder cannot be listed.
    pub async fn get_template(&self, id: &str) -> Result<DefinitionView, ApiError> {
        let id = id.to_owned();
        self.library(move |library, registry| {
            let views = library.templates(registry);
            let views = views.map_err(|e| error::no_list(library.templates_folder(), &e))?;
            views.into_iter().find(|view| view.summary.id == id).ok_or_else(|| {
                ApiError::new(
                    quaero_contract::ErrorCode::NotFound,
                    format!("There is no job template `{id}`."),
                )
            })
        })
        .await
    }

    /// Replaces the text of a definition of the user's. A text with problems is kept and shown.
    ///
    /// # Errors
    /// `conflict` if the file was changed since it was read, is a link out of the folder, or comes
    /// with Quaero; `invalid` if the text is too large; `not_found`; `storage`.
    pub async fn save_definition(
        &self,
        request: SaveDefinition,
    ) -> Result<DefinitionView, ApiError> {
        self.change(VersionReason::Saved, move |library, registry| library.save(&request, registry))
            .await
    }

    /// Writes a new definition of the user's. `file` is a wish for its file's name; else the id in
    /// the text is taken. One with the id of a shipped definition stands for it.
    ///
    /// # Errors
    /// `conflict` if the user has a definition with that id; `invalid` if the text is too large;
    /// `storage`.
    pub async fn create_definition(
        &self,
        file: Option<String>,
        text: String,
    ) -> Result<DefinitionView, ApiError> {
        self.change(VersionReason::Saved, move |library, registry| {
            library.create(file.as_deref(), &text, registry)
        })
        .await
    }

    /// Copies a definition, the user's or a shipped one, to a new one of the user's. A copy of one
    /// that runs by itself is disabled.
    ///
    /// # Errors
    /// `conflict` if the new id is taken; `invalid` if it is no id or the text cannot be edited;
    /// `not_found`; `storage`.
    pub async fn copy_definition(
        &self,
        id: &str,
        new_id: &str,
    ) -> Result<DefinitionView, ApiError> {
        let (id, new_id) = (id.to_owned(), new_id.to_owned());
        self.change(VersionReason::Saved, move |library, registry| {
            library.copy(&id, &new_id, registry)
        })
        .await
    }

    /// Lets the schedule and the start of the program run a definition of the user's, or not. Only
    /// the value of `enabled` changes in its text.
    ///
    /// # Errors
    /// `conflict` if it comes with Quaero; `invalid` if the text cannot be edited; `not_found`;
    /// `storage`.
    pub async fn set_enabled(&self, id: &str, enabled: bool) -> Result<DefinitionView, ApiError> {
        let id = id.to_owned();
        self.change(VersionReason::Saved, move |library, registry| {
            library.set_enabled(&id, enabled, registry)
        })
        .await
    }

    /// Takes a definition from elsewhere, disabled.
    ///
    /// # Errors
    /// `conflict` if its id is taken; `invalid` if it is too large or no correct TOML or JSON;
    /// `storage`.
    pub async fn import_definition(
        &self,
        request: ImportDefinition,
    ) -> Result<ImportedDefinition, ApiError> {
        self.change(VersionReason::Saved, move |library, registry| {
            library.import(&request, registry)
        })
        .await
    }

    /// Takes a definition from a file elsewhere, disabled.
    ///
    /// # Errors
    /// As [`App::import_definition`], or `storage` if the file cannot be read.
    pub async fn import_definition_file(
        &self,
        path: PathBuf,
        new_id: Option<String>,
    ) -> Result<ImportedDefinition, ApiError> {
        let file = path.to_string_lossy().into_owned();
        let bytes = blocking(move || {
            crate::library::read(&path)
                .map_err(|e| error::other_file(&format!("{} cannot be read", path.display()), &e))
        })
        .await??;
        let text = String::from_utf8(bytes)
            .map_err(|e| error::problems(&file, &Self::validate(&file, e.as_bytes())))?;
        self.import_definition(ImportDefinition { file, text, new_id }).await
    }

    /// Writes a definition's text to a file, or into a folder under its own name, and returns the
    /// file.
    ///
    /// # Errors
    /// `conflict` if the file exists and is not to be replaced; `not_found`; `storage`.
    pub async fn export_definition(
        &self,
        id: &str,
        path: PathBuf,
        replace: bool,
    ) -> Result<PathBuf, ApiError> {
        let id = id.to_owned();
        self.library(move |library, registry| library.export(&id, &path, replace, registry)).await
    }

    /// Moves a definition of the user's to the trash. Its runs and its history stay.
    ///
    /// # Errors
    /// `conflict` if it comes with Quaero; `not_found`; `storage`.
    pub async fn delete_definition(&self, id: &str) -> Result<DeletedDefinition, ApiError> {
        let (id, now_ms) = (id.to_owned(), self.core.clock.now_ms());
        self.change(VersionReason::Saved, move |library, registry| {
            library.delete(&id, now_ms, registry)
        })
        .await
    }

    /// The deleted definitions that can come back, the newest first.
    ///
    /// # Errors
    /// If the trash cannot be listed.
    pub async fn deleted_definitions(&self) -> Result<Vec<DeletedDefinition>, ApiError> {
        self.library(|library, _| library.trash()).await
    }

    /// Puts a deleted definition back.
    ///
    /// # Errors
    /// `not_found`; `conflict` if its id is taken by now; `storage`.
    pub async fn undelete_definition(&self, entry: &str) -> Result<DefinitionView, ApiError> {
        let entry = entry.to_owned();
        self.change(VersionReason::Restored, move |library, registry| {
            library.undelete(&entry, registry)
        })
        .await
    }

    /// The texts a definition has had, the newest first; also of one that was deleted.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn definition_history(&self, id: &str) -> Result<Vec<DefinitionVersion>, ApiError> {
        self.core.store.definition_versions(id).await.map_err(error::store)
    }

    /// A text that a definition has had.
    ///
    /// # Errors
    /// `not_found`, or if the store fails.
    pub async fn definition_version(
        &self,
        id: &str,
        version: u32,
    ) -> Result<DefinitionVersionView, ApiError> {
        let found = self.core.store.definition_version(id, version).await.map_err(error::store)?;
        found.ok_or_else(|| error::no_version(id, version))
    }

    /// How version `old` of a definition became version `new`; without that, its present text.
    ///
    /// # Errors
    /// `not_found`, or if the store fails.
    pub async fn diff_versions(
        &self,
        id: &str,
        old: u32,
        new: Option<u32>,
    ) -> Result<TextDiff, ApiError> {
        let old = self.definition_version(id, old).await?.text;
        let new = match new {
            Some(version) => self.definition_version(id, version).await?.text,
            None => self.get_definition(id).await?.text.trim_start_matches('\u{feff}').to_owned(),
        };
        blocking(move || diff::diff_texts(&old, &new)).await?
    }

    /// How the definition of one run differs from that of another.
    ///
    /// # Errors
    /// `not_found`, or if the store fails.
    pub async fn diff_runs(&self, old: JobId, new: JobId) -> Result<TextDiff, ApiError> {
        let mut texts = Vec::new();
        for run in [old, new] {
            let text = self.core.store.run_text(run).await.map_err(error::store)?;
            texts.push(text.ok_or_else(|| error::no_run(run))?);
        }
        blocking(move || diff::diff_texts(&texts[0], &texts[1])).await?
    }

    /// Puts a version back as the definition's text. The present text stays in the history; a
    /// definition that was deleted is there again.
    ///
    /// # Errors
    /// `not_found`; `conflict` if it comes with Quaero; `storage`.
    pub async fn restore_version(
        &self,
        id: &str,
        version: u32,
    ) -> Result<DefinitionView, ApiError> {
        let text = self.definition_version(id, version).await?.text;
        let id = id.to_owned();
        self.change(VersionReason::Restored, move |library, registry| {
            library.restore(&id, &text, registry)
        })
        .await
    }

    /// Changes files: first keeps what is there in the history, then what has become of it.
    async fn change<T: Changed + Send + 'static>(
        &self,
        why: VersionReason,
        work: impl FnOnce(&Library, &Registry) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let mut known = self.core.watch.hold().await;
        self.core.watch.look(&mut known, None).await?;
        let done = self.library(work).await?;
        let written = done.file().map(|file| (PathBuf::from(file), why));
        if let Err(error) = self.core.watch.look(&mut known, written).await {
            // It is done; the history gets it with the next look.
            tracing::warn!(%error, "The history of the definitions is behind.");
        }
        Ok(done)
    }

    async fn library<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Library, &Registry) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let core = Arc::clone(&self.core);
        blocking(move || work(&core.library, &core.registry)).await?
    }
}

/// What a change leaves behind.
trait Changed {
    /// The file that was written.
    fn file(&self) -> Option<&str>;
}

impl Changed for DefinitionView {
    fn file(&self) -> Option<&str> {
        Some(&self.summary.file)
    }
}

impl Changed for ImportedDefinition {
    fn file(&self) -> Option<&str> {
        self.definition.file()
    }
}

impl Changed for DeletedDefinition {
    fn file(&self) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests;
