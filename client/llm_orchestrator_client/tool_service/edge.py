"""The outermost edge of every RPC: who calls, for how long, and with which status it ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias, TypeVar
from uuid import uuid4

import grpc

from llm_orchestrator_client.tool_service.auth import Authenticator, Credentials
from llm_orchestrator_client.tool_service.call import Metadata, bearer_token, metadata_of
from llm_orchestrator_client.tool_service.errors import (
    OverloadedError,
    ToolServiceError,
    TooSlowError,
    UnavailableError,
    UnimplementedError,
)
from llm_orchestrator_client.tool_service.status import DETAILS_KEY, status_of

logger = logging.getLogger(__name__)

T = TypeVar("T")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_ABORT_SECONDS = 1.0
"""An abort, too, waits for a reader who does not read."""
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that may go on. `deadline`: in the event loop's time."""

    caller: str
    metadata: Metadata
    deadline: float


class Edge:
    """Admits calls and ends each with a response or a status that says no more than it should.

    Without it grpc.aio sends the text of an exception, and nothing at all when a handler's own code leaks a
    CancelledError.
    """

    def __init__(
        self,
        authenticator: Authenticator | None,
        *,
        max_concurrency: int,
        max_call_seconds: float,
        switched_on: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._switched_on = switched_on
        self._max_concurrency = max_concurrency
        self._max_call_seconds = max_call_seconds
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    def drain(self) -> None:
        """Refuse every further call."""
        self._draining = True

    async def idle(self) -> None:
        """Return when no call is at work."""
        await self._idle.wait()

    async def run(self, rpc: str, context: Context, work: Callable[[Admitted], Awaitable[T]]) -> T:
        """Do the work of a call, or end the call with a status."""
        try:
            with self._place():
                admitted = await self._admitted(context)
                return await _in_time(admitted, work)
        except (grpc.aio.AbortError, grpc.aio.InternalError):
            raise  # gRPC's own: it could not send, because the caller is gone
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the caller is gone, or the server stops
            logger.warning("a handler leaked a cancellation", extra={"rpc": rpc})
            failed = ToolServiceError("internal error")
        except ToolServiceError as error:
            logger.info("tool call refused", extra={"rpc": rpc, "reason": error.reason})
            failed = error
        except Exception:
            error_id = uuid4().hex
            logger.exception("tool call failed", extra={"rpc": rpc, "error_id": error_id})
            failed = ToolServiceError(f"internal error {error_id}", metadata={"error_id": error_id})
        return await _abort(context, failed)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._draining:
            raise UnavailableError("the server is stopping", reason="DRAINING", retry_seconds=1.0)
        if self._at_work >= self._max_concurrency:
            raise OverloadedError("too many calls at the same time", retry_seconds=1.0)
        self._at_work += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._idle.set()

    async def _admitted(self, context: Context) -> Admitted:
        metadata = metadata_of(tuple(context.invocation_metadata() or ()))
        caller = ""
        if self._authenticator is not None:
            certificate = {name: tuple(values) for name, values in context.auth_context().items()}
            caller = await self._authenticator.authenticate(Credentials(bearer_token(metadata), certificate))
        if self._switched_on is not None and not await self._switched_on():
            raise UnimplementedError("the backend's tools are switched off")
        remaining = context.time_remaining()
        most = self._max_call_seconds
        seconds = most if remaining is None else min(remaining, most)
        return Admitted(caller, metadata, asyncio.get_running_loop().time() + seconds)


async def _in_time(admitted: Admitted, work: Callable[[Admitted], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout_at(admitted.deadline) as scope:
            return await work(admitted)
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise TooSlowError("the time for this call is over") from error


async def _abort(context: Context, error: ToolServiceError) -> NoReturn:
    status = status_of(error)
    trailers = ((DETAILS_KEY, status.SerializeToString()),)
    async with asyncio.timeout(_ABORT_SECONDS):
        await context.abort(_CODES[status.code], status.message, trailers)
