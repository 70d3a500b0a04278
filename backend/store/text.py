"""What a search and a count may be, before they come to Postgres."""

from llm_orchestrator_client.tool_service import InvalidArgumentError

LONGEST_QUERY = 1000


def searchable(query: str, field: str = "query") -> str:
    """A query as Postgres takes it; it may be empty.

    Raises:
        InvalidArgumentError: It is too long.
    """
    if len(query) > LONGEST_QUERY:
        raise InvalidArgumentError(f"A {field} has at most {LONGEST_QUERY} characters.", field=field)
    return query.replace("\0", " ").strip()


def bounded(limit: int, *, default: int, most: int) -> int:
    """How many, at most; 0 = the default."""
    return min(limit or default, most)
