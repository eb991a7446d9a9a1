//! Runs definitions by themselves: at their scheduled times, and when Quaero starts.
//!
//! A [`Scheduler`] is a round that decides and acts once, and a task that waits for the next time or
//! for changed definitions and goes round again. There is one timer and no polling. What has been
//! dealt with is in the store, so that a schedule survives being killed, and the rules for missed
//! times and clocks that jump are those of [`quaero_engine::schedule`].

use std::{future::Future, sync::Arc};

use quaero_contract::{
    ApiError, ErrorCode, JobId, MissedRuns, Overlap, SchedulePreview, ScheduleView,
};
use quaero_engine::{
    Clock,
    schedule::{MOST_MADE_UP, Schedule, ScheduleError, due},
};
use quaero_store::{ScheduleState, Settled, Slot, Store, rfc3339};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::error;

/// How many of the next times a view shows.
const SHOWN: usize = 5;
/// When to try again what failed for a reason that may pass, in milliseconds.
const RETRY_MS: i64 = 30_000;

/// What the scheduler knows of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// The definition.
    pub definition_id: String,
    /// Its name.
    pub name: String,
    /// When it is run; never by itself if none.
    pub cron: Option<String>,
    /// In which IANA time zone; the computer's if none.
    pub timezone: Option<String>,
    /// What happens to times that passed while nothing could be started.
    pub missed_runs: MissedRuns,
    /// What happens while a run is open.
    pub overlap: Overlap,
    /// Whether it is run by itself at all.
    pub enabled: bool,
    /// Whether it is run when Quaero starts.
    pub auto_start: bool,
}

/// The wish to start a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The definition.
    pub definition_id: String,
    /// Every other start with this id is the same run.
    pub request_id: String,
    /// Whether the run waits until no earlier one of the definition is open.
    pub queue: bool,
    /// The scheduled time to settle in the transaction that accepts the run.
    pub slot: Option<Slot>,
}

/// Whatever starts runs.
pub trait Starter: Send + Sync + 'static {
    /// Accepts a run and settles its slot as started ([`quaero_store::Tx::settle_slot`]), both in one
    /// transaction; for a request id that is known, settles the slot with the run of that id.
    ///
    /// # Errors
    /// `not_found` and `invalid` are final: the slot is settled as failed. Any other error is taken
    /// to pass, and the start is tried again.
    fn start(&self, start: Start) -> impl Future<Output = Result<JobId, ApiError>> + Send;

    /// Whether a run of this definition has not ended.
    ///
    /// # Errors
    /// If that cannot be read.
    fn is_open(&self, definition_id: &str) -> impl Future<Output = Result<bool, ApiError>> + Send;
}

/// Starts runs until it is stopped.
#[derive(Debug)]
pub struct Scheduler {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Scheduler {
    /// Begins: runs the definitions of the first list that start with Quaero, then what is due.
    /// `definitions` always holds the whole list, and `epoch` is this process in the store.
    #[must_use]
    pub fn start(
        store: Store,
        clock: Arc<dyn Clock>,
        epoch: i64,
        starter: impl Starter,
        mut definitions: watch::Receiver<Arc<[Scheduled]>>,
    ) -> Self {
        let stop = CancellationToken::new();
        let first = Arc::clone(&definitions.borrow_and_update());
        let rounds = Rounds::new(store, clock, epoch, starter, first, stop.clone());
        let task = tokio::spawn(serve(rounds, definitions));
        Self { stop, task }
    }

    /// Starts nothing more. Returns when a start that is under way is over.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "The scheduler failed.");
        }
    }
}

async fn serve<S: Starter>(
    mut rounds: Rounds<S>,
    mut definitions: watch::Receiver<Arc<[Scheduled]>>,
) {
    let stop = rounds.stop.clone();
    loop {
        let wake_ms = rounds.round().await;
        let timer = rounds.clock.until(wake_ms);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Ok(()) = definitions.changed() => {
                rounds.changed = Some(Arc::clone(&definitions.borrow_and_update()));
            }
            () = timer => {}
        }
    }
}

/// The scheduler between two waits.
struct Rounds<S> {
    store: Store,
    clock: Arc<dyn Clock>,
    epoch: i64,
    starter: S,
    /// The list that is to come into force.
    changed: Option<Arc<[Scheduled]>>,
    /// What starts with Quaero and has not been started yet.
    at_start: Vec<Scheduled>,
    in_force: Vec<InForce>,
    /// Nothing more is started; what is due stays so.
    stop: CancellationToken,
}

/// A schedule that starts runs.
struct InForce {
    definition: Scheduled,
    schedule: Schedule,
    /// Every slot up to here has been dealt with.
    settled_ms: i64,
}

impl<S: Starter> Rounds<S> {
    fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        epoch: i64,
        starter: S,
        first: Arc<[Scheduled]>,
        stop: CancellationToken,
    ) -> Self {
        let at_start = first.iter().filter(|d| d.enabled && d.auto_start).cloned().collect();
        let (changed, in_force) = (Some(first), Vec::new());
        Self { store, clock, epoch, starter, changed, at_start, in_force, stop }
    }

    /// Starts what is due. Returns when to go round again; never, if nothing is scheduled.
    async fn round(&mut self) -> Option<i64> {
        let now_ms = self.clock.now_ms();
        let mut wake_ms = None;
        let mut wake = |at_ms: Option<i64>| {
            wake_ms = [wake_ms, at_ms].into_iter().flatten().min();
        };
        let retry = Some(now_ms.saturating_add(RETRY_MS));
        if let Err(error) = self.put_in_force(now_ms).await {
            tracing::warn!(%error, "The schedules cannot be kept; trying again.");
            wake(retry);
        }
        let mut not_started = Vec::new();
        for definition in std::mem::take(&mut self.at_start) {
            if let Err(error) = self.start_with_quaero(&definition).await {
                tracing::warn!(definition = definition.definition_id, %error, "Cannot be started; trying again.");
                not_started.push(definition);
                wake(retry);
            }
        }
        self.at_start = not_started;
        let mut in_force = std::mem::take(&mut self.in_force);
        for one in &mut in_force {
            if self.stop.is_cancelled() {
                break;
            }
            match self.start_due(one, now_ms).await {
                Ok(()) => wake(one.schedule.next_after(one.settled_ms.max(now_ms))),
                Err(error) => {
                    tracing::warn!(definition = one.definition.definition_id, %error, "Cannot be started; trying again.");
                    wake(retry);
                }
            }
        }
        self.in_force = in_force;
        wake_ms
    }

    async fn put_in_force(&mut self, now_ms: i64) -> Result<(), ApiError> {
        let Some(list) = &self.changed else { return Ok(()) };
        let enabled = list.iter().filter(|definition| definition.enabled);
        let (definitions, schedules): (Vec<&Scheduled>, Vec<Schedule>) = enabled
            .filter_map(|definition| match parse(definition)? {
                Ok(schedule) => Some((definition, schedule)),
                Err(error) => {
                    tracing::warn!(definition = definition.definition_id, %error, "Its schedule is wrong.");
                    None
                }
            })
            .unzip();
        let patterns: Vec<(String, String)> = definitions
            .iter()
            .zip(&schedules)
            .map(|(definition, schedule)| {
                let zone = schedule.zone().unwrap_or("local");
                (definition.definition_id.clone(), format!("{} {zone}", schedule.cron()))
            })
            .collect();
        let states = self
            .store
            .write(move |tx| tx.set_schedules(&patterns, now_ms))
            .await
            .map_err(error::store)?;
        self.in_force = definitions
            .into_iter()
            .zip(schedules)
            .zip(states)
            .map(|((definition, schedule), state)| InForce {
                definition: definition.clone(),
                schedule,
                settled_ms: state.settled_ms,
            })
            .collect();
        self.changed = None;
        Ok(())
    }

    async fn start_with_quaero(&self, definition: &Scheduled) -> Result<(), ApiError> {
        let id = &definition.definition_id;
        if definition.overlap == Overlap::Skip && self.starter.is_open(id).await? {
            tracing::info!(definition = id, "Not started with Quaero: a run of it is still open.");
            return Ok(());
        }
        let start = Start {
            definition_id: id.clone(),
            request_id: format!("start:{id}:{}", self.epoch),
            queue: definition.overlap == Overlap::Queue,
            slot: None,
        };
        match self.starter.start(start).await {
            Err(error) if !may_pass(error.code) => {
                tracing::warn!(definition = id, %error, "Cannot be started with Quaero.");
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Deals with the slots of a schedule that have passed.
    async fn start_due(&self, one: &mut InForce, now_ms: i64) -> Result<(), ApiError> {
        let id = &one.definition.definition_id;
        let missed = one.definition.missed_runs;
        let due = due(&one.schedule, one.settled_ms, now_ms, missed);
        let Some(record) = due.record else { return Ok(()) };
        if due.clock_was_wrong {
            let note = "This computer's clock was wrong when this schedule last started a run. The schedule goes on from now.";
            tracing::warn!(definition = id, "{note}");
            let id = id.clone();
            let rewind = self.store.write(move |tx| tx.rewind_schedule(&id, now_ms, note));
            rewind.await.map_err(error::store)?;
            one.settled_ms = record;
            return Ok(());
        }
        let mut note = left_out(due.left_out, missed);
        // Each of several was asked for, so they follow each other instead of leaving each other out.
        let making_up = due.fire.len() > 1;
        for at_ms in due.fire {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            let slot = Slot { definition_id: id.clone(), at_ms, note: std::mem::take(&mut note) };
            self.start_slot(&one.definition, slot, making_up).await?;
            one.settled_ms = at_ms;
        }
        if one.settled_ms < record {
            tracing::info!(definition = id, "{note}");
            self.settle(Slot { definition_id: id.clone(), at_ms: record, note }, Settled::Missed)
                .await?;
            one.settled_ms = record;
        }
        Ok(())
    }

    async fn start_slot(
        &self,
        definition: &Scheduled,
        mut slot: Slot,
        making_up: bool,
    ) -> Result<(), ApiError> {
        let id = &definition.definition_id;
        let overlap = match definition.overlap {
            Overlap::Skip if making_up => Overlap::Queue,
            overlap => overlap,
        };
        if overlap == Overlap::Skip && self.starter.is_open(id).await? {
            "The run before it was still open, so this time was left out."
                .clone_into(&mut slot.note);
            tracing::info!(definition = id, "{}", slot.note);
            return self.settle(slot, Settled::Skipped).await;
        }
        let start = Start {
            definition_id: id.clone(),
            request_id: slot.request_id(),
            queue: overlap == Overlap::Queue,
            slot: Some(slot.clone()),
        };
        match self.starter.start(start).await {
            Err(error) if !may_pass(error.code) => {
                tracing::warn!(definition = id, %error, "Its scheduled run was refused.");
                slot.note = error.to_string();
                self.settle(slot, Settled::Failed).await
            }
            other => other.map(drop),
        }
    }

    async fn settle(&self, slot: Slot, settled: Settled) -> Result<(), ApiError> {
        let write = self.store.write(move |tx| tx.settle_slot(&slot, settled));
        write.await.map(drop).map_err(error::store)
    }
}

/// Its schedule, if it has one.
fn parse(definition: &Scheduled) -> Option<Result<Schedule, ScheduleError>> {
    let cron = definition.cron.as_deref()?;
    Some(Schedule::parse(cron, definition.timezone.as_deref()))
}

/// Whether the same start can succeed later without anybody changing the definition.
const fn may_pass(code: ErrorCode) -> bool {
    match code {
        ErrorCode::NotFound | ErrorCode::Invalid => false,
        ErrorCode::Conflict
        | ErrorCode::Busy
        | ErrorCode::NotSetUp
        | ErrorCode::Storage
        | ErrorCode::Corrupt
        | ErrorCode::Internal => true,
    }
}

fn left_out(count: usize, missed: MissedRuns) -> String {
    let times = match count {
        0 => return String::new(),
        1 => "1 earlier time was missed".to_owned(),
        count => format!("{count} earlier times were missed"),
    };
    match missed {
        MissedRuns::Skip => format!("{times}."),
        MissedRuns::Once => format!("{times}; one run makes up for all."),
        MissedRuns::All => format!("{times}; only the newest {MOST_MADE_UP} are made up for."),
    }
}

/// The schedules of these definitions with their next times, in the order of the list.
///
/// # Errors
/// If the store fails.
pub async fn views(
    store: &Store,
    definitions: &[Scheduled],
    now_ms: i64,
) -> Result<Vec<ScheduleView>, ApiError> {
    let states = store.schedules().await.map_err(error::store)?;
    let view = |definition: &Scheduled| {
        let schedule = parse(definition)?.ok()?;
        let state = states.iter().find(|state| state.definition_id == definition.definition_id);
        Some(view(definition, &schedule, state, now_ms))
    };
    Ok(definitions.iter().filter_map(view).collect())
}

fn view(
    definition: &Scheduled,
    schedule: &Schedule,
    state: Option<&ScheduleState>,
    now_ms: i64,
) -> ScheduleView {
    let shown = if definition.enabled { SHOWN } else { 0 };
    // What is recorded already does not come again when the clock was set back.
    let from_ms = match state.map(|state| state.settled_ms) {
        Some(settled_ms)
            if !due(schedule, settled_ms, now_ms, MissedRuns::Skip).clock_was_wrong =>
        {
            settled_ms.max(now_ms)
        }
        _ => now_ms,
    };
    ScheduleView {
        definition_id: definition.definition_id.clone(),
        name: definition.name.clone(),
        cron: schedule.cron().to_owned(),
        timezone: schedule.zone().map(str::to_owned),
        description: schedule.describe(),
        missed_runs: definition.missed_runs,
        overlap: definition.overlap,
        enabled: definition.enabled,
        next: schedule.slots_after(from_ms).take(shown).map(rfc3339).collect(),
        last_slot: state.and_then(|state| state.last_slot_ms).map(rfc3339),
        last_result: state.and_then(|state| state.last_result),
        last_run: state.and_then(|state| state.last_run),
        note: state.map(|state| state.note.clone()).unwrap_or_default(),
        started: state.map_or(0, |state| state.started),
        skipped: state.map_or(0, |state| state.skipped),
    }
}

/// What a schedule means, for somebody who is writing it.
///
/// # Errors
/// `invalid` if the schedule or the time zone is wrong.
pub fn preview(
    cron: &str,
    timezone: Option<&str>,
    now_ms: i64,
) -> Result<SchedulePreview, ApiError> {
    let schedule = Schedule::parse(cron, timezone).map_err(|error| {
        let told = ApiError::new(ErrorCode::Invalid, error.to_string());
        match error {
            ScheduleError::Zone { nearest: Some(nearest), .. } => {
                told.with_hint(format!("Did you mean `{nearest}`?"))
            }
            ScheduleError::Zone { nearest: None, .. } | ScheduleError::Cron(_) => told,
        }
    })?;
    let next = schedule.slots_after(now_ms).take(SHOWN).map(rfc3339).collect();
    Ok(SchedulePreview { description: schedule.describe(), next })
}

#[cfg(test)]
mod tests;
