-- Which run a caller's request began, so that the same request begins no other. `digest` is of its body.
CREATE TABLE request_keys (
    owner text NOT NULL,
    method text NOT NULL,
    request_id text NOT NULL,
    digest bytea NOT NULL,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, method, request_id)
);
CREATE INDEX request_keys_by_run ON request_keys (run_id);
CREATE INDEX request_keys_by_age ON request_keys (create_time);
