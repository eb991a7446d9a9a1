-- The schema, with the state machine in it: what the code gets wrong, the database refuses.

PRAGMA application_id = 0x51756165;
PRAGMA user_version = 1;

-- One row for each process that ran the engine on this folder. A lease names its epoch, so that
-- every lease of a dead process is void at once.
CREATE TABLE epochs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    pid        INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    stopped_ms INTEGER
) STRICT;

-- A run never changes under an edit: it points to the text it was started with.
CREATE TABLE definition_texts (
    hash TEXT PRIMARY KEY,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE allowed_transitions (
    from_status TEXT NOT NULL,
    to_status   TEXT NOT NULL,
    PRIMARY KEY (from_status, to_status)
) STRICT, WITHOUT ROWID;

INSERT INTO allowed_transitions VALUES
    ('pending', 'running'), ('pending', 'waiting'), ('pending', 'completed'), ('pending', 'failed'),
    ('pending', 'cancelled'), ('pending', 'skipped'),
    ('running', 'pending'), ('running', 'waiting'), ('running', 'completed'), ('running', 'failed'),
    ('running', 'cancelled'),
    ('waiting', 'completed'), ('waiting', 'failed'), ('waiting', 'cancelled');

CREATE TABLE jobs (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id         INTEGER NOT NULL,
    parent_id      INTEGER REFERENCES jobs (id),
    step_id        INTEGER REFERENCES jobs (id),
    kind           TEXT    NOT NULL CHECK (kind IN ('parent', 'step', 'task')),
    type           TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    status         TEXT    NOT NULL DEFAULT 'pending' CHECK (status IN
        ('pending', 'running', 'waiting', 'completed', 'failed', 'cancelled', 'skipped')),
    depth          INTEGER NOT NULL DEFAULT 0 CHECK (depth BETWEEN 0 AND 10000),
    task_key       TEXT,
    payload        TEXT    NOT NULL DEFAULT '{}',
    lane           TEXT    NOT NULL DEFAULT 'local',
    lane_limit     INTEGER NOT NULL DEFAULT 4294967295 CHECK (lane_limit >= 1),
    lane_delay_ms  INTEGER NOT NULL DEFAULT 0 CHECK (lane_delay_ms >= 0),
    attempt        INTEGER NOT NULL DEFAULT 0,
    max_attempts   INTEGER NOT NULL DEFAULT 3 CHECK (max_attempts >= 1),
    recovery_count INTEGER NOT NULL DEFAULT 0,
    run_after_ms   INTEGER NOT NULL DEFAULT 0,
    lease_epoch    INTEGER REFERENCES epochs (id),
    n_children     INTEGER NOT NULL DEFAULT 0,
    n_open         INTEGER NOT NULL DEFAULT 0,
    error_code     TEXT,
    error_message  TEXT,
    created_ms     INTEGER NOT NULL,
    started_ms     INTEGER,
    finished_ms    INTEGER,
    changed_ms     INTEGER NOT NULL,
    CHECK ((kind = 'parent') = (parent_id IS NULL)),
    CHECK ((kind = 'parent') = (step_id IS NULL)),
    CHECK ((kind = 'parent') = (run_id = id)),
    CHECK ((kind = 'step') = (step_id IS NOT NULL AND step_id = id)),
    CHECK ((status IN ('completed', 'failed', 'cancelled', 'skipped')) = (finished_ms IS NOT NULL)),
    CHECK ((status = 'running') = (lease_epoch IS NOT NULL)),
    CHECK (kind = 'task' OR status <> 'running'),
    CHECK (attempt BETWEEN 0 AND max_attempts + recovery_count),
    CHECK (n_open BETWEEN 0 AND n_children),
    CHECK (n_open = 0 OR status IN ('running', 'waiting', 'pending'))
) STRICT;

CREATE INDEX jobs_by_run ON jobs (run_id);
CREATE INDEX jobs_by_parent ON jobs (parent_id);
CREATE INDEX jobs_ready ON jobs (run_id, lane, depth, id) WHERE status = 'pending' AND kind = 'task';
CREATE INDEX jobs_delayed ON jobs (run_id, lane, run_after_ms)
    WHERE status = 'pending' AND kind = 'task' AND run_after_ms > 0;
CREATE INDEX jobs_live ON jobs (run_id, status) WHERE status IN ('running', 'waiting');
-- Empty unless a process has died twice: asked before every claim after such a death.
CREATE INDEX jobs_suspect ON jobs (run_id) WHERE recovery_count >= 2;
CREATE UNIQUE INDEX jobs_by_key ON jobs (step_id, task_key) WHERE task_key IS NOT NULL;

CREATE TABLE runs (
    id               INTEGER PRIMARY KEY REFERENCES jobs (id),
    request_id       TEXT    NOT NULL UNIQUE,
    definition_id    TEXT    NOT NULL,
    definition_hash  TEXT    NOT NULL REFERENCES definition_texts (hash),
    subject          TEXT    NOT NULL DEFAULT '',
    variables        TEXT    NOT NULL DEFAULT '[]',
    tags             TEXT    NOT NULL DEFAULT '[]',
    auth_id          TEXT,
    epoch            INTEGER NOT NULL REFERENCES epochs (id),
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1))
) STRICT;

CREATE TABLE steps (
    id          INTEGER PRIMARY KEY REFERENCES jobs (id),
    run_id      INTEGER NOT NULL REFERENCES runs (id),
    ordinal     INTEGER NOT NULL,
    description TEXT    NOT NULL DEFAULT '',
    config      TEXT    NOT NULL,
    output_tags TEXT    NOT NULL DEFAULT '[]',
    depends     TEXT    NOT NULL,
    on_error    TEXT    NOT NULL CHECK (on_error IN ('continue', 'fail', 'fatal', 'retry')),
    always_run  INTEGER NOT NULL CHECK (always_run IN (0, 1)),
    UNIQUE (run_id, ordinal)
) STRICT;

-- One row for each run and each step: the state of the tasks below it, read in O(1).
CREATE TABLE counters (
    job_id    INTEGER PRIMARY KEY REFERENCES jobs (id),
    total     INTEGER NOT NULL DEFAULT 0,
    pending   INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
    running   INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
    waiting   INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
    completed INTEGER NOT NULL DEFAULT 0,
    failed    INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    skipped   INTEGER NOT NULL DEFAULT 0,
    created   INTEGER NOT NULL DEFAULT 0,
    updated   INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    warnings  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE warnings (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id  INTEGER NOT NULL REFERENCES runs (id),
    job_id  INTEGER NOT NULL REFERENCES jobs (id),
    message TEXT    NOT NULL,
    at_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX warnings_by_run ON warnings (run_id);

-- What happened to every job, in order. Written by the trigger below, so that no state can change
-- without its event.
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id      INTEGER NOT NULL,
    job_id      INTEGER NOT NULL,
    from_status TEXT    NOT NULL,
    to_status   TEXT    NOT NULL,
    attempt     INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_job ON events (job_id);

CREATE TRIGGER job_starts_pending BEFORE INSERT ON jobs
WHEN NEW.status <> 'pending' OR NEW.n_children <> 0 OR NEW.n_open <> 0
BEGIN
    SELECT RAISE (ABORT, 'a job starts pending and without children');
END;

CREATE TRIGGER job_parent_is_open BEFORE INSERT ON jobs
WHEN NEW.parent_id IS NOT NULL AND EXISTS (
    SELECT 1 FROM jobs WHERE id = NEW.parent_id
    AND status IN ('completed', 'failed', 'cancelled', 'skipped'))
BEGIN
    SELECT RAISE (ABORT, 'a finished job gets no children');
END;

CREATE TRIGGER job_run_not_cancelled BEFORE INSERT ON jobs
WHEN NEW.kind = 'task' AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run_id AND cancel_requested = 1)
BEGIN
    SELECT RAISE (ABORT, 'a cancelled run gets no new jobs');
END;

CREATE TRIGGER job_counted AFTER INSERT ON jobs
WHEN NEW.parent_id IS NOT NULL
BEGIN
    UPDATE jobs SET n_children = n_children + 1, n_open = n_open + 1 WHERE id = NEW.parent_id;
    UPDATE counters SET total = total + 1, pending = pending + 1
        WHERE NEW.kind = 'task' AND job_id IN (NEW.run_id, NEW.step_id);
END;

CREATE TRIGGER job_transition BEFORE UPDATE OF status ON jobs
WHEN OLD.status <> NEW.status AND NOT EXISTS (
    SELECT 1 FROM allowed_transitions WHERE from_status = OLD.status AND to_status = NEW.status)
BEGIN
    SELECT RAISE (ABORT, 'illegal job transition');
END;

CREATE TRIGGER job_ends_after_its_children BEFORE UPDATE OF status ON jobs
WHEN NEW.status IN ('completed', 'failed', 'cancelled', 'skipped') AND OLD.n_open > 0
BEGIN
    SELECT RAISE (ABORT, 'a job with open children cannot end');
END;

CREATE TRIGGER job_changed AFTER UPDATE OF status ON jobs
WHEN OLD.status <> NEW.status
BEGIN
    INSERT INTO events (run_id, job_id, from_status, to_status, attempt, at_ms)
        VALUES (NEW.run_id, NEW.id, OLD.status, NEW.status, NEW.attempt, NEW.changed_ms);
    UPDATE counters SET
        pending   = pending   - (OLD.status = 'pending')   + (NEW.status = 'pending'),
        running   = running   - (OLD.status = 'running')   + (NEW.status = 'running'),
        waiting   = waiting   - (OLD.status = 'waiting')   + (NEW.status = 'waiting'),
        completed = completed + (NEW.status = 'completed'),
        failed    = failed    + (NEW.status = 'failed'),
        cancelled = cancelled + (NEW.status = 'cancelled'),
        skipped   = skipped   + (NEW.status = 'skipped')
        WHERE NEW.kind = 'task' AND job_id IN (NEW.run_id, NEW.step_id);
    UPDATE jobs SET n_open = n_open - 1
        WHERE id = NEW.parent_id AND NEW.status IN ('completed', 'failed', 'cancelled', 'skipped');
END;

CREATE TRIGGER job_identity_is_fixed BEFORE UPDATE OF id, run_id, parent_id, step_id, kind, task_key ON jobs
BEGIN
    SELECT RAISE (ABORT, 'a job keeps its identity');
END;

CREATE TRIGGER live_job_stays BEFORE DELETE ON jobs
WHEN OLD.status NOT IN ('completed', 'failed', 'cancelled', 'skipped')
BEGIN
    SELECT RAISE (ABORT, 'a live job cannot be deleted');
END;

CREATE TABLE documents (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    source_type    TEXT    NOT NULL,
    source_id      TEXT    NOT NULL,
    url            TEXT,
    site           TEXT,
    title          TEXT    NOT NULL CHECK (title <> ''),
    markdown       TEXT    NOT NULL,
    metadata       TEXT    NOT NULL DEFAULT '{}',
    content_hash   TEXT    NOT NULL,
    source_hash    TEXT    NOT NULL,
    run_id         INTEGER NOT NULL,
    created_ms     INTEGER NOT NULL,
    fetched_ms     INTEGER NOT NULL,
    last_synced_ms INTEGER NOT NULL,
    UNIQUE (source_type, source_id)
) STRICT;
CREATE INDEX documents_by_synced ON documents (last_synced_ms);

CREATE TABLE document_tags (
    document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    tag         TEXT    NOT NULL CHECK (tag = lower(tag) AND tag <> ''),
    PRIMARY KEY (document_id, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_tags_by_tag ON document_tags (tag, document_id);

-- The bytes a document was made from, deflated.
CREATE TABLE document_originals (
    document_id INTEGER PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    deflated    BLOB    NOT NULL
) STRICT;

-- Which documents each step wrote or saw again.
CREATE TABLE step_documents (
    step_id     INTEGER NOT NULL REFERENCES jobs (id),
    document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    run_id      INTEGER NOT NULL,
    job_id      INTEGER NOT NULL,
    outcome     TEXT    NOT NULL CHECK (outcome IN ('created', 'updated', 'unchanged')),
    PRIMARY KEY (step_id, document_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_documents_by_run ON step_documents (run_id, document_id);
CREATE INDEX step_documents_by_job ON step_documents (job_id);

CREATE VIRTUAL TABLE documents_fts USING fts5 (
    title, markdown,
    content = 'documents', content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER documents_fts_insert AFTER INSERT ON documents BEGIN
    INSERT INTO documents_fts (rowid, title, markdown) VALUES (NEW.id, NEW.title, NEW.markdown);
END;
CREATE TRIGGER documents_fts_delete AFTER DELETE ON documents BEGIN
    INSERT INTO documents_fts (documents_fts, rowid, title, markdown)
        VALUES ('delete', OLD.id, OLD.title, OLD.markdown);
END;
CREATE TRIGGER documents_fts_update AFTER UPDATE OF title, markdown ON documents BEGIN
    INSERT INTO documents_fts (documents_fts, rowid, title, markdown)
        VALUES ('delete', OLD.id, OLD.title, OLD.markdown);
    INSERT INTO documents_fts (rowid, title, markdown) VALUES (NEW.id, NEW.title, NEW.markdown);
END;
