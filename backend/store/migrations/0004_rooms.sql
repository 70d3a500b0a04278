-- Chat rooms. Who is no member of a room does not see that there is one.
CREATE TABLE rooms (
    room_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    room_key text NOT NULL UNIQUE,
    name text NOT NULL
);
CREATE TABLE room_members (
    room_id uuid NOT NULL REFERENCES rooms ON DELETE CASCADE,
    user_id text NOT NULL CHECK (user_id <> ''),
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX room_members_by_user ON room_members (user_id);

CREATE TABLE messages (
    message_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    room_id uuid NOT NULL REFERENCES rooms ON DELETE CASCADE,
    user_id text NOT NULL,
    body text NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of the call that sent it: a repetition finds its message, whatever died meanwhile.
    call_id text,
    UNIQUE (user_id, call_id)
);
CREATE INDEX messages_by_room ON messages (room_id, message_id);

-- Forms of reports. Without a user it is there for all.
CREATE TABLE report_templates (
    template_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text CHECK (user_id <> ''),
    name text NOT NULL,
    description text NOT NULL,
    body text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (user_id, name)
);
