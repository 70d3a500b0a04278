-- Put into a test's database beside the schema: who wrote what, and places at which a writer can be held.
-- Each process under test has a role of its own, so `session_user` names it.
CREATE SCHEMA audit;

CREATE TABLE audit.events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    writer text NOT NULL DEFAULT session_user,
    run_id uuid NOT NULL,
    attempt integer NOT NULL,
    old_state text,
    new_state text,
    sequence bigint,
    terminal boolean,
    thing text,
    beat_age double precision
);
-- For who waits until somebody else has a run.
CREATE INDEX ON audit.events (writer) WHERE new_state = 'running';

CREATE FUNCTION audit.note_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit.events (run_id, attempt, new_state) VALUES (NEW.run_id, NEW.attempt, NEW.state);
    ELSE
        -- How old the last beat of the process was that had the run, when this transaction began.
        INSERT INTO audit.events (run_id, attempt, old_state, new_state, beat_age)
        VALUES (NEW.run_id, NEW.attempt, OLD.state, NEW.state, (
            SELECT extract(epoch FROM now() - beat_time) FROM orchestrator.replicas
            WHERE replica_id = OLD.replica_id
        ));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_new_run AFTER INSERT ON orchestrator.runs
    FOR EACH ROW EXECUTE FUNCTION audit.note_state();
CREATE TRIGGER audit_new_state AFTER UPDATE ON orchestrator.runs
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.attempt <> NEW.attempt)
    EXECUTE FUNCTION audit.note_state();

-- The attempt is the one that owns the run when the record is written, whoever writes it.
CREATE FUNCTION audit.note_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.events (run_id, attempt, sequence, terminal)
    SELECT NEW.run_id, attempt, NEW.sequence, NEW.terminal FROM orchestrator.runs WHERE run_id = NEW.run_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_new_record AFTER INSERT ON orchestrator.run_events
    FOR EACH ROW EXECUTE FUNCTION audit.note_record();

-- What a run writes beside its log.
CREATE FUNCTION audit.note_thing(thing_written text, of_run uuid) RETURNS void LANGUAGE sql AS $$
    INSERT INTO audit.events (run_id, attempt, thing)
    SELECT of_run, attempt, thing_written FROM orchestrator.runs WHERE run_id = of_run;
$$;

CREATE FUNCTION audit.note_checkpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit.note_thing('checkpoint', (NEW.metadata ->> 'run_id')::uuid);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_checkpoint AFTER INSERT OR UPDATE ON orchestrator.checkpoints
    FOR EACH ROW EXECUTE FUNCTION audit.note_checkpoint();

CREATE FUNCTION audit.note_effect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit.note_thing('effect', NEW.run_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_effect AFTER INSERT OR UPDATE ON orchestrator.effects
    FOR EACH ROW EXECUTE FUNCTION audit.note_effect();

-- A row here arms a point. The first statement that comes to it stops there until a tester lets go of the
-- advisory lock (7, 2), and commits then, whether or not its process still lives.
CREATE TABLE audit.traps (point text PRIMARY KEY);

CREATE FUNCTION audit.trap(point_reached text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM audit.traps WHERE point = point_reached) AND pg_try_advisory_xact_lock(7, 1) THEN
        PERFORM pg_advisory_xact_lock_shared(7, 2);
    END IF;
END
$$;

CREATE FUNCTION audit.trap_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit.trap(CASE
        WHEN TG_OP = 'INSERT' AND NEW.state = 'running' THEN 'begin'
        WHEN TG_OP = 'INSERT' THEN 'join'
        WHEN NEW.state = 'running' THEN 'claim'
        WHEN NEW.state = 'queued' THEN 'put back'
        WHEN NEW.end_time IS NOT NULL THEN 'finish'
    END);
    RETURN NULL;
END
$$;
CREATE TRIGGER trap_begin AFTER INSERT ON orchestrator.runs
    FOR EACH ROW EXECUTE FUNCTION audit.trap_state();
CREATE TRIGGER trap_state AFTER UPDATE ON orchestrator.runs
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION audit.trap_state();

CREATE FUNCTION audit.trap_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit.trap(TG_ARGV[0]);
    RETURN NULL;
END
$$;
CREATE TRIGGER trap_append AFTER INSERT ON orchestrator.run_events
    FOR EACH ROW WHEN (NEW.sequence > 1 AND NOT NEW.terminal) EXECUTE FUNCTION audit.trap_table('append');
CREATE TRIGGER trap_checkpoint AFTER INSERT ON orchestrator.checkpoints
    FOR EACH ROW EXECUTE FUNCTION audit.trap_table('checkpoint');
CREATE TRIGGER trap_ask AFTER INSERT ON orchestrator.permissions
    FOR EACH ROW EXECUTE FUNCTION audit.trap_table('ask');
CREATE TRIGGER trap_decide AFTER UPDATE ON orchestrator.permissions
    FOR EACH ROW WHEN (NEW.state IN ('approved', 'denied')) EXECUTE FUNCTION audit.trap_table('decide');
CREATE TRIGGER trap_effect AFTER INSERT ON orchestrator.effects
    FOR EACH ROW EXECUTE FUNCTION audit.trap_table('effect begun');
CREATE TRIGGER trap_outcome AFTER UPDATE ON orchestrator.effects
    FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION audit.trap_table('effect done');
