-- Tool calls that change something, by the id that we gave them. `begun`: it was about to be made in `attempt`, by
-- the call to the journal that `beginning` names. `permission_ids`: what it rested on, one for each time.
CREATE TABLE effects (
    tool_call_id uuid PRIMARY KEY,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    owner text NOT NULL CHECK (owner <> ''),
    tool_name text NOT NULL,
    digest text NOT NULL,
    permission_ids uuid[] NOT NULL,
    state text NOT NULL DEFAULT 'begun' CHECK (state IN ('begun', 'done')),
    attempt integer NOT NULL,
    beginning uuid NOT NULL,
    outcome bytea NOT NULL DEFAULT '',
    begin_time timestamptz NOT NULL DEFAULT now(),
    end_time timestamptz
);
CREATE INDEX effects_of_run ON effects (run_id);
