-- The few runs in line that processes have died of: each look of each process asks for them.
CREATE INDEX runs_quarantined ON runs (wants, rank) WHERE state = 'queued' AND losses >= 2;
