"""The open world."""

from tools.table.row import COUNT, KIBIBYTE, Row

ROWS = (
    Row(
        "SearchWeb",
        "Search the web. Use it for what is recent or not in the user's documents. Gives links and snippets.",
        "web_search",
        needs=("query",),
        says={"max_results": COUNT},
        most={"max_results": 50},
        read_only=True,
        open_world=True,
        timeout_seconds=20.0,
    ),
    Row(
        "CrawlWebContent",
        "Fetch one web page and get its readable text.",
        "web_crawl",
        needs=("url",),
        says={"url": "A public http or https address."},
        read_only=True,
        open_world=True,
        timeout_seconds=30.0,
        max_result_bytes=64 * KIBIBYTE,
        hidden=frozenset({"html"}),
        urls=frozenset({"url"}),
    ),
    Row(
        "SearchAndCrawl",
        "Search the web and get the readable text of the best hits, in one step.",
        "web_crawl",
        needs=("query",),
        says={"num_results": "How many pages to fetch at most; leave it out for the usual number."},
        most={"num_results": 10},
        read_only=True,
        open_world=True,
        timeout_seconds=60.0,
        max_result_bytes=64 * KIBIBYTE,
    ),
)
