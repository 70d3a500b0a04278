-- Runs with: 0023
-- The second wall around what belongs to an owner: a login that is not the schema's owner sees the rows of the owner
-- that its transaction names, and none when it names none. The first wall is the condition in every query. ENABLE, not
-- FORCE: the schema's owner goes on seeing all, because older versions of the service connect as the owner. What a
-- login may do at all is granted by `state/postgres/roles.py`, when there are such logins; it also lets the worker
-- see everything. Tables without an owner have no policy here: nobody else sees anything of them.
DO $$
DECLARE
    tables text;
BEGIN
    SELECT string_agg(oid::regclass::text, ', ' ORDER BY relname) INTO tables
    FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace;
    -- All or nothing, and never for long in front of others: whoever is at work takes these locks in orders of its own.
    SET LOCAL lock_timeout = '50ms';
    FOR attempt IN 1..200 LOOP
        BEGIN
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', tables);
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = 200 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(random() * 0.05);
        END;
    END LOOP;
    SET LOCAL lock_timeout = DEFAULT;
END
$$;

DO $$
DECLARE
    of_owner text := $q$owner = nullif(current_setting('orchestrator.owner', true), '')$q$;
    t regclass;
BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY[
        'runs', 'run_events', 'checkpoints', 'checkpoint_blobs', 'checkpoint_writes', 'usage_sums',
        'request_keys', 'outbox', 'permissions', 'permission_audit', 'effects'
    ]::regclass[] LOOP
        EXECUTE format('CREATE POLICY of_the_owner ON %s USING (%s)', t, of_owner);
    END LOOP;
    -- Rows of the official saver have no owner: whoever knows the name of their thread may have that thread.
    FOREACH t IN ARRAY ARRAY['checkpoints', 'checkpoint_blobs', 'checkpoint_writes']::regclass[] LOOP
        EXECUTE format(
            $q$CREATE POLICY of_a_named_thread ON %s
                USING (owner IS NULL AND thread_id = current_setting('orchestrator.thread', true))$q$, t
        );
    END LOOP;
END
$$;
-- What a trigger looks up, whoever changes a run.
CREATE POLICY of_everybody ON run_transitions FOR SELECT USING (true);

-- Where a run stands in line, counted over the runs of all owners: only the number is told, and only to its owner.
CREATE FUNCTION place_in_line(asked uuid) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT 1 + (
        SELECT count(*) FROM (
            SELECT FROM runs q
            WHERE q.state = 'queued' AND q.wants = r.wants AND (q.rank, q.run_id) < (r.rank, r.run_id)
            ORDER BY q.rank, q.run_id LIMIT 10000
        ) AS ahead
    )
    FROM runs r WHERE r.run_id = asked AND r.owner = nullif(current_setting('orchestrator.owner', true), '')
$$;
DO $$
BEGIN
    -- It runs with the rights of the schema's owner, so no table of the caller's may stand in for one of ours.
    EXECUTE format('ALTER FUNCTION place_in_line(uuid) SET search_path = %I, pg_temp', current_schema());
END
$$;
