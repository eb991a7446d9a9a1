//! What became of each definition's schedule: which slots (scheduled moments) have been dealt with.
//!
//! A slot is settled once. Settle it in the transaction that accepts its run, with the run's request
//! id made by [`Slot::request_id`]: then a process that is killed at any moment neither forgets a
//! slot nor starts it twice, even after the clock was set back.

use quaero_contract::{JobId, SlotResult};
use rusqlite::params;

use crate::{Store, error::Result, point::Point, statement::Record, writer::Tx};

/// A scheduled moment of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The definition.
    pub definition_id: String,
    /// The moment, in milliseconds since 1970.
    pub at_ms: i64,
    /// What the user should know about it, in a sentence; empty if nothing.
    pub note: String,
}

impl Slot {
    /// The request id of its run: `schedule:ID:MOMENT`, at most 94 characters.
    #[must_use]
    pub fn request_id(&self) -> String {
        format!("schedule:{}:{}", self.definition_id, self.at_ms)
    }
}

/// What became of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// This run was accepted.
    Started(JobId),
    /// The run before it was still open.
    Skipped,
    /// It passed, and is not made up for.
    Missed,
    /// The run was refused.
    Failed,
}

impl Settled {
    const fn result(self) -> SlotResult {
        match self {
            Self::Started(_) => SlotResult::Started,
            Self::Skipped => SlotResult::Skipped,
            Self::Missed => SlotResult::Missed,
            Self::Failed => SlotResult::Failed,
        }
    }

    const fn run(self) -> Option<JobId> {
        match self {
            Self::Started(run) => Some(run),
            Self::Skipped | Self::Missed | Self::Failed => None,
        }
    }
}

/// What is known of a definition's schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleState {
    /// The definition.
    pub definition_id: String,
    /// Every slot up to here has been dealt with; in milliseconds since 1970.
    pub settled_ms: i64,
    /// The newest slot that came, in milliseconds since 1970.
    pub last_slot_ms: Option<i64>,
    /// What became of it.
    pub last_result: Option<SlotResult>,
    /// The run it started.
    pub last_run: Option<JobId>,
    /// What the user should know, in a sentence; empty if nothing.
    pub note: String,
    /// Runs started so far.
    pub started: u32,
    /// Slots skipped so far.
    pub skipped: u32,
}

fn state(row: &impl Record) -> Result<ScheduleState> {
    let result: Option<String> = row.field("last_result")?;
    Ok(ScheduleState {
        definition_id: row.field("definition_id")?,
        settled_ms: row.field("settled_ms")?,
        last_slot_ms: row.field("last_slot_ms")?,
        last_result: result.as_deref().and_then(SlotResult::parse),
        last_run: row.field::<Option<i64>>("last_run_id")?.map(JobId),
        note: row.field("note")?,
        started: row.field("started")?,
        skipped: row.field("skipped")?,
    })
}

impl Tx {
    /// Puts these schedules in force, given as definition id and pattern (its cron fields and zone),
    /// and no others. One that is new, has changed or was out of force begins now: what it would
    /// have started before is not missed. Returns the state of each, in the order given.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn set_schedules(
        &mut self,
        schedules: &[(String, String)],
        now_ms: i64,
    ) -> Result<Vec<ScheduleState>> {
        let ids: Vec<&str> = schedules.iter().map(|(id, _)| id.as_str()).collect();
        self.execute(
            "UPDATE schedules SET pattern = ''
             WHERE pattern <> '' AND definition_id NOT IN (SELECT value FROM json_each(?))",
            [serde_json::to_string(&ids).expect("texts are plain data")],
        )?;
        let mut states = Vec::with_capacity(schedules.len());
        for (id, pattern) in schedules {
            let row = self.one(
                "INSERT INTO schedules (definition_id, pattern, settled_ms) VALUES (?1, ?2, ?3)
                 ON CONFLICT (definition_id) DO UPDATE SET pattern = excluded.pattern,
                     settled_ms = CASE WHEN pattern = excluded.pattern THEN settled_ms
                         ELSE max(settled_ms, excluded.settled_ms) END
                 RETURNING *",
                params![id, pattern, now_ms],
            )?;
            states.push(state(&row)?);
        }
        Point::SchedulesSet.reach()?;
        Ok(states)
    }

    /// Records what became of a slot, and with it that every earlier one has been dealt with.
    /// Returns whether it is new; one that has been dealt with stays as it is.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn settle_slot(&mut self, slot: &Slot, settled: Settled) -> Result<bool> {
        let done = self.execute("UPDATE schedules SET settled_ms = ?2, last_slot_ms = ?2, last_result = ?3, last_run_id = ?4,
                 note = ?5, started = started + (?3 = 'started'), skipped = skipped + (?3 = 'skipped')
             WHERE definition_id = ?1 AND settled_ms < ?2", params![&slot.definition_id, slot.at_ms, settled.result().as_str(), settled.run().map(|run| run.0), &slot.note])?;
        Point::SlotSettled.reach()?;
        Ok(done > 0)
    }

    /// Takes a schedule back to `now_ms`, because its newest record was made by a wrong clock.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn rewind_schedule(&mut self, definition_id: &str, now_ms: i64, note: &str) -> Result<()> {
        self.execute("UPDATE schedules SET settled_ms = ?2, note = ?3 WHERE definition_id = ?1 AND settled_ms > ?2", params![definition_id, now_ms, note])?;
        Ok(())
    }
}

impl Store {
    /// The state of every schedule that was ever in force, by definition id.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn schedules(&self) -> Result<Vec<ScheduleState>> {
        let rows = sqlx::query("SELECT * FROM schedules ORDER BY definition_id");
        rows.fetch_all(&self.readers).await?.iter().map(state).collect()
    }
}
