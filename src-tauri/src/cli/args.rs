//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use quaero_contract::{DocumentId, JobId};

/// Quaero: research you can check. Without a command it opens its window.
#[derive(Debug, Parser)]
#[command(name = "quaero", version, disable_help_subcommand = true)]
pub(super) struct Cli {
    /// Where everything is kept [default: QUAERO_DATA_DIR, or the desktop's place for such data]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(super) data_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a definition and follow it to its end
    Run {
        /// A definition's file, or the id of one in the library
        #[arg(value_name = "FILE|ID")]
        definition: String,
        /// A value for a key of the definition's [config]; can be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Check definitions and say everything that is wrong with them
    Validate {
        /// Definitions' files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List, show, cancel and resume runs
    #[command(subcommand)]
    Runs(Runs),
    /// List, search and show what has been collected
    #[command(subcommand)]
    Docs(Docs),
    /// List the definitions that can be run by their id
    #[command(subcommand)]
    Definitions(Definitions),
    /// Look at everything that has to be right
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Runs {
    /// The newest runs
    List {
        /// At most this many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// One run with its steps
    Show {
        /// The run
        id: JobId,
        /// Print JSON, with every job of the run
        #[arg(long)]
        json: bool,
    },
    /// Cancel a run, wherever it is running
    Cancel {
        /// The run
        id: JobId,
    },
    /// Go on with an interrupted run and follow it to its end
    Resume {
        /// The run
        id: JobId,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Docs {
    /// The newest documents
    List {
        #[command(flatten)]
        filter: Filter,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Search the full text
    Search {
        /// Words, "phrases", AND OR NOT, title: tag: source: site: before: after:, prefix*; write `--`
        /// before the query if a word of it begins with `-`
        #[arg(required = true)]
        query: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// A document's content as Markdown
    Show {
        /// The document
        id: DocumentId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which documents.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Only documents with this tag; can be repeated: all of them
    #[arg(long)]
    pub(super) tag: Vec<String>,
    /// Only documents last written by this run
    #[arg(long, value_name = "ID")]
    pub(super) run: Option<JobId>,
    /// At most this many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(super) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(super) enum Definitions {
    /// All of them, yours first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}
