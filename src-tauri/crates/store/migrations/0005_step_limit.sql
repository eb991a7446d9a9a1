-- How many tasks one attempt of a step may have.

PRAGMA user_version = 5;

ALTER TABLE steps ADD COLUMN max_tasks INTEGER NOT NULL DEFAULT 1000000 CHECK (max_tasks > 0);
