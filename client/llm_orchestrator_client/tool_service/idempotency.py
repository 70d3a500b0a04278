"""A call that writes has its effect once for each x-tool-call-id, and gives the first answer again."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from llm_orchestrator_client.tool_service.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class CallKey:
    """Which call it is. No user can get another's answer by guessing a call id."""

    user: str
    rpc: str
    call_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered with: the bytes of its response, and the digest of what was asked."""

    digest: bytes
    response: bytes


class CallStore(Protocol):
    """Remembers answers. One for all processes that serve the same users."""

    async def claim(self, key: CallKey) -> Answer | None:
        """The answer that is kept; None = the call is now the caller's, until `keep` or `release`.

        While another has it, wait until that one is through with it.
        """
        ...

    async def keep(self, key: CallKey, answer: Answer) -> None:
        """The claimed call was answered with this."""
        ...

    async def release(self, key: CallKey) -> None:
        """The claimed call has no answer: whoever claims it next makes it anew."""
        ...


class MemoryCallStore:
    """Of this process. Keeps the newest answers, as many, as large and as long as it may."""

    def __init__(
        self,
        *,
        most: int = 10_000,
        most_bytes: int = 64 << 20,
        seconds: float = 24 * 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._clock = clock
        self._bytes = 0
        self._kept: OrderedDict[CallKey, tuple[Answer, float]] = OrderedDict()
        self._claimed: dict[CallKey, asyncio.Event] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def claim(self, key: CallKey) -> Answer | None:
        while (released := self._claimed.get(key)) is not None:
            await released.wait()
        self._forget()
        if key in self._kept:
            return self._kept[key][0]
        self._claimed[key] = asyncio.Event()
        return None

    async def keep(self, key: CallKey, answer: Answer) -> None:
        self._kept[key] = (answer, self._clock() + self._seconds)
        self._bytes += len(answer.response)
        self._forget()
        self._claimed.pop(key).set()

    async def release(self, key: CallKey) -> None:
        self._claimed.pop(key).set()

    def _forget(self) -> None:
        now = self._clock()
        while self._kept:
            oldest, (answer, until) = next(iter(self._kept.items()))
            if len(self._kept) <= self._most and self._bytes <= self._most_bytes and now < until:
                return
            del self._kept[oldest]
            self._bytes -= len(answer.response)


class Turn:
    """The one turn at a call: `earlier` is its answer if there is one, else it is to be made and kept."""

    def __init__(self, store: CallStore, key: CallKey, digest: bytes, earlier: bytes | None) -> None:
        self._store = store
        self._key = key
        self._digest = digest
        self.earlier = earlier
        self.kept = False

    async def keep(self, response: bytes) -> None:
        """Remember the answer, also when the caller goes meanwhile: the effect is there."""
        await to_the_end(self._keep(response))

    async def _keep(self, response: bytes) -> None:
        await self._store.keep(self._key, Answer(self._digest, response))
        self.kept = True


@asynccontextmanager
async def once(store: CallStore, key: CallKey, digest: bytes) -> AsyncIterator[Turn]:
    """Make a call inside the block, unless it has been made.

    Raises:
        InvalidArgumentError: Something else was asked with the same call id.
    """
    answer = await store.claim(key)
    if answer is not None:
        if answer.digest != digest:
            raise InvalidArgumentError(
                "this x-tool-call-id was used for another call", reason="TOOL_CALL_ID_REUSED"
            )
        yield Turn(store, key, digest, answer.response)
        return
    turn = Turn(store, key, digest, None)
    try:
        yield turn
    finally:
        if not turn.kept:
            await to_the_end(store.release(key))


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do something that is not given up half way; a cancellation counts when it is done."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()  # the cancellation is what is told
        raise cancelled
    task.result()
