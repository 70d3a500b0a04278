-- What a person is asked before a run acts. `arguments` is what was shown, `edited` what the person wants instead.
CREATE TABLE permissions (
    permission_id uuid PRIMARY KEY,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    owner text NOT NULL CHECK (owner <> ''),
    conversation_id text NOT NULL,
    tool_call_id uuid NOT NULL,
    tool_name text NOT NULL,
    operation_type text NOT NULL,
    arguments bytea NOT NULL,
    digest text NOT NULL CHECK (digest = encode(sha256(arguments), 'hex')),
    query text NOT NULL,
    reasoning text NOT NULL,
    safety_level text NOT NULL,
    reversible boolean NOT NULL,
    allowed_scopes text[] NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled', 'revoked')),
    scope text NOT NULL DEFAULT 'once',
    decided_by text NOT NULL DEFAULT '',
    decide_time timestamptz,
    reason text NOT NULL DEFAULT '',
    edited bytea,
    edited_digest text NOT NULL DEFAULT ''
        CHECK (edited_digest = coalesce(encode(sha256(edited), 'hex'), '')),
    request_id text NOT NULL DEFAULT ''
);
CREATE INDEX permissions_of_run ON permissions (run_id);
CREATE INDEX permissions_of_owner ON permissions (owner, create_time DESC, permission_id DESC);
CREATE INDEX permissions_pending_of_owner ON permissions (owner, create_time DESC, permission_id DESC)
    WHERE state = 'pending';
CREATE INDEX permissions_due ON permissions (expire_time) WHERE state = 'pending';
CREATE INDEX permissions_standing ON permissions (owner, conversation_id)
    WHERE state = 'approved' AND scope <> 'once';
CREATE UNIQUE INDEX permissions_one_pending_per_call ON permissions (run_id, tool_call_id)
    WHERE state = 'pending';

-- Which chats wait for a person: a newer turn may have replaced them.
CREATE INDEX runs_waiting_chats ON runs (run_id) WHERE state = 'waiting_for_permission' AND kind = 'chat';

-- Who decided what, when and why: a row for each state that a permission has had, `action` its name, `asked` the
-- first. Nobody in `actor`: the service itself. `digest` is of what would be executed.
CREATE TABLE permission_audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    permission_id uuid NOT NULL REFERENCES permissions ON DELETE CASCADE,
    owner text NOT NULL,
    audit_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    scope text NOT NULL,
    digest text NOT NULL,
    reason text NOT NULL,
    request_id text NOT NULL
);
CREATE INDEX permission_audit_by_permission ON permission_audit (permission_id);
CREATE INDEX permission_audit_by_request ON permission_audit (owner, request_id) WHERE request_id <> '';

-- A permission is decided once; only an approval that covers more than one call can be taken back.
CREATE FUNCTION check_permission_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'pending' OR (OLD.state = 'approved' AND OLD.scope <> 'once' AND NEW.state = 'revoked') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a permission may not go from % to %', OLD.state, NEW.state
        USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER permissions_are_decided_once
    BEFORE UPDATE ON permissions FOR EACH ROW EXECUTE FUNCTION check_permission_state();

CREATE FUNCTION audit_permission() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO permission_audit (permission_id, owner, actor, action, scope, digest, reason, request_id)
    VALUES (
        NEW.permission_id, NEW.owner, NEW.decided_by,
        CASE NEW.state WHEN 'pending' THEN 'asked' ELSE NEW.state END,
        NEW.scope, coalesce(nullif(NEW.edited_digest, ''), NEW.digest), NEW.reason, NEW.request_id
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER permissions_are_audited
    AFTER INSERT OR UPDATE OF state ON permissions FOR EACH ROW EXECUTE FUNCTION audit_permission();

-- Rows go with their permission, and in no other way; none is changed.
CREATE FUNCTION keep_permission_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND pg_trigger_depth() > 1 THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit of permissions is only added to' USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER permission_audit_is_only_added_to
    BEFORE UPDATE OR DELETE ON permission_audit FOR EACH ROW EXECUTE FUNCTION keep_permission_audit();

-- A run goes on when nothing is pending any more. Whatever ends it takes its questions with it: only a run that
-- waits has any.
CREATE FUNCTION settle_permissions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'queued' THEN
        UPDATE permissions SET state = 'cancelled', decide_time = now()
        WHERE run_id = NEW.run_id AND state = 'pending';
    ELSIF EXISTS (SELECT FROM permissions WHERE run_id = NEW.run_id AND state = 'pending') THEN
        RAISE EXCEPTION 'a run may not go on while a permission is pending' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER runs_settle_their_permissions
    AFTER UPDATE OF state ON runs
    FOR EACH ROW WHEN (OLD.state = 'waiting_for_permission' AND NEW.state <> OLD.state)
    EXECUTE FUNCTION settle_permissions();
