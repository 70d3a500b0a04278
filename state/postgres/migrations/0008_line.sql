-- The line: queued runs, in the order of `rank`. `wants` is what a permit must serve: a model class, or models by
-- name; a run of before this migration wants whatever there is. `rank` is the time of joining, later the more
-- the same user has in line already, earlier the higher the priority: so waiting makes up for both, and the
-- index alone gives the next one. `wait_until`: the first model call begins by then, or the run fails.
ALTER TABLE runs
    ADD COLUMN wants text NOT NULL DEFAULT '',
    ADD COLUMN rank timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN wait_until timestamptz;

DROP INDEX runs_in_line;
CREATE INDEX runs_in_line ON runs (wants, rank, run_id) WHERE state = 'queued';
CREATE INDEX runs_in_line_of_owner ON runs (owner, wants, rank) WHERE state = 'queued';
CREATE INDEX runs_that_wait ON runs (wait_until) WHERE state = 'queued' AND wait_until IS NOT NULL;
