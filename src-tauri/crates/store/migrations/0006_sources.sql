-- Where documents come from: what was asked of whom, how to ask again, and what is no longer there.

PRAGMA user_version = 6;

-- What a step has asked of other computers: one row for each host and kind of answer, however many
-- requests there were.
CREATE TABLE requests (
    step_id    INTEGER NOT NULL REFERENCES jobs (id),
    host       TEXT    NOT NULL,
    -- A status, or a word if there was none.
    answer     TEXT    NOT NULL,
    count      INTEGER NOT NULL CHECK (count > 0),
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    took_ms    INTEGER NOT NULL CHECK (took_ms >= 0),
    slowest_ms INTEGER NOT NULL,
    slowest    TEXT    NOT NULL,
    PRIMARY KEY (step_id, host, answer)
) STRICT, WITHOUT ROWID;

-- How to ask for a page again, and what its text was like.
CREATE TABLE pages (
    address       TEXT    PRIMARY KEY,
    document_id   INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    etag          TEXT,
    last_modified TEXT,
    content_type  TEXT,
    robots_tag    TEXT,
    -- Of the body that came with them: the bytes that are kept may be of another answer.
    body_hash     TEXT    NOT NULL,
    fingerprint   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pages_by_document ON pages (document_id);

-- Since when a document's source is known to be gone.
ALTER TABLE documents ADD COLUMN gone_ms INTEGER;

-- Whether what a step has brought stands when its time is over.
ALTER TABLE steps ADD COLUMN keep_on_timeout INTEGER NOT NULL DEFAULT 0 CHECK (keep_on_timeout IN (0, 1));
-- Whether the step still has to look after documents that earlier runs of it brought.
ALTER TABLE steps ADD COLUMN sweep_due INTEGER NOT NULL DEFAULT 0 CHECK (sweep_due IN (0, 1));
