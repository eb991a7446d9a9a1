-- Every text that a definition has had: saved, run, found on disk or put back.

PRAGMA user_version = 4;

CREATE TABLE definition_versions (
    definition_id TEXT    NOT NULL CHECK (definition_id <> ''),
    version       INTEGER NOT NULL CHECK (version >= 1),
    hash          TEXT    NOT NULL REFERENCES definition_texts (hash),
    why           TEXT    NOT NULL CHECK (why IN ('saved', 'executed', 'found_on_disk', 'restored')),
    run_id        INTEGER REFERENCES runs (id) ON DELETE SET NULL,
    at_ms         INTEGER NOT NULL,
    PRIMARY KEY (definition_id, version)
) STRICT, WITHOUT ROWID;

-- For removing a text that nothing points to any more, and for removing a run.
CREATE INDEX definition_versions_by_hash ON definition_versions (hash);
CREATE INDEX definition_versions_by_run ON definition_versions (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX runs_by_definition_hash ON runs (definition_hash);
