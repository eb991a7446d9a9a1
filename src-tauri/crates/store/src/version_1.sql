-- What a killed process of the first version left behind; see `faults::make_old`.
INSERT INTO epochs (id, pid, started_ms) VALUES (1, 1, 1);
INSERT INTO definition_texts (hash, text) VALUES ('first', 'id = "scripted"');
INSERT INTO jobs (id, run_id, parent_id, step_id, kind, type, name, created_ms, changed_ms) VALUES
    (1, 1, NULL, NULL, 'parent', 'run', 'Old', 1, 1),
    (2, 2, NULL, NULL, 'parent', 'run', 'Version 1', 4, 4);
INSERT INTO runs (id, request_id, definition_id, definition_hash, epoch) VALUES
    (1, 'old', 'scripted', 'first', 1), (2, 'version 1', 'scripted', 'first', 1);
INSERT INTO jobs (id, run_id, parent_id, step_id, kind, type, name, created_ms, changed_ms) VALUES
    (3, 1, 1, 3, 'step', '', 'script', 1, 1),
    (4, 2, 2, 4, 'step', '', 'script', 4, 4);
INSERT INTO steps (id, run_id, ordinal, config, depends, on_error, always_run) VALUES
    (3, 1, 0, '{}', '[]', 'continue', 0), (4, 2, 0, '{}', '[]', 'continue', 0);
INSERT INTO counters (job_id) VALUES (1), (2), (3), (4);
UPDATE jobs SET status = 'waiting' WHERE kind = 'parent';
UPDATE jobs SET status = 'completed', changed_ms = 2, finished_ms = 2 WHERE id = 3;
UPDATE jobs SET status = 'completed', changed_ms = 3, finished_ms = 3 WHERE id = 1;
UPDATE jobs SET status = 'waiting' WHERE id = 4;
INSERT INTO jobs (id, run_id, parent_id, step_id, kind, type, name, task_key, payload, created_ms, changed_ms)
    VALUES (5, 2, 4, 4, 'task', '', 'script 0', '0', '{"number":0,"step":"script"}', 4, 4);
UPDATE jobs SET status = 'running', attempt = 1, lease_epoch = 1, started_ms = 5, changed_ms = 5 WHERE id = 5;
