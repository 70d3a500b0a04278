-- A replica is one running process. It beats; the runs it executes are its own for as long as it beats.
CREATE TABLE replicas (
    replica_id uuid PRIMARY KEY,
    version text NOT NULL,
    start_time timestamptz NOT NULL DEFAULT now(),
    beat_time timestamptz NOT NULL DEFAULT now()
);

-- `survives`: whether the run goes back to the line when its replica dies; else it fails.
ALTER TABLE runs
    ADD COLUMN replica_id uuid,
    ADD COLUMN survives boolean NOT NULL DEFAULT false;

CREATE INDEX runs_executed ON runs (replica_id) WHERE state IN ('running', 'cancelling');
CREATE INDEX runs_in_line ON runs (create_time, run_id) WHERE state = 'queued';
