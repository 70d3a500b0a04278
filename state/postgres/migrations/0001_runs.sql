-- A run is one execution of an agent: a chat turn or a task. This table is also the queue.
CREATE TABLE runs (
    run_id uuid PRIMARY KEY,
    owner text NOT NULL CHECK (owner <> ''),
    kind text NOT NULL CHECK (kind IN ('chat', 'task')),
    conversation_id text NOT NULL CHECK (conversation_id <> ''),
    agent_name text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    request bytea NOT NULL,
    last_sequence bigint NOT NULL DEFAULT 0,
    finish_reason text,
    error_reason text,
    result text,
    usage jsonb,
    create_time timestamptz NOT NULL DEFAULT now(),
    start_time timestamptz,
    update_time timestamptz NOT NULL DEFAULT now(),
    end_time timestamptz
);
CREATE INDEX runs_by_conversation ON runs (owner, conversation_id, create_time DESC);

-- What a run's readers see, in order. `payload` is an encoded ChatChunk.
CREATE TABLE run_events (
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    sequence bigint NOT NULL CHECK (sequence > 0),
    owner text NOT NULL,
    payload bytea NOT NULL,
    terminal boolean NOT NULL DEFAULT false,
    PRIMARY KEY (run_id, sequence)
);
CREATE UNIQUE INDEX run_events_one_terminal ON run_events (run_id) WHERE terminal;

-- The one table of allowed state changes. States that lead nowhere are terminal.
CREATE TABLE run_transitions (
    from_state text NOT NULL,
    to_state text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
INSERT INTO run_transitions (from_state, to_state) VALUES
    ('queued', 'running'),
    ('queued', 'cancelled'),
    ('queued', 'expired'),
    ('queued', 'failed'),
    ('running', 'succeeded'),
    ('running', 'failed'),
    ('running', 'expired'),
    ('running', 'waiting_for_permission'),
    ('running', 'cancelling'),
    ('running', 'queued'),
    ('waiting_for_permission', 'queued'),
    ('waiting_for_permission', 'cancelled'),
    ('cancelling', 'cancelled');

CREATE FUNCTION check_run_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM run_transitions WHERE from_state = OLD.state AND to_state = NEW.state
    ) THEN
        RAISE EXCEPTION 'a run may not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER runs_change_state_by_the_table
    BEFORE UPDATE OF state ON runs
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION check_run_transition();
