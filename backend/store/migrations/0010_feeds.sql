-- Feeds and their articles. A feed without an owner is for every user.
CREATE TABLE feeds (
    feed_id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    owner text CHECK (owner <> ''),
    url text NOT NULL,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    category text NOT NULL DEFAULT '',
    etag text NOT NULL DEFAULT '',
    last_modified text NOT NULL DEFAULT '',
    failures integer NOT NULL DEFAULT 0,
    last_polled_at timestamptz,
    next_poll_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX feeds_of_a_user ON feeds (owner, url) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX feeds_of_everyone ON feeds (url) WHERE owner IS NULL;
CREATE INDEX feeds_due ON feeds (next_poll_at);

CREATE TABLE articles (
    article_id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    feed_id text NOT NULL REFERENCES feeds ON DELETE CASCADE,
    guid text NOT NULL,
    title text NOT NULL,
    url text NOT NULL,
    content text NOT NULL,
    published_at timestamptz NOT NULL,
    words tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', left(title, 1000)), 'A')
        || to_tsvector('simple', left(content, 60000))
    ) STORED,
    UNIQUE (feed_id, guid)
);
CREATE INDEX articles_newest ON articles (feed_id, published_at DESC);
CREATE INDEX articles_words ON articles USING gin (words);
