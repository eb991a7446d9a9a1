//! `quaero doctor`: looks at everything that has to be right, and changes nothing.

use quaero_contract::{RunStatus, Severity};
use quaero_store::{Lock, Store, shared_file_system};

use crate::{App, Check};

impl App {
    /// Looks at the data folder, the database, the search index, the runs and the definitions.
    pub async fn doctor(&self) -> Vec<Check> {
        let core = &self.core;
        let mut checks = vec![
            good("Quaero", env!("CARGO_PKG_VERSION")),
            good("SQLite", Store::sqlite_version()),
            match shared_file_system(&core.data_dir) {
                None => good("Data folder", core.data_dir.display()),
                Some(kind) => bad("Data folder", crate::on_shared(&core.data_dir, kind)),
            },
            match Lock::holder(&core.data_dir) {
                Ok(Some(pid)) => good("Engine", format!("runs in process {pid}")),
                Ok(None) => good("Engine", "not running"),
                Err(error) => bad("Engine", error),
            },
        ];
        checks.push(match core.store.inconsistencies().await {
            Ok(found) if found.is_empty() => good("Database", "consistent"),
            Ok(found) => bad("Database", format!("contradicts itself: {}", found.join("; "))),
            Err(error) => bad("Database", error),
        });
        if let Some(bytes) = core.store.large_wal() {
            let size = bytes / 1_000_000;
            let detail = format!(
                "{size} MB: some program reads `quaero.db` without an end, so that it grows. Close that program"
            );
            checks.push(bad("Write-ahead log", detail));
        }
        checks.push(match self.info().await {
            Ok(info) => good(
                "Documents",
                format!("{} in {} KiB", info.documents, info.database_bytes.div_ceil(1024)),
            ),
            Err(error) => bad("Documents", error),
        });
        checks.push(match self.list_runs(None, 100).await {
            Ok(runs) => match runs.iter().find(|run| run.status == RunStatus::Interrupted) {
                Some(run) => good(
                    "Runs",
                    format!(
                        "run {} was interrupted; go on with it: quaero runs resume {}",
                        run.id, run.id
                    ),
                ),
                None => good("Runs", "none is interrupted"),
            },
            Err(error) => bad("Runs", error),
        });
        checks.extend(self.check_definitions().await);
        checks
    }

    async fn check_definitions(&self) -> Vec<Check> {
        let views = match self.definitions().await {
            Ok(views) => views,
            Err(error) => return vec![bad("Definitions", error)],
        };
        let broken: Vec<Check> = views
            .iter()
            .filter_map(|view| {
                let error =
                    view.problems.iter().find(|problem| problem.severity == Severity::Error)?;
                Some(bad(
                    "Definition",
                    format!(
                        "{}:{}:{}: {}",
                        view.summary.file, error.line, error.column, error.message
                    ),
                ))
            })
            .collect();
        if broken.is_empty() {
            vec![good("Definitions", format!("{}, all valid", views.len()))]
        } else {
            broken
        }
    }
}

fn good(name: &str, detail: impl ToString) -> Check {
    Check { name: name.to_owned(), ok: true, detail: detail.to_string() }
}

fn bad(name: &str, detail: impl ToString) -> Check {
    Check { name: name.to_owned(), ok: false, detail: detail.to_string() }
}
