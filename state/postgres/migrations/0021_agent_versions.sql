-- Who answers a run, in which version and variant, and why: a run keeps that, wherever it goes on. While nobody is
-- chosen yet `agent_name` is 'auto'.
ALTER TABLE runs
    ADD COLUMN agent_version text NOT NULL DEFAULT '',
    ADD COLUMN agent_variant text NOT NULL DEFAULT '',
    ADD COLUMN routing_reason text NOT NULL DEFAULT '';

-- Every agent's file that a process has had in force, so that a run finds its version after the file has changed.
CREATE TABLE agent_versions (
    version text PRIMARY KEY,
    content bytea NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);
