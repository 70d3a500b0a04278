"""What the processes of one side cost, and on which processors they may run."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tests.fakes.embedded_postgres import processes_of


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds: of the server with what it started, of its Postgres, of who asks and who answers."""

    server: float = 0.0
    postgres: float = 0.0
    client: float = 0.0
    provider: float = 0.0

    def __sub__(self, before: Self) -> "Spent":
        return Spent(
            self.server - before.server,
            self.postgres - before.postgres,
            self.client - before.client,
            self.provider - before.provider,
        )

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.server + other.server,
            self.postgres + other.postgres,
            self.client + other.client,
            self.provider + other.provider,
        )


@dataclass(frozen=True, slots=True)
class Processors:
    """One for the server that is measured, the others for everything else; the same one if it is the only."""

    server: frozenset[int]
    others: frozenset[int]

    @classmethod
    def divided(cls) -> Self:
        """Those that this process may use."""
        first, *rest = sorted(os.sched_getaffinity(0))
        return cls(frozenset({first}), frozenset(rest or {first}))

    @property
    def are_apart(self) -> bool:
        return self.server.isdisjoint(self.others)


class Footprint:
    """The processes of a side: `server` and all it started, and the Postgres that works below `folder`.

    Either may be absent. `provider` is the process of the scripted provider; the client is this process.
    """

    def __init__(self, server: int | None, folder: Path | None, provider: int) -> None:
        self._server = server
        self._folder = folder
        self._provider = provider

    def spent(self) -> Spent:
        """CPU time since the processes began, of ended children too. From /proc, in steps of 10 ms."""
        return Spent(
            server=_seconds(self._server_pids()),
            postgres=_seconds(self._postgres_pids()),
            client=_own_seconds(os.getpid()),
            provider=_own_seconds(self._provider),
        )

    def memory(self) -> int:
        """Resident bytes of the server and of what it started, its Postgres apart; 0 without one."""
        total = 0
        for pid in self._server_pids():
            with suppress(psutil.NoSuchProcess):
                total += psutil.Process(pid).memory_info().rss
        return total

    def pin(self, processors: Processors) -> None:
        """Give the server its processor, which all else keeps off. What they start later inherits that."""
        _pin(self._server_pids(), processors.server)
        _pin([*self._postgres_pids(), self._provider, os.getpid()], processors.others)

    def _server_pids(self) -> set[int]:
        if self._server is None:
            return set()
        started = psutil.Process(self._server).children(recursive=True)
        return {self._server, *(process.pid for process in started)} - set(self._postgres_pids())

    def _postgres_pids(self) -> list[int]:
        return [] if self._folder is None else processes_of(self._folder)


def _seconds(pids: Iterable[int]) -> float:
    total = 0.0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):  # then its parent counts what it took
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _own_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _pin(pids: Iterable[int], processors: frozenset[int]) -> None:
    for pid in pids:
        with suppress(OSError):  # it has ended meanwhile
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), processors)
