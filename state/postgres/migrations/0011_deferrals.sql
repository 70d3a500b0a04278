-- How often a run that had begun went back to the line because no provider took its call. That is no attempt.
ALTER TABLE runs ADD COLUMN deferrals integer NOT NULL DEFAULT 0;
