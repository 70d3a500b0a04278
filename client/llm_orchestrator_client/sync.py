"""The same client for code without an event loop: calls that wait, iterators. Any thread may use it."""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

from llm_orchestrator_client.client import OrchestratorClient
from llm_orchestrator_client.conversations import Conversations
from llm_orchestrator_client.events import Event
from llm_orchestrator_client.options import Options
from llm_orchestrator_client.permissions import Permissions
from llm_orchestrator_client.streaming import RunStream
from llm_orchestrator_client.tasks import Tasks
from llm_orchestrator_client.threads import LoopThread
from llm_orchestrator_client.transcript import Transcript

Wrapped = TypeVar("Wrapped")
Item_co = TypeVar("Item_co", covariant=True)
Result = TypeVar("Result")
P = ParamSpec("P")


class _Asynchronous(Protocol[Item_co]):
    """An async iterator that can be closed."""

    def __anext__(self) -> Awaitable[Item_co]: ...
    def aclose(self) -> Awaitable[None]: ...


class SyncRunStream(Iterator[Event]):
    """A `RunStream` for a plain `for`, inside `with`. Leaving a chat early cancels its run."""

    def __init__(self, thread: LoopThread, stream: RunStream) -> None:
        self._thread = thread
        self._stream = stream

    @property
    def run_id(self) -> str:
        """As `RunStream.run_id`."""
        return self._stream.run_id

    @property
    def conversation_id(self) -> str:
        """As `RunStream.conversation_id`."""
        return self._stream.conversation_id

    @property
    def sequence(self) -> int:
        """As `RunStream.sequence`."""
        return self._stream.sequence

    @property
    def transcript(self) -> Transcript:
        """As `RunStream.transcript`."""
        return self._stream.transcript

    def text(self) -> str:
        """As `RunStream.text`."""
        return self._thread.run(self._stream.text())

    def close(self) -> None:
        """Stop reading; after the client was closed this does nothing."""
        if not self._thread.stopped:
            self._thread.run(self._stream.aclose())

    def __next__(self) -> Event:
        return _next(self._thread, self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Waiting(Generic[Wrapped]):
    """What turns an object's coroutines into calls that wait."""

    def __init__(self, thread: LoopThread, wrapped: Wrapped) -> None:
        self._thread = thread
        self._wrapped = wrapped


def _call(
    method: Callable[Concatenate[Wrapped, P], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[_Waiting[Wrapped], P], Result]:
    @wraps(method)
    def waiting(self: _Waiting[Wrapped], /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return self._thread.run(method(self._wrapped, *args, **kwargs))

    return waiting


def _stream(
    method: Callable[Concatenate[Wrapped, P], RunStream],
) -> Callable[Concatenate[_Waiting[Wrapped], P], SyncRunStream]:
    @wraps(method)
    def waiting(self: _Waiting[Wrapped], /, *args: P.args, **kwargs: P.kwargs) -> SyncRunStream:
        return SyncRunStream(self._thread, method(self._wrapped, *args, **kwargs))

    return waiting


def _list(
    method: Callable[Concatenate[Wrapped, P], _Asynchronous[Result]],
) -> Callable[Concatenate[_Waiting[Wrapped], P], Iterator[Result]]:
    @wraps(method)
    def waiting(self: _Waiting[Wrapped], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Result]:
        items = method(self._wrapped, *args, **kwargs)
        try:
            while True:
                try:
                    yield _next(self._thread, items)
                except StopIteration:
                    return
        finally:
            if not self._thread.stopped:
                self._thread.run(_awaited(items.aclose()))

    return waiting


class SyncTasks(_Waiting[Tasks]):
    """As `Tasks`."""

    start = _call(Tasks.start)
    status = _call(Tasks.status)
    watch = _stream(Tasks.watch)
    cancel = _call(Tasks.cancel)
    retry = _call(Tasks.retry)
    list = _list(Tasks.list)


class SyncPermissions(_Waiting[Permissions]):
    """As `Permissions`."""

    list = _list(Permissions.list)
    approve = _call(Permissions.approve)
    edit = _call(Permissions.edit)
    deny = _call(Permissions.deny)
    revoke = _call(Permissions.revoke)


class SyncConversations(_Waiting[Conversations]):
    """As `Conversations`."""

    checkpoints = _list(Conversations.checkpoints)
    delete = _call(Conversations.delete)


class SyncOrchestratorClient(_Waiting[OrchestratorClient]):
    """As `OrchestratorClient`, in `with`. It has a thread of its own, and none of the caller's loops.

    `close` may be called from any thread and more than once: what others wait for then ends with
    RuntimeError, and the runs of chats that were being read are cancelled.
    """

    def __init__(self, options: Options | str | None = None) -> None:
        thread = LoopThread()
        try:
            client = thread.run(_made(options))
        except BaseException:
            thread.stop(_nothing())
            raise
        super().__init__(thread, client)
        self.tasks = SyncTasks(thread, client.tasks)
        self.permissions = SyncPermissions(thread, client.permissions)
        self.conversations = SyncConversations(thread, client.conversations)

    chat = _stream(OrchestratorClient.chat)
    resume = _stream(OrchestratorClient.resume)
    usage = _call(OrchestratorClient.usage)
    providers = _call(OrchestratorClient.providers)
    server_info = _call(OrchestratorClient.server_info)
    health = _call(OrchestratorClient.health)

    def close(self) -> None:
        """End everything."""
        self._thread.stop(self._wrapped.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _made(options: Options | str | None) -> OrchestratorClient:
    return OrchestratorClient(options)  # in the loop that it is used in


async def _nothing() -> None:
    """The last thing where there is nothing to do."""


async def _awaited(work: Awaitable[Result]) -> Result:
    return await work


def _next(thread: LoopThread, items: _Asynchronous[Result]) -> Result:
    try:
        return thread.run(_awaited(items.__anext__()))
    except StopAsyncIteration:
        raise StopIteration from None
