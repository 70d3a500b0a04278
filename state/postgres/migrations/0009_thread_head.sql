-- Where a thread stands at the moment of the call. VOLATILE, so that it looks with eyes of its own: the statement
-- that begins a run may have waited for the end of the run before it, whose checkpoint its own eyes do not see.
CREATE FUNCTION thread_head(thread text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(max(position), 0) FROM checkpoints WHERE thread_id = thread AND checkpoint_ns = ''
$$;
