"""The database of an installation that was given none: our own Postgres, started, shared and stopped.

Whoever holds `owner.lock` starts the server, or adopts the one a killed owner left behind, and stops it at
exit. Everybody else attaches. `start.lock` is held meanwhile, so that nobody attaches to a server whose
start may still fail.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from state.embedded.account import Account
from state.embedded.binaries import binaries_for, installed
from state.embedded.cluster import Installation, has_cluster, make_cluster
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.launch import Launcher, free_port
from state.embedded.layout import SHARED, Layout, read_or_make_password, settle
from state.embedded.locks import FileLock
from state.embedded.login import Login
from state.embedded.postmaster import Postmaster, find_postmaster
from state.embedded.waiting import Deadline, finish

WATCH_SECONDS = 0.2
LOOK_SECONDS = 0.05


def _say_nothing(line: str) -> None:
    del line


class EmbeddedPostgres:
    """A Postgres on 127.0.0.1 with its data in `folder`, which is made when missing.

    `options` are server settings by name and win over ours; an adopted or attached server keeps those it has.
    `start_seconds` bounds the whole start. `on_progress` gets one line for each step that takes long.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: Mapping[str, str] = {},
        start_seconds: float = 60.0,
        on_progress: Callable[[str], None] = _say_nothing,
        choose_port: Callable[[], int] = free_port,
    ) -> None:
        self._folder = folder
        self._options = options
        self._start_seconds = start_seconds
        self._on_progress = on_progress
        self._choose_port = choose_port
        self._owner: FileLock | None = None
        self._login: Login | None = None
        self._postmaster: Postmaster | None = None

    @property
    def dsn(self) -> str:
        """The address of the database, with its password. Only inside the context."""
        if self._login is None or self._postmaster is None or self._postmaster.port is None:
            raise RuntimeError("the embedded Postgres is not running")
        return self._login.dsn(self._postmaster.port)

    @property
    def owned(self) -> bool:
        """Whether this instance stops the server at exit: it has started or adopted it."""
        return self._owner is not None

    async def died(self) -> int:
        """The exit status of a server that ended before we stopped it: negative for a signal, 255 if unknown.

        Only inside the context; cancel it when it is no longer needed. It also sees the end of a server we
        have attached to, because the next one will have another port.
        """
        while True:
            status = None if self._postmaster is None else self._postmaster.status()
            if status is not None:
                return status
            await asyncio.sleep(WATCH_SECONDS)

    async def __aenter__(self) -> Self:
        """Start, adopt or attach to the server.

        Raises:
            EmbeddedPostgresError: There is no server to be had from this folder. No process of ours is left.
        """
        deadline = Deadline(self._start_seconds)
        try:
            layout, account = await asyncio.to_thread(settle, self._folder.absolute().resolve())
            if layout.home != layout.folder:
                self._on_progress(
                    f"the data is in {layout.data}: the user {account.name} cannot reach {layout.folder}"
                )
            async with FileLock(layout.start_lock).held(deadline):
                await self._take_part(layout, account, deadline)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"the database folder {self._folder} cannot be used: {error.filename or 'the system'}: "
                f"{error.strerror or type(error).__name__}; mend this, or choose another folder"
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server if we own it."""
        postmaster, self._postmaster = self._postmaster, None
        owner, self._owner = self._owner, None
        if owner is None or postmaster is None:
            return
        try:
            await finish(postmaster.stop())
        finally:
            owner.release()

    async def _take_part(self, layout: Layout, account: Account, deadline: Deadline) -> None:
        owner = FileLock(layout.owner_lock)
        while not owner.try_acquire():
            if await self._attach(layout):
                return
            trouble = f"{owner.held_by()} but its server does not answer: wait for it, or end it"
            await deadline.pause(trouble, seconds=LOOK_SECONDS)
        try:
            self._postmaster = await self._own(layout, account, deadline)
        except BaseException:
            owner.release()
            raise
        self._owner = owner

    async def _attach(self, layout: Layout) -> bool:
        found = await asyncio.to_thread(find_postmaster, layout.data)
        if found is None or found.port is None or not found.ready:
            return False
        self._login = Login(read_or_make_password(layout), layout.password)
        if not await self._login.works(found.port):
            return False
        self._postmaster = found
        return True

    async def _own(self, layout: Layout, account: Account, deadline: Deadline) -> Postmaster:
        source = installed()
        has_data = has_cluster(layout, source.major)
        self._login = Login(read_or_make_password(layout), layout.password)
        adopted = await self._adopt(layout, self._login, deadline)
        if adopted is not None:
            return adopted
        binaries = await binaries_for(account, source, SHARED, self._on_progress)
        installation = Installation(layout, account, binaries, self._login)
        if not has_data:
            self._on_progress(f"making a database in {layout.data}")
            await make_cluster(installation, deadline)
        self._on_progress(f"starting Postgres on {layout.data}")
        return await Launcher(installation, self._options, self._choose_port).start(deadline)

    async def _adopt(self, layout: Layout, login: Login, deadline: Deadline) -> Postmaster | None:
        while (found := await asyncio.to_thread(find_postmaster, layout.data)) is not None:
            if found.port is None:
                self._on_progress(f"stopping the Postgres process {found.pid}: its postmaster.pid is damaged")
                await found.stop()
            elif found.ready and await login.works(found.port):
                return found
            else:
                trouble = (
                    f"the Postgres process {found.pid} of {layout.data} does not answer; see {layout.log}"
                )
                await deadline.pause(f"{trouble}, or end it", seconds=LOOK_SECONDS)
        return None
