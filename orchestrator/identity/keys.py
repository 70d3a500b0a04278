"""Where the keys come from that tokens are verified with."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from orchestrator.identity.errors import IdentityFileError
from orchestrator.identity.jwts import KeyTable
from orchestrator.identity.reloading import ReloadedFiles
from state.background import BackgroundTask
from state.errors import IdentityUnavailableError

logger = logging.getLogger(__name__)

_NONE: Mapping[tuple[str, str], Any] = {}


class KeySetUnavailableError(Exception):
    """The server of the key set cannot be reached, or does not send one."""


class Keys(Protocol):
    """`current` is another object when the keys are others."""

    @property
    def current(self) -> KeyTable: ...
    async def find(self, key_id: str, algorithm: str) -> object | None: ...


class FixedKeys:
    """A key that is given, and needs no id."""

    def __init__(self, table: KeyTable) -> None:
        self._table = table

    @property
    def current(self) -> KeyTable:
        return self._table

    async def find(self, key_id: str, algorithm: str) -> object | None:
        return self._table.get((key_id, algorithm)) or self._table.get(("", algorithm))


class KeysInFile:
    """A key in a file, or a key set there, which may change while the process runs."""

    def __init__(self, file: ReloadedFiles[KeyTable]) -> None:
        self._file = file

    @property
    def current(self) -> KeyTable:
        return self._file.current

    async def find(self, key_id: str, algorithm: str) -> object | None:
        return await FixedKeys(self._file.current).find(key_id, algorithm)


class RemoteKeys(BackgroundTask):
    """A key set that a server publishes: fetched at the start, again and again, and for a key it lacks.

    While the server is away the keys that are known stay. Fetching belongs to one task: a caller who leaves
    ends no fetch that others wait for, and unknown keys cause no more than one in `retry_seconds`.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        parse: Callable[[bytes], KeyTable],
        *,
        refresh_seconds: float,
        retry_seconds: float,
    ) -> None:
        """`fetch` raises KeySetUnavailableError, `parse` IdentityFileError."""
        super().__init__("fetch-key-set")
        self._fetch = fetch
        self._parse = parse
        self._refresh_seconds = refresh_seconds
        self._retry_seconds = retry_seconds
        self._table: KeyTable = _NONE
        self._wanted = asyncio.Event()
        self._fetched = asyncio.Event()
        self._not_before = 0.0

    @property
    def current(self) -> KeyTable:
        return self._table

    async def first(self) -> None:
        """Return when the first fetch has ended, well or badly."""
        await self._fetched.wait()

    async def find(self, key_id: str, algorithm: str) -> object | None:
        """The key, fetched if it is not known and was not asked for just now.

        Raises:
            IdentityUnavailableError: There are no keys at all yet.
        """
        wanted = (key_id, algorithm)
        if wanted not in self._table:
            await self._ask()
        if not self._table:
            raise IdentityUnavailableError("the keys that tokens are signed with cannot be fetched")
        return self._table.get(wanted)

    async def _ask(self) -> None:
        if asyncio.get_running_loop().time() >= self._not_before:
            self._fetched.clear()
            self._wanted.set()
        await self._fetched.wait()

    async def _run(self) -> None:
        while True:
            self._wanted.clear()
            self._not_before = asyncio.get_running_loop().time() + self._retry_seconds
            self._fetched.clear()
            good = await self._refresh()
            self._fetched.set()
            try:
                async with asyncio.timeout(self._refresh_seconds if good else self._retry_seconds):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _refresh(self) -> bool:
        try:
            table = self._parse(await self._fetch())
        except (KeySetUnavailableError, IdentityFileError) as error:
            logger.warning("no key set, the keys that are known stay", extra={"problem": str(error)})
            return False
        if table.keys() != self._table.keys() or not _same(table, self._table):
            logger.info("the key set has changed", extra={"keys": len(table)})
            self._table = table
        return True


def _same(one: KeyTable, other: KeyTable) -> bool:
    """Whether what is verified by the one is by the other: a key may keep its id and be another one."""
    return all(one[name].key == other[name].key for name in one)
