"""RSS feeds. Titles and articles are what strangers have written."""

from tools.table.row import COUNT, HITS, KIBIBYTE, Row

_FEED = {
    "feed_id": "As list_rss_feeds gives it.",
    "feed_name": "Instead of feed_id, when it fits exactly one feed.",
}

ROWS = (
    Row(
        "SearchRSSFeeds",
        "Search the user's feeds and their articles.",
        "rss_read",
        needs=("query",),
        says={"limit": COUNT},
        most=HITS,
        read_only=True,
        untrusted=True,
    ),
    Row(
        "GetRSSArticles",
        "Get the newest articles of one feed.",
        "rss_read",
        needs=("feed_id",),
        says={"feed_id": _FEED["feed_id"], "limit": COUNT},
        most=HITS,
        read_only=True,
        untrusted=True,
        max_result_bytes=64 * KIBIBYTE,
    ),
    Row(
        "AddRSSFeed",
        "Subscribe the user to a feed.",
        "rss_write",
        needs=("feed_url",),
        says={
            "feed_url": "Where the feed is: http or https.",
            "feed_name": "Leave it out for the feed's own title.",
            "category": "May be left out.",
            "is_global": "For every user; only administrators may.",
        },
        open_world=True,  # the backend fetches an address that the model chose
        untrusted=True,
        timeout_seconds=30.0,
        urls=frozenset({"feed_url"}),
    ),
    Row(
        "ListRSSFeeds",
        "List the feeds the user can see.",
        "rss_read",
        says={"scope": "Leave it out for both."},
        choices={"scope": ("user", "global")},
        read_only=True,
        untrusted=True,
    ),
    Row(
        "RefreshRSSFeed",
        "Fetch a feed now. The work may go on after the answer.",
        "rss_write",
        says=_FEED,
        idempotent=True,
        untrusted=True,
        timeout_seconds=30.0,
    ),
    Row(
        "DeleteRSSFeed",
        "Remove a feed and all its articles. This cannot be undone.",
        "rss_write",
        says=_FEED,
        destructive=True,
        idempotent=True,
        untrusted=True,
    ),
)
