-- What is told outside, beside the states of runs. Whoever writes a row for a key (a run, a provider, the line) holds
-- a lock on what the key names: so `event_id` gives the order for each key, and what is visible of a key has no gaps.
CREATE OR REPLACE FUNCTION tell_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    happened text := CASE NEW.state
        WHEN 'queued' THEN 'run.queued'
        WHEN 'running' THEN 'run.started'
        WHEN 'succeeded' THEN 'run.completed'
        WHEN 'failed' THEN 'run.failed'
        WHEN 'cancelled' THEN 'run.cancelled'
        WHEN 'expired' THEN 'run.expired'
        WHEN 'waiting_for_permission' THEN 'run.waiting'
    END;
    about jsonb := jsonb_build_object(
        'kind', NEW.kind, 'agent', NEW.agent_name, 'attempt', NEW.attempt, 'conversation_id', NEW.conversation_id
    );
BEGIN
    IF happened IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO outbox (run_id, owner, type, data) VALUES (
        NEW.run_id, NEW.owner, happened,
        about || jsonb_strip_nulls(
            jsonb_build_object('reason', NEW.error_reason, 'finish_reason', NEW.finish_reason)
        )
    );
    -- A run ends once, whoever ends it: so this is told once.
    IF TG_OP = 'UPDATE' AND OLD.end_time IS NULL AND NEW.end_time IS NOT NULL THEN
        INSERT INTO outbox (run_id, owner, type, data) VALUES (
            NEW.run_id, NEW.owner, 'usage.recorded',
            about || jsonb_build_object(
                'currency', coalesce(NEW.usage ->> 'currency', ''),
                'tool_calls', coalesce((NEW.usage ->> 'tool_calls')::bigint, 0),
                'by_model', coalesce(NEW.usage -> 'by_model', '[]')
            )
        );
    END IF;
    RETURN NULL;
END
$$;

-- Neither arguments nor what was said: only what the question was about, and how it was settled.
CREATE FUNCTION tell_of_permission() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (run_id, owner, type, data) VALUES (
        NEW.run_id, NEW.owner,
        CASE NEW.state WHEN 'pending' THEN 'permission.requested' ELSE 'permission.decided' END,
        jsonb_build_object(
            'permission_id', replace(NEW.permission_id::text, '-', ''), 'conversation_id', NEW.conversation_id,
            'tool', NEW.tool_name, 'operation_type', NEW.operation_type, 'safety_level', NEW.safety_level,
            'digest', coalesce(nullif(NEW.edited_digest, ''), NEW.digest)
        ) || CASE NEW.state
            WHEN 'pending' THEN jsonb_build_object('expire_time', NEW.expire_time)
            ELSE jsonb_build_object('decision', NEW.state, 'scope', NEW.scope, 'decided_by', NEW.decided_by)
        END
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER permissions_tell_the_outbox
    AFTER INSERT OR UPDATE OF state ON permissions FOR EACH ROW EXECUTE FUNCTION tell_of_permission();

-- Which replica finds which provider down. The first one makes it unavailable to the outside, the last one recovered.
CREATE TABLE providers_down (
    provider text NOT NULL,
    replica_id uuid NOT NULL,
    PRIMARY KEY (provider, replica_id)
);
CREATE FUNCTION tell_of_provider() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name text := CASE TG_OP WHEN 'INSERT' THEN NEW.provider ELSE OLD.provider END;
    others bigint;
BEGIN
    -- One at a time: two that report at once would each take the other for the first, or the last.
    PERFORM pg_advisory_xact_lock(hashtextextended(TG_TABLE_SCHEMA || '.providers_down', 0));
    SELECT count(*) INTO others FROM providers_down
    WHERE provider = name AND (TG_OP = 'DELETE' OR replica_id <> NEW.replica_id);
    IF others = 0 THEN
        INSERT INTO outbox (owner, type, data) VALUES (
            '', CASE TG_OP WHEN 'INSERT' THEN 'provider.unavailable' ELSE 'provider.recovered' END,
            jsonb_build_object('provider', name)
        );
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER providers_down_tell_the_outbox
    AFTER INSERT OR DELETE ON providers_down FOR EACH ROW EXECUTE FUNCTION tell_of_provider();
