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
        /// Run it although something that a step needs is not set up
        #[arg(long)]
        anyway: bool,
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
    /// Run the engine without a window: go on with every run, keep the schedules, until a signal
    Serve {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// List, show, cancel, pause, resume, repeat and forget runs
    #[command(subcommand)]
    Runs(Runs),
    /// When definitions run by themselves
    #[command(subcommand)]
    Schedule(Schedule),
    /// List, search and show what has been collected
    #[command(subcommand)]
    Docs(Docs),
    /// List, change, compare and exchange definitions
    #[command(subcommand)]
    Definitions(Definitions),
    /// Outside services: where they are, which can be used, their keys, and whether they answer
    #[command(subcommand)]
    Providers(Providers),
    /// Sign-ins that steps take along: cookies and headers, each for one site
    #[command(subcommand)]
    Profiles(Profiles),
    /// Look at everything that has to be right
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Providers {
    /// Every service, and where its key is
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep a service's key, read from standard input
    SetKey {
        /// The service
        id: String,
        /// Where to keep it; `file` needs its passphrase in QUAERO_PASSPHRASE
        #[arg(long, value_enum, default_value_t = Keep::Keychain)]
        keep: Keep,
    },
    /// Forget a service's key
    ForgetKey {
        /// The service
        id: String,
    },
    /// Say where a service is; its key is forgotten if that is another host
    SetUrl {
        /// The service
        id: String,
        /// Its address [default: the one that comes with Quaero]
        url: Option<String>,
    },
    /// Say which search services are asked, the first one first
    SetOrder {
        /// The services [default: all that are set up]
        ids: Vec<String>,
    },
    /// Say how reports are sent; what is not named stays as it is. The password is the key of `smtp`
    SetMail(SetMail),
    /// Ask a service whether it can be used, and how much of it is left
    Test {
        /// The service
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The mail server.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct SetMail {
    /// Its name, such as smtp.example.org; empty for none
    #[arg(long)]
    pub(super) host: Option<String>,
    /// Its port; 0 for the usual one
    #[arg(long)]
    pub(super) port: Option<u16>,
    /// How the connection is protected
    #[arg(long, value_enum)]
    pub(super) security: Option<Security>,
    /// Who signs in; empty if nobody has to
    #[arg(long)]
    pub(super) user: Option<String>,
    /// The sender's address
    #[arg(long)]
    pub(super) from: Option<String>,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Security {
    /// TLS from the first byte, usually port 465
    Tls,
    /// TLS after the server's greeting, usually port 587
    StartTls,
    /// None, for a server on this computer or its network
    None,
}

#[derive(Debug, Subcommand)]
pub(super) enum Profiles {
    /// Every profile, without what is in it
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep cookies that a browser has exported, or headers, for a step that names the profile
    Import {
        /// The profile's name
        name: String,
        /// A file of cookies: cookies.txt, or JSON; `-` for standard input
        #[arg(long, value_name = "FILE", required_unless_present = "headers")]
        cookies: Option<PathBuf>,
        /// A file of headers, one a line as `Name: value`; `-` for standard input
        #[arg(long, value_name = "FILE")]
        headers: Option<PathBuf>,
        /// The site that it is for [default: the one that all of the cookies are of]
        #[arg(long, value_name = "DOMAIN")]
        site: Option<String>,
        /// Where to keep the key that opens profiles, if there is none yet; `file` needs its
        /// passphrase in QUAERO_PASSPHRASE
        #[arg(long, value_enum, default_value_t = Keep::Keychain)]
        keep: Keep,
    },
    /// Forget a profile
    Delete {
        /// The profile
        name: String,
    },
}

/// Where a key is kept.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Keep {
    /// The system's keychain
    Keychain,
    /// A file in the data folder that a passphrase opens
    File,
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
    /// How the definition of one run differs from that of another
    Diff {
        /// The first run
        old: JobId,
        /// The run it is compared with
        new: JobId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// What stands out in a run: its tasks by type, the slowest and the failures
    Stats {
        /// The run
        id: JobId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Changes of state, oldest first, one JSON object a line; go on later from the last `seq`
    Events {
        /// Only those of this run
        id: Option<JobId>,
        /// Only those after this sequence number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
        /// At most this many
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// Cancel a run, wherever it is running
    Cancel {
        /// The run
        id: JobId,
    },
    /// Let nothing more of a run start until it is resumed; without a run, of any
    Pause {
        /// The run
        #[arg(required_unless_present = "all")]
        id: Option<JobId>,
        /// Pause everything, also over restarts
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Do the work of an earlier run again and follow it to its end
    Rerun {
        /// The earlier run
        id: JobId,
        /// Only this step and what depends on it; other steps keep their results
        #[arg(long, value_name = "STEP", conflicts_with = "failed")]
        from: Option<String>,
        /// Only what failed, and what depends on it
        #[arg(long)]
        failed: bool,
        /// A value that replaces the earlier one; can be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// Use the definition as it is now
        #[arg(long)]
        current: bool,
        /// Run it although something that a step needs is not set up
        #[arg(long)]
        anyway: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Forget runs that have ended, with their jobs and logs; documents stay
    Prune {
        /// Keep at most so many of the newest runs
        #[arg(long, value_name = "COUNT", required_unless_present = "keep_days")]
        keep_runs: Option<u32>,
        /// Keep runs that ended in the last so many days
        #[arg(long, value_name = "DAYS")]
        keep_days: Option<u32>,
    },
    /// Go on with an interrupted or paused run and follow it to its end
    Resume {
        /// The run
        #[arg(required_unless_present = "all")]
        id: Option<JobId>,
        /// End a pause of everything
        #[arg(long, conflicts_with_all = ["id", "json"])]
        all: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Schedule {
    /// The schedules with their next times
    List {
        /// Print JSON
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
    /// Let the schedule run a definition of yours
    Enable {
        /// The definition
        id: String,
    },
    /// Keep the schedule from running a definition of yours; by hand it still runs
    Disable {
        /// The definition
        id: String,
    },
    /// The texts a definition has had, the newest first
    History {
        /// The definition
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// How a definition has changed [default: by its newest version]
    Diff {
        /// The definition
        id: String,
        /// The earlier version
        old: Option<u32>,
        /// The later version [default: the present text]
        new: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put an earlier version back; the present text stays in the history
    Restore {
        /// The definition
        id: String,
        /// The version
        version: u32,
    },
    /// Copy a definition, also one that comes with Quaero, to a new one of yours
    Copy {
        /// The definition
        id: String,
        /// The id of the copy
        new_id: String,
    },
    /// Write a definition to a file
    Export {
        /// The definition
        id: String,
        /// The file, or a folder for it
        path: PathBuf,
        /// Replace the file if it exists
        #[arg(long)]
        replace: bool,
    },
    /// Take a definition from a file; it is disabled until you enable it
    Import {
        /// The file
        file: PathBuf,
        /// An id in place of its own
        #[arg(long)]
        id: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Move a definition of yours to the trash
    Delete {
        /// The definition
        id: String,
    },
    /// The deleted definitions, the newest first
    Trash {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a deleted definition back
    Undelete {
        /// Its name in the trash
        entry: String,
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
