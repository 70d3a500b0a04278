"""What the router needs of the orchestrator, and what it makes of its errors."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

import grpc

from llm_orchestrator_client.payloads import Event
from llm_orchestrator_client.protos import orchestrator_pb2 as pb


class Remote(Protocol):
    """The orchestrator; `orchestrator.ConnectedOrchestrator` is one. Every method raises
    OrchestratorError.
    """

    def stream_chat(
        self, request: pb.ChatRequest, *, seconds: float | None, stays: Callable[[], bool]
    ) -> AsyncGenerator[Event]:
        """The events of a turn, within `seconds`. Leaving it early does not cancel the run.

        A stream that breaks, or cannot be begun, is tried again only while `stays()` says so.
        """
        ...

    def resume(
        self, user_id: str, run_id: str, after_sequence: int, *, seconds: float
    ) -> AsyncGenerator[Event]:
        """The log of a run after a sequence, to its end."""
        ...

    async def cancel(self, user_id: str, *, run_id: str, request_id: str, seconds: float) -> None:
        """Cancel a run, by its id or, where that is empty, by its request's key; returns when it is
        accepted.
        """
        ...

    async def delete_conversation(self, user_id: str, conversation_id: str, *, seconds: float) -> None:
        """Delete a conversation for good."""
        ...


BREAKER_OPEN = "BREAKER_OPEN"
"""The reason of an UnavailableError that the caller's own breaker raised."""

_QUOTA = "QUOTA"
FALLBACK_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_NOT_THE_SERVICES = frozenset(
    {
        grpc.StatusCode.OK,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)
_CANNOT_WORK = frozenset({"", "SILENCE", "DATABASE_UNAVAILABLE"})
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def status_code(number: int) -> grpc.StatusCode:
    """The code of an `error` event; one that does not exist is UNKNOWN."""
    return _BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN)


def may_fall_back(code: grpc.StatusCode, reason: str) -> bool:
    """Whether the local path may answer instead. Not where a user's quota is used up: it would be none
    otherwise.
    """
    return code in FALLBACK_CODES and reason != _QUOTA


def is_failure(code: grpc.StatusCode, reason: str) -> bool:
    """Whether it counts against the budget: what the caller or the user did wrong does not."""
    return code not in _NOT_THE_SERVICES and reason != _QUOTA


def is_dead(code: grpc.StatusCode, reason: str) -> bool:
    """Whether it counts for the breaker: the orchestrator did not answer, or answered that it cannot work.

    A replica that drains says nothing about the others.
    """
    return code is grpc.StatusCode.UNAVAILABLE and reason in _CANNOT_WORK
