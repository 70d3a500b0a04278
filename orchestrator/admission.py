"""How much may go on at once in this process, for one user and in all; asked before a handler begins."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.user_rate import UserRate
from state.errors import DrainingError, OverloadedError, QuotaExceededError
from state.violations import QuotaViolation


class CallKind(StrEnum):
    """Streams last, calls do not: each has limits of its own."""

    STREAM = "stream"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """The most at the same time, and how fast one user may begin them; a rate of 0 is no limit."""

    max_streams: int
    max_streams_per_user: int
    max_calls: int
    max_calls_per_user: int
    user_requests_per_second: float = 0.0
    user_burst: int = 1


class Admission:
    """Counts what goes on and refuses what would be too much, at once and without a line.

    grpc's own limit of concurrent RPCs would refuse health checks too, and so kill a process for being busy.
    """

    def __init__(self, limits: AdmissionLimits) -> None:
        self._most = {
            CallKind.STREAM: (limits.max_streams, limits.max_streams_per_user),
            CallKind.CALL: (limits.max_calls, limits.max_calls_per_user),
        }
        self._rate = UserRate(limits.user_requests_per_second, limits.user_burst)
        self._in_all: Counter[CallKind] = Counter()
        self._of_user: Counter[tuple[CallKind, str]] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self._asked = 0
        self._closed = False

    @contextmanager
    def admit(self, kind: CallKind, user: str) -> Iterator[None]:
        """Let one call in for the length of the block.

        Raises:
            QuotaExceededError: This user has as many as one user may have, or asks too often.
            OverloadedError: The process has as many as it may have.
            DrainingError: It has been closed.
        """
        self._asked += 1
        if self._closed:
            raise DrainingError("this server is stopping")
        self._rate.take(user)
        self._check(kind, user)
        self._count(kind, user, 1)
        try:
            yield
        finally:
            self._count(kind, user, -1)

    def close(self) -> None:
        """Refuse all that comes from now on."""
        self._closed = True

    async def quiet(self, seconds: float) -> None:
        """Return when nobody has asked for so long."""
        asked = -1
        while asked != self._asked:
            asked = self._asked
            await asyncio.sleep(seconds)

    async def idle(self) -> None:
        """Return when nothing is going on."""
        await self._idle.wait()

    def _check(self, kind: CallKind, user: str) -> None:
        in_all, per_user = self._most[kind]
        if self._of_user[kind, user] >= per_user:
            limit = f"at most {per_user} {kind}s at the same time"
            raise QuotaExceededError(
                f"one user may have {limit}",
                QuotaViolation(f"user:{user}", limit),
                metadata={"limit": str(per_user)},
            )
        if self._in_all[kind] >= in_all:
            raise OverloadedError(
                f"this server has {in_all} {kind}s at the same time, as many as it takes",
                metadata={"limit": str(in_all)},
            )

    def _count(self, kind: CallKind, user: str, change: int) -> None:
        self._in_all[kind] += change
        self._of_user[kind, user] += change
        if not self._of_user[kind, user]:
            del self._of_user[kind, user]
        if any(self._in_all.values()):
            self._idle.clear()
        else:
            self._idle.set()
