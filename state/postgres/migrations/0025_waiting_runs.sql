-- Whether any run waits for a person is asked all the time, and mostly none does.
-- Runs with: 0023
-- Outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS runs_waiting;
CREATE INDEX CONCURRENTLY runs_waiting ON runs (run_id) WHERE state = 'waiting_for_permission';
