-- A user's documents, and the passages of their text that searches find.
CREATE TABLE documents (
    document_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text NOT NULL CHECK (user_id <> ''),
    filename text NOT NULL,
    title text NOT NULL,
    content_type text NOT NULL,
    format text NOT NULL CHECK (format IN ('text', 'markdown', 'html')),
    content text NOT NULL,
    metadata jsonb NOT NULL,
    tags text[] NOT NULL,
    sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, filename)
);
CREATE INDEX documents_by_tag ON documents USING gin (tags);

CREATE TABLE passages (
    passage_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    document_id uuid NOT NULL REFERENCES documents ON DELETE CASCADE,
    user_id text NOT NULL,
    ordinal integer NOT NULL,
    heading text NOT NULL,
    body text NOT NULL,
    search tsvector NOT NULL,
    UNIQUE (document_id, ordinal)
);
CREATE INDEX passages_by_word ON passages USING gin (search);
CREATE INDEX passages_by_user ON passages (user_id);

-- People, places and the like that documents declare.
CREATE TABLE entities (
    entity_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text NOT NULL CHECK (user_id <> ''),
    entity_type text NOT NULL,
    name text NOT NULL
);
CREATE UNIQUE INDEX entities_by_name ON entities (user_id, entity_type, lower(name));

CREATE TABLE declarations (
    entity_id uuid NOT NULL REFERENCES entities ON DELETE CASCADE,
    document_id uuid NOT NULL REFERENCES documents ON DELETE CASCADE,
    role text NOT NULL,
    PRIMARY KEY (entity_id, document_id, role)
);
CREATE INDEX declarations_by_document ON declarations (document_id);
