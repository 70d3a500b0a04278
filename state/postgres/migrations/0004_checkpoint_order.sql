-- `follows` is the position of the checkpoint that was the newest of its namespace when this one was written, 0
-- for the first. Two runs that go on from the same state want the same place, and the index gives it to one of
-- them. NULL in copies, in rows of the official saver, and in those written without a run: they ask for no place.
ALTER TABLE checkpoints ADD COLUMN follows bigint;
CREATE UNIQUE INDEX checkpoints_one_after_another
    ON checkpoints (thread_id, checkpoint_ns, follows) WHERE follows IS NOT NULL;

-- The primary keys begin with the same column: these three only made every write dearer.
DROP INDEX checkpoints_thread_id_idx, checkpoint_blobs_thread_id_idx, checkpoint_writes_thread_id_idx;
