-- Everything a run can do: retries and deadlines of steps, pause, tolerance, runs below runs, priorities,
-- and counters that are moved once for many tasks instead of by a trigger for each.

PRAGMA user_version = 2;

-- A step that is tried again.
INSERT INTO allowed_transitions VALUES ('waiting', 'pending');

-- Higher first, within a lane of a run.
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
-- Which attempt of its step a task belongs to. A step's own attempts are in `attempt`.
ALTER TABLE jobs ADD COLUMN round INTEGER NOT NULL DEFAULT 1;
-- Runs alone, because it was under way in several processes that died.
ALTER TABLE jobs ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0 CHECK (suspect IN (0, 1));

ALTER TABLE runs ADD COLUMN started_by TEXT NOT NULL DEFAULT 'manual' CHECK (started_by IN
    ('manual', 'schedule', 'start', 'rerun', 'pre_job', 'post_job', 'template'));
-- The step of another run that has started this one and waits for it.
ALTER TABLE runs ADD COLUMN caused_by INTEGER REFERENCES jobs (id);
-- The run whose work this one does again. It may have been pruned.
ALTER TABLE runs ADD COLUMN rerun_of INTEGER;
-- The values that were given for this run, of those it runs with.
ALTER TABLE runs ADD COLUMN given TEXT NOT NULL DEFAULT '[]';
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN max_running INTEGER CHECK (max_running >= 1);
-- At most one run with the same key is under way; later ones are held until it has ended.
ALTER TABLE runs ADD COLUMN singleton_key TEXT;
ALTER TABLE runs ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1));
-- Since when the run is paused.
ALTER TABLE runs ADD COLUMN paused_ms INTEGER;
ALTER TABLE runs ADD COLUMN timeout_ms INTEGER CHECK (timeout_ms > 0);
ALTER TABLE runs ADD COLUMN deadline_ms INTEGER;
ALTER TABLE runs ADD COLUMN tolerance TEXT;
ALTER TABLE runs ADD COLUMN tolerance_exceeded INTEGER NOT NULL DEFAULT 0 CHECK (tolerance_exceeded IN (0, 1));
-- Why the run was stopped before its steps had ended.
ALTER TABLE runs ADD COLUMN stop_code TEXT;
ALTER TABLE runs ADD COLUMN stop_message TEXT;

ALTER TABLE steps ADD COLUMN condition TEXT;
ALTER TABLE steps ADD COLUMN max_attempts INTEGER NOT NULL DEFAULT 1 CHECK (max_attempts >= 1);
ALTER TABLE steps ADD COLUMN retry_delay_ms INTEGER NOT NULL DEFAULT 2000 CHECK (retry_delay_ms >= 0);
ALTER TABLE steps ADD COLUMN max_retry_delay_ms INTEGER NOT NULL DEFAULT 300000 CHECK (max_retry_delay_ms >= 0);
ALTER TABLE steps ADD COLUMN timeout_ms INTEGER CHECK (timeout_ms > 0);
ALTER TABLE steps ADD COLUMN deadline_ms INTEGER;
-- When the step may be tried again.
ALTER TABLE steps ADD COLUMN run_after_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN stop_code TEXT;
ALTER TABLE steps ADD COLUMN stop_message TEXT;
ALTER TABLE steps ADD COLUMN task_timeout_ms INTEGER NOT NULL DEFAULT 600000 CHECK (task_timeout_ms > 0);
ALTER TABLE steps ADD COLUMN task_attempts INTEGER NOT NULL DEFAULT 4 CHECK (task_attempts >= 1);
ALTER TABLE steps ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
-- What earlier attempts of the step have left in its counters.
ALTER TABLE steps ADD COLUMN before_completed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN before_failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN before_cancelled INTEGER NOT NULL DEFAULT 0;
-- Two steps with the same key do the same work.
ALTER TABLE steps ADD COLUMN memo_key TEXT NOT NULL DEFAULT '';
-- The step of an earlier run whose results stand for this one's.
ALTER TABLE steps ADD COLUMN reused_from INTEGER;
-- Runs below the step at the same time, if it starts any.
ALTER TABLE steps ADD COLUMN parallel INTEGER NOT NULL DEFAULT 1 CHECK (parallel >= 1);
CREATE INDEX runs_by_cause ON runs (caused_by) WHERE caused_by IS NOT NULL;
CREATE INDEX runs_by_definition ON runs (definition_id);
CREATE INDEX runs_by_singleton ON runs (singleton_key) WHERE singleton_key IS NOT NULL;

-- The runs that a step starts, as they were when its own run was accepted.
CREATE TABLE step_instances (
    step_id INTEGER NOT NULL REFERENCES jobs (id),
    ordinal INTEGER NOT NULL,
    run     TEXT    NOT NULL,
    run_id  INTEGER,
    PRIMARY KEY (step_id, ordinal)
) STRICT, WITHOUT ROWID;

-- One row: what holds for the engine as a whole.
CREATE TABLE engine (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    paused_ms INTEGER
) STRICT;
INSERT INTO engine (id) VALUES (1);

-- A claim takes from `jobs_ready`; a task whose time has come is moved there first.
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (run_id, lane, priority DESC, depth, id)
    WHERE status = 'pending' AND kind = 'task' AND run_after_ms = 0;
DROP INDEX jobs_delayed;
CREATE INDEX jobs_delayed ON jobs (run_id, lane, run_after_ms)
    WHERE status = 'pending' AND kind = 'task' AND run_after_ms > 0;
-- Tasks are not in it: each would enter and leave it.
DROP INDEX jobs_live;
CREATE INDEX jobs_live ON jobs (kind, status, id)
    WHERE kind <> 'task' AND status IN ('pending', 'waiting');
DROP INDEX jobs_suspect;
CREATE INDEX jobs_suspect ON jobs (run_id) WHERE suspect = 1;
UPDATE jobs SET suspect = 1 WHERE kind = 'task' AND recovery_count >= 2 AND status IN ('pending', 'running');
DROP INDEX jobs_by_key;
CREATE UNIQUE INDEX jobs_by_key ON jobs (step_id, round, task_key) WHERE task_key IS NOT NULL;
DROP INDEX events_by_job;
-- Forgetting a run has to find what refers to each of its jobs.
CREATE INDEX jobs_by_step ON jobs (step_id);
CREATE INDEX warnings_by_job ON warnings (job_id);

-- Numbers of children and counters move in the same transaction as what they count, but once for
-- all of a command's tasks; `Store::inconsistencies` compares them. A finished job still gets no
-- children: the CHECK on its `n_open` refuses.
DROP TRIGGER job_counted;
DROP TRIGGER job_parent_is_open;
DROP TRIGGER job_changed;
CREATE TRIGGER job_changed AFTER UPDATE OF status ON jobs
WHEN OLD.status <> NEW.status
BEGIN
    INSERT INTO events (run_id, job_id, from_status, to_status, attempt, at_ms)
        VALUES (NEW.run_id, NEW.id, OLD.status, NEW.status, NEW.attempt, NEW.changed_ms);
END;
CREATE TRIGGER only_steps_are_tried_as_a_whole BEFORE UPDATE OF status ON jobs
WHEN OLD.status = 'waiting' AND NEW.status = 'pending' AND NEW.kind <> 'step'
BEGIN
    SELECT RAISE (ABORT, 'illegal job transition');
END;
