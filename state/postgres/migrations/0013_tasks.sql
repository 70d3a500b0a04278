-- Tasks. `not_before`: nobody takes the run before that time. `tries` counts the attempts that count: one that ends
-- in a deferral or a hand-back does not. `losses`: how often a process died that executed the run. `cancel_after_step`:
-- whoever executes it may finish its step first. `retry_of`: the task that this one does again.
ALTER TABLE runs
    ADD COLUMN priority smallint NOT NULL DEFAULT 2 CHECK (priority BETWEEN 1 AND 3),
    ADD COLUMN not_before timestamptz,
    ADD COLUMN tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    ADD COLUMN losses integer NOT NULL DEFAULT 0,
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN retry_of uuid,
    ADD COLUMN cancel_after_step boolean NOT NULL DEFAULT false;
UPDATE runs SET tries = attempt;

CREATE INDEX runs_tasks_of_owner ON runs (owner, create_time DESC, run_id DESC) WHERE kind = 'task';
DROP INDEX runs_in_line_of_owner;
CREATE INDEX runs_in_line_of_owner ON runs (owner, wants, priority, rank) WHERE state = 'queued';

-- VOLATILE, as `thread_head`: whoever has locked a run's row while its log was being written has to see the new end.
CREATE FUNCTION last_sequence(run uuid) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(max(sequence), 0) FROM run_events WHERE run_id = run
$$;

-- Whether the line refuses who would join it. One row, for all replicas.
CREATE TABLE line_marks (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    refusing boolean NOT NULL DEFAULT false
);
INSERT INTO line_marks DEFAULT VALUES;
