"""The statements of the feeds' store. Time is the database's."""

VISIBLE = "(owner = $1 OR owner IS NULL)"

ADD = """
INSERT INTO feeds (owner, url, name, description, category, last_polled_at, next_poll_at)
VALUES ($1, $2, $3, $4, $5, now(), now() + make_interval(secs => $6))
ON CONFLICT DO NOTHING RETURNING feed_id
"""
PRESENT = "SELECT feed_id, name FROM feeds WHERE url = $1 AND owner IS NOT DISTINCT FROM $2"
COUNT = "SELECT count(*) FROM feeds WHERE owner IS NOT DISTINCT FROM $1"
FIND = "SELECT feed_id, owner FROM feeds WHERE feed_id = $1 OR ($1 = '' AND lower(name) = lower($2))"
DUE_ONE = "SELECT feed_id, name, url, etag, last_modified FROM feeds WHERE feed_id = $1"
DELETE = "DELETE FROM feeds WHERE feed_id = $1"

LIST = f"""
SELECT feed_id, name, url, category, owner IS NULL AS is_global, last_polled_at,
       (SELECT count(*) FROM articles WHERE articles.feed_id = feeds.feed_id) AS article_count
FROM feeds WHERE {VISIBLE} AND ($2 = '' OR ($2 = 'global') = (owner IS NULL))
ORDER BY lower(name), feed_id
"""  # noqa: S608 - of constants

SEARCH_FEEDS = f"""
SELECT feed_id, name, url, description FROM feeds
WHERE {VISIBLE} AND strpos(lower(name || ' ' || description || ' ' || category), lower($2)) > 0
ORDER BY lower(name), feed_id LIMIT $3
"""  # noqa: S608

SEARCH_ARTICLES = f"""
SELECT article_id, articles.title, articles.content, articles.url, published_at
FROM articles JOIN feeds USING (feed_id), websearch_to_tsquery('simple', $2) AS asked
WHERE {VISIBLE} AND words @@ asked
ORDER BY ts_rank(words, asked) DESC, published_at DESC, article_id LIMIT $3
"""  # noqa: S608

ARTICLES = """
SELECT article_id, title, content, url, published_at FROM articles
WHERE feed_id = $1 ORDER BY published_at DESC, article_id LIMIT $2
"""

# A guid may be there twice in one answer, which one INSERT must not meet twice.
SAVE_ARTICLES = """
INSERT INTO articles (feed_id, guid, title, url, content, published_at)
SELECT DISTINCT ON (guid) $1, guid, title, url, content,
       coalesce(least(nullif(published, '')::timestamptz, now()), now())
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
     AS one (guid, title, url, content, published)
ON CONFLICT (feed_id, guid) DO UPDATE
    SET title = excluded.title, url = excluded.url, content = excluded.content
    WHERE (articles.title, articles.url, articles.content)
          IS DISTINCT FROM (excluded.title, excluded.url, excluded.content)
RETURNING xmax = 0 AS is_new
"""
FORGET_ARTICLES = """
DELETE FROM articles WHERE feed_id = $1 AND article_id NOT IN (
    SELECT article_id FROM articles WHERE feed_id = $1 ORDER BY published_at DESC, article_id LIMIT $2
)
"""
POLLED = """
UPDATE feeds SET last_polled_at = now(), failures = 0, next_poll_at = now() + make_interval(secs => $2),
       etag = coalesce($3, etag), last_modified = coalesce($4, last_modified)
WHERE feed_id = $1
"""
FAILED = """
UPDATE feeds SET failures = failures + 1,
       next_poll_at = now() + make_interval(secs => least($2 * power(2, least(failures + 1, 20)), $3))
WHERE feed_id = $1
"""

# A claim moves the feed's turn, so of several processes one fetches it, and one that dies is followed.
CLAIM = """
UPDATE feeds SET next_poll_at = now() + make_interval(secs => $2) WHERE feed_id IN (
    SELECT feed_id FROM feeds WHERE next_poll_at <= now()
    ORDER BY next_poll_at LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING feed_id, name, url, etag, last_modified
"""
UNTIL_DUE = "SELECT extract(epoch FROM min(next_poll_at) - now())::float8 FROM feeds"
