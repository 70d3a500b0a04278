-- What retention has done with a run that has ended: each run is looked at once when its time has come, whatever
-- the number of those that were looked at before. `thread_pruned`: its conversation was pruned, or is left to a
-- later run; `log_pruned`: only the terminal record is left of its log.
ALTER TABLE runs
    ADD COLUMN thread_pruned boolean NOT NULL DEFAULT false,
    ADD COLUMN log_pruned boolean NOT NULL DEFAULT false;

CREATE INDEX runs_with_thread ON runs (end_time) WHERE NOT thread_pruned AND end_time IS NOT NULL;
CREATE INDEX runs_with_log ON runs (end_time) WHERE NOT log_pruned AND end_time IS NOT NULL;
CREATE INDEX runs_pruned ON runs (end_time) WHERE thread_pruned AND log_pruned;
