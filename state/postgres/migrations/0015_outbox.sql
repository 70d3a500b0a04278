-- What has happened, for who listens from outside: one row for each change of a run's state, written by whatever
-- makes the change, in its transaction. `event_id` gives the order; a relay deletes what it has passed on.
CREATE TABLE outbox (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid,
    owner text NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_by_age ON outbox (create_time);

CREATE FUNCTION tell_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
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
BEGIN
    IF happened IS NOT NULL AND NEW.agent_name <> '' THEN
        INSERT INTO outbox (run_id, owner, type, data) VALUES (
            NEW.run_id, NEW.owner, happened,
            jsonb_build_object(
                'kind', NEW.kind, 'agent', NEW.agent_name, 'attempt', NEW.attempt,
                'conversation_id', NEW.conversation_id, 'reason', NEW.error_reason
            )
        );
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER runs_tell_the_outbox_of_a_new_run
    AFTER INSERT ON runs FOR EACH ROW EXECUTE FUNCTION tell_outbox();
CREATE TRIGGER runs_tell_the_outbox_of_a_new_state
    AFTER UPDATE OF state ON runs FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION tell_outbox();
