-- Images that were made for a user. They are small and few, and belong to one backup with all else.
CREATE TABLE images (
    image_id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    owner text NOT NULL CHECK (owner <> ''),
    prompt text NOT NULL,
    model text NOT NULL,
    format text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX images_of_a_user ON images (owner, created_at DESC);
