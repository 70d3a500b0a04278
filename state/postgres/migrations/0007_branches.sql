-- A branch names a checkpoint without saying where it is.
CREATE INDEX checkpoints_by_id ON checkpoints (checkpoint_id);
