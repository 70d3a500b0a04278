-- What was said, kept by the backend itself. Ids of conversations are a user's own.
CREATE TABLE turns (
    turn_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    user_id text NOT NULL CHECK (user_id <> ''),
    conversation_id text NOT NULL CHECK (conversation_id <> ''),
    turn_key text NOT NULL,
    role text NOT NULL CHECK (role IN ('user', 'assistant')),
    agent_name text NOT NULL,
    content text NOT NULL,
    said_at timestamptz NOT NULL DEFAULT now(),
    search tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('english', left(content, 200000))) STORED,
    UNIQUE (user_id, conversation_id, turn_key)
);
CREATE INDEX turns_by_word ON turns USING gin (search);
