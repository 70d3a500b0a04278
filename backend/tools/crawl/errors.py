"""Why something on the web was not fetched. The texts are for the model, and hold no address."""

from llm_orchestrator_client.tool_service import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ToolServiceError,
)


class FetchError(Exception):
    """Nothing was fetched; the message says why."""

    def as_answer(self) -> ToolServiceError:
        """What a tool answers with.

        Never one of the statuses that say that the backend has a problem: a site that is down must not open
        the breaker for all others.
        """
        return FailedPreconditionError(f"It could not be fetched: {self}.", reason="FETCH_FAILED")


class AddressRefusedError(FetchError):
    """The address is no public one, or is not written as one."""

    def as_answer(self) -> ToolServiceError:
        return InvalidArgumentError(f"This address is not fetched: it {self}.", reason="ADDRESS_REFUSED")


class MissingPageError(FetchError):
    """The server says that there is no such page."""

    def as_answer(self) -> ToolServiceError:
        return NotFoundError("There is no such page.", reason="PAGE_NOT_FOUND")


class TooLargeError(FetchError):
    """More bytes than are taken, after decompression."""


class WrongContentError(FetchError):
    """It is of another kind than was asked for."""


class UnreachableError(FetchError):
    """The server cannot be reached, breaks off, answers with an error, or not in time."""
