"""What the backend's store may fail with."""

from llm_orchestrator_client.tool_service import UnavailableError


class StoreUnavailableError(UnavailableError):
    """Postgres is out of reach, shut or too slow. ToolService answers UNAVAILABLE: nothing translates it."""

    default_reason = "STORE_UNAVAILABLE"


class MigrationError(Exception):
    """The schema cannot be brought up to date; the message says why."""
