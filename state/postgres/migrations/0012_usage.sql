-- How long a run was RUNNING: `running_seconds` until it last was, `running_since` if it is.
ALTER TABLE runs
    ADD COLUMN running_seconds double precision NOT NULL DEFAULT 0,
    ADD COLUMN running_since timestamptz NOT NULL DEFAULT now();

CREATE FUNCTION count_running_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'running' THEN
        NEW.running_seconds := OLD.running_seconds + extract(epoch FROM now() - OLD.running_since);
    ELSE
        NEW.running_since := now();
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER runs_count_running_time
    BEFORE UPDATE OF state ON runs
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state AND 'running' IN (OLD.state, NEW.state))
    EXECUTE FUNCTION count_running_time();

-- Sums of what runs have used that have ended, by the quarter of an hour in which they were created: every time
-- zone's day begins with one. A row for each model counts its calls, one without a model the runs themselves. A sum
-- may be in several rows, because nobody waits for a row that somebody else is writing.
CREATE TABLE usage_sums (
    sum_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL CHECK (owner <> ''),
    since timestamptz NOT NULL,
    agent_name text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    currency text NOT NULL,
    runs bigint NOT NULL DEFAULT 0,
    tool_calls bigint NOT NULL DEFAULT 0,
    model_calls bigint NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    cached_input_tokens bigint NOT NULL DEFAULT 0,
    reasoning_tokens bigint NOT NULL DEFAULT 0,
    cost_micros bigint NOT NULL DEFAULT 0,
    estimated boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX usage_sums_of_owner ON usage_sums (owner, since);
CREATE INDEX usage_sums_by_time ON usage_sums (since);

-- A budget counts the runs, too, that have not ended.
CREATE INDEX runs_not_ended ON runs (owner) WHERE end_time IS NULL;

-- A run ends once, whoever ends it: so it is counted once, in the transaction that ends it.
CREATE FUNCTION account_for_run() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    part usage_sums;
    quarter timestamptz := to_timestamp(floor(extract(epoch FROM NEW.create_time) / 900) * 900);
    unit text := coalesce(NEW.usage ->> 'currency', '');
BEGIN
    FOR part IN
        SELECT NULL::bigint, NEW.owner, quarter, NEW.agent_name, '', '', unit,
            1, coalesce((NEW.usage ->> 'tool_calls')::bigint, 0), 0, 0, 0, 0, 0, 0, false
        UNION ALL
        SELECT NULL, NEW.owner, quarter, NEW.agent_name, m.provider, m.model, unit,
            0, 0, coalesce(m.model_calls, 1), coalesce(m.input_tokens, 0), coalesce(m.output_tokens, 0),
            coalesce(m.cached_input_tokens, 0), coalesce(m.reasoning_tokens, 0), coalesce(m.cost_micros, 0),
            coalesce(m.estimated, false)
        FROM jsonb_to_recordset(NEW.usage -> 'by_model') AS m (
            provider text, model text, model_calls bigint, input_tokens bigint, output_tokens bigint,
            cached_input_tokens bigint, reasoning_tokens bigint, cost_micros bigint, estimated boolean
        )
    LOOP
        UPDATE usage_sums u SET
            runs = u.runs + part.runs,
            tool_calls = u.tool_calls + part.tool_calls,
            model_calls = u.model_calls + part.model_calls,
            input_tokens = u.input_tokens + part.input_tokens,
            output_tokens = u.output_tokens + part.output_tokens,
            cached_input_tokens = u.cached_input_tokens + part.cached_input_tokens,
            reasoning_tokens = u.reasoning_tokens + part.reasoning_tokens,
            cost_micros = u.cost_micros + part.cost_micros,
            estimated = u.estimated OR part.estimated
        WHERE u.sum_id = (
            SELECT s.sum_id FROM usage_sums s
            WHERE s.owner = part.owner AND s.since = part.since AND s.agent_name = part.agent_name
                AND s.provider = part.provider AND s.model = part.model AND s.currency = part.currency
            LIMIT 1 FOR UPDATE SKIP LOCKED
        );
        IF NOT FOUND THEN
            INSERT INTO usage_sums (
                owner, since, agent_name, provider, model, currency, runs, tool_calls, model_calls,
                input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, cost_micros, estimated
            )
            SELECT part.owner, part.since, part.agent_name, part.provider, part.model, part.currency,
                part.runs, part.tool_calls, part.model_calls, part.input_tokens, part.output_tokens,
                part.cached_input_tokens, part.reasoning_tokens, part.cost_micros, part.estimated;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER runs_are_accounted_for
    AFTER UPDATE OF state ON runs
    FOR EACH ROW WHEN (OLD.end_time IS NULL AND NEW.end_time IS NOT NULL)
    EXECUTE FUNCTION account_for_run();
