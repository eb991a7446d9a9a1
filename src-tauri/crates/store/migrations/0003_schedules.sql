-- What became of each definition's schedule. The definition itself is a file.

PRAGMA user_version = 3;

CREATE TABLE schedules (
    definition_id TEXT    PRIMARY KEY CHECK (definition_id <> ''),
    -- The cron fields and zone that the rest is about; empty while the schedule is not in force.
    pattern       TEXT    NOT NULL,
    -- Every slot up to this moment has been dealt with.
    settled_ms    INTEGER NOT NULL,
    last_slot_ms  INTEGER,
    last_result   TEXT    CHECK (last_result IN ('started', 'skipped', 'missed', 'failed')),
    last_run_id   INTEGER,
    note          TEXT    NOT NULL DEFAULT '',
    started       INTEGER NOT NULL DEFAULT 0 CHECK (started >= 0),
    skipped       INTEGER NOT NULL DEFAULT 0 CHECK (skipped >= 0),
    CHECK ((last_slot_ms IS NULL) = (last_result IS NULL)),
    CHECK ((last_result IS 'started') = (last_run_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- A slot that has been dealt with is not dealt with again.
CREATE TRIGGER slot_is_settled_once BEFORE UPDATE OF last_slot_ms ON schedules
WHEN NEW.last_slot_ms <= OLD.settled_ms
BEGIN
    SELECT RAISE (ABORT, 'this slot has been dealt with');
END;
