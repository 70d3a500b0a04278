-- Whose caller waits at which replica: it is gone with it.
CREATE INDEX runs_that_wait_at ON runs (replica_id) WHERE state = 'queued' AND replica_id IS NOT NULL;
