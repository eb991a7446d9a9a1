-- The logs of runs: their own database, because they may be lost and thrown away without harm.
PRAGMA application_id = 0x5175616c;
PRAGMA user_version = 1;

CREATE TABLE log (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id  INTEGER NOT NULL,
    job_id  INTEGER,
    at_ms   INTEGER NOT NULL,
    level   INTEGER NOT NULL,
    message TEXT    NOT NULL
) STRICT;
CREATE INDEX log_by_run ON log (run_id, seq);
