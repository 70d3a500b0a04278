-- Whether a task that does another one again leaves what that one had done undone, or goes on from there.
ALTER TABLE runs ADD COLUMN from_start boolean NOT NULL DEFAULT false;
