-- The first answers of calls that write, so that a repetition gets the same.
CREATE TABLE tool_calls (
    user_id text NOT NULL,
    rpc text NOT NULL,
    call_id text NOT NULL,
    digest bytea NOT NULL,
    response bytea NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, rpc, call_id)
);
CREATE INDEX tool_calls_by_age ON tool_calls (kept_at);
