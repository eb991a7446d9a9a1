//! Showing a run as it goes: bars on a terminal, else a line for every change of a step, or JSON.

use std::{collections::HashMap, io::IsTerminal};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use quaero_app::{AppEvent, Follow, Followed};
use quaero_contract::{
    ApiError, JobId, JobKind, JobStatus, LogLevel, RunStatus, RunView, StepProgress, StorageWait,
};
use tokio::sync::watch;

use super::{
    Exit, json,
    output::{Look, Output, count, duration, one_line, short},
    read::look_of,
};

/// Warnings shown at the end of a run.
const MAX_WARNINGS: usize = 10;

/// Why the following ended.
pub(super) enum End {
    /// The run has ended.
    Run(Exit),
    /// The user does not want to wait for this run any longer.
    Signal(JobId),
}

/// Follows a run until it ends or `stop` turns true.
pub(super) async fn follow(
    mut follow: Follow,
    json: bool,
    stop: &mut watch::Receiver<bool>,
    output: &mut Output,
) -> Result<End, ApiError> {
    let run = follow.run();
    let mut show = Show::new(json, output);
    show.started(run, output);
    loop {
        let message = tokio::select! {
            message = follow.next() => message,
            // The sender lives as long as the process.
            Ok(_) = stop.wait_for(|stop| *stop) => {
                show.clear();
                output.note("Stopping. Press Ctrl-C again to stop at once.");
                return Ok(End::Signal(run));
            }
        };
        match message {
            Some(Ok(Followed::Event(event))) => show.event(&event, output),
            Some(Ok(Followed::Ended(view))) => {
                show.ended(&view, output);
                return Ok(End::Run(exit_of(view.summary.status)));
            }
            Some(Err(error)) => {
                show.clear();
                return Err(error);
            }
            None => return Ok(End::Signal(run)),
        }
    }
}

const fn exit_of(status: RunStatus) -> Exit {
    match status {
        RunStatus::Completed => Exit::Done,
        RunStatus::Running | RunStatus::Paused | RunStatus::Queued | RunStatus::Failed => {
            Exit::Failed
        }
        RunStatus::Cancelled => Exit::Cancelled,
        RunStatus::Interrupted => Exit::Interrupted,
    }
}

/// How the run is shown.
enum Show {
    Json,
    Lines,
    Bars(Bars),
}

impl Show {
    fn new(json: bool, output: &Output) -> Self {
        match (json, std::io::stderr().is_terminal()) {
            (true, _) => Self::Json,
            (false, false) => Self::Lines,
            (false, true) => Self::Bars(Bars::new(output)),
        }
    }

    fn started(&self, run: JobId, output: &mut Output) {
        match self {
            Self::Json => output.json_line(&json::run_started(run)),
            Self::Lines | Self::Bars(_) => output.note(format_args!("Following run {run}.")),
        }
    }

    fn event(&mut self, event: &AppEvent, output: &mut Output) {
        match (self, event) {
            (Self::Json, event) => output.json_line(event),
            (Self::Lines, AppEvent::Status(change)) if change.kind == JobKind::Step => {
                let error =
                    change.error.as_ref().map(|error| format!(": {}", one_line(&error.message)));
                output.line(format_args!(
                    "{} {}{}",
                    one_line(&change.name),
                    doing(change.status),
                    error.unwrap_or_default()
                ));
            }
            (Self::Lines, AppEvent::Waits(wait)) => output.note(waits(wait)),
            (Self::Bars(bars), AppEvent::Waits(wait)) => bars.print(&waits(wait)),
            (Self::Bars(bars), AppEvent::Progress(progress)) => bars.update(&progress.steps),
            (Self::Bars(bars), AppEvent::Log(log)) => {
                for line in log.lines.iter().filter(|line| line.level >= LogLevel::Warn) {
                    bars.print(&short(&line.message, 160));
                }
            }
            (Self::Lines | Self::Bars(_), _) => {}
        }
    }

    fn ended(&mut self, view: &RunView, output: &mut Output) {
        match self {
            Self::Json => output.json_line(&json::run_finished(view)),
            Self::Lines => summary(view, output),
            Self::Bars(bars) => {
                bars.clear();
                for step in &view.steps {
                    output.line(format_args!("{} {}", one_line(&step.name), doing(step.status)));
                }
                summary(view, output);
            }
        }
    }

    fn clear(&mut self) {
        if let Self::Bars(bars) = self {
            bars.clear();
        }
    }
}

/// What a run has brought, in a few lines.
fn summary(view: &RunView, output: &mut Output) {
    let run = &view.summary;
    let what = match run.status {
        RunStatus::Completed => "Completed",
        RunStatus::Failed => "Failed",
        RunStatus::Cancelled => "Cancelled",
        RunStatus::Interrupted => "Interrupted",
        RunStatus::Running => "Running",
        RunStatus::Paused => "Paused",
        RunStatus::Queued => "Queued",
    };
    let documents = run.documents;
    output.line(format_args!(
        "{} after {}: {}; documents: {} new, {} changed, {} unchanged",
        output.paint(look_of(run.status), what),
        duration(run.duration_ms),
        count(run.jobs.total, "job"),
        documents.created,
        documents.updated,
        documents.unchanged
    ));
    if let Some(error) = &run.error {
        output.line(one_line(&error.message));
    }
    if run.warnings > 0 {
        output.line(output.paint(Look::Warning, count(run.warnings, "warning")));
        for warning in view.warnings.iter().take(MAX_WARNINGS) {
            output.line(format_args!("  {}", short(warning, 200)));
        }
        if view.warnings.len() > MAX_WARNINGS {
            output.line(format_args!("  All of them: quaero runs show {}", run.id));
        }
    }
    if documents.created + documents.updated + documents.unchanged > 0 {
        output.line("Search them: quaero docs search WORDS");
    }
}

/// What is told of work that waits for the storage.
pub(super) fn waits(wait: &StorageWait) -> String {
    let Some(error) = &wait.error else { return "Work goes on.".to_owned() };
    let hint = error.hint.as_deref().unwrap_or_default();
    format!("Waiting: {} {}", one_line(&error.message), one_line(hint)).trim_end().to_owned()
}

const fn doing(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Pending => "waits",
        JobStatus::Running | JobStatus::Waiting => "has started",
        JobStatus::Completed => "is completed",
        JobStatus::Failed => "has failed",
        JobStatus::Cancelled => "was cancelled",
        JobStatus::Skipped => "was skipped",
    }
}

/// One bar for each step.
struct Bars {
    all: MultiProgress,
    steps: HashMap<JobId, ProgressBar>,
    style: ProgressStyle,
}

impl Bars {
    fn new(output: &Output) -> Self {
        let mark = output.paint_note(Look::Faint, "·");
        let template = format!("{{prefix}}  {{bar:24}} {{pos:>6}}/{{len:<6}} {mark} {{wide_msg}}");
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸─");
        Self { all: MultiProgress::new(), steps: HashMap::new(), style }
    }

    fn update(&mut self, steps: &[StepProgress]) {
        let width =
            steps.iter().map(|step| one_line(&step.name).chars().count()).max().unwrap_or(0);
        for step in steps {
            let bar = self.steps.entry(step.id).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new(0).with_style(self.style.clone()));
                bar.set_prefix(format!("{:width$}", one_line(&step.name)));
                bar
            });
            bar.set_length(u64::from(step.jobs.total));
            bar.set_position(u64::from(step.jobs.done()));
            let documents =
                step.documents.created + step.documents.updated + step.documents.unchanged;
            let failed = if step.jobs.failed > 0 {
                format!(", {} failed", step.jobs.failed)
            } else {
                String::new()
            };
            bar.set_message(format!("{}{failed}", count(documents, "document")));
        }
    }

    fn print(&self, line: &str) {
        // A terminal that cannot be written is not worth an error.
        let _ = self.all.println(line);
    }

    /// Takes the bars off the screen.
    fn clear(&mut self) {
        for (_, bar) in self.steps.drain() {
            bar.finish_and_clear();
        }
    }
}
