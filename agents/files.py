"""The catalogue as files that may change while the process runs.

A file that is broken, or an agent that collides with another one, changes nothing: what was in force before
stays, and one log line says why. What comes into force is kept by its version first, so that a run that
begins with it finds it again wherever, and however late, it goes on.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agents.loader import AgentCatalog, CatalogError, collisions, parse_agent
from agents.spec import AgentSpec
from state.background import BackgroundTask
from state.errors import DatabaseUnavailableError, InvalidRequestError
from state.violations import FieldViolation

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


class VersionStore(Protocol):
    """Where the content of files is kept, by its version."""

    async def keep(self, contents: Mapping[str, bytes]) -> None: ...
    async def find(self, version: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class AgentFile:
    """An agent in force: its file's state when it was read, and what stood there."""

    stamp: _Stamp
    content: bytes
    spec: AgentSpec


class AgentFolder:
    """A folder of `*.md` files. `problems` says what is wrong with an agent beyond its form, a line each."""

    def __init__(self, folder: Path, problems: Callable[[AgentSpec], Sequence[str]]) -> None:
        self._folder = folder
        self._problems = problems

    def stamps(self) -> dict[str, _Stamp]:
        """The state of every file, by its name."""
        found: dict[str, _Stamp] = {}
        for name in sorted(self._names()):
            try:
                status = os.stat(f"{self._folder}/{name}")
            except OSError:
                continue  # it was there just now
            # A mounted ConfigMap replaces the file by another one that may be as old.
            found[name] = status.st_mtime_ns, status.st_ino, status.st_size
        return found

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._folder) if name.endswith(".md")]
        except OSError:
            return []  # as an empty one

    def read(self, filename: str, stamp: _Stamp) -> AgentFile:
        """One file as it is now.

        Raises:
            CatalogError: It is not an agent, or one that cannot work.
        """
        try:
            content = (self._folder / filename).read_bytes()
        except OSError as error:
            raise CatalogError(f"{filename}: cannot be read") from error
        spec = parse_agent(filename, content)
        if problems := self._problems(spec):
            raise CatalogError(*(f"{filename}: {problem}" for problem in problems))
        return AgentFile(stamp, content, spec)

    def files(self) -> dict[str, AgentFile]:
        """All of them.

        Raises:
            CatalogError: With every line that is wrong in any of them.
        """
        files: dict[str, AgentFile] = {}
        wrong: list[str] = []
        for filename, stamp in self.stamps().items():
            try:
                files[filename] = self.read(filename, stamp)
            except CatalogError as error:
                wrong += error.lines
        wrong += collisions([file.spec for file in files.values()])
        if wrong:
            raise CatalogError(*wrong)
        _catalog(files)
        return files


class AgentFiles(BackgroundTask):
    """The agents in force. Runs one task inside its context, which looks at the files again and again."""

    def __init__(self, folder: AgentFolder, versions: VersionStore, *, reload_seconds: float) -> None:
        """Raises: CatalogError: The files cannot be used."""
        super().__init__("agent-files-watch")
        self._folder = folder
        self._versions = versions
        self._reload_seconds = reload_seconds
        self._seen = folder.stamps()
        self._files = folder.files()
        self._current = _catalog(self._files)

    @property
    def current(self) -> AgentCatalog:
        """It never changes: another one takes its place."""
        return self._current

    async def keep(self) -> None:
        """Keep what is in force at the start.

        Raises:
            DatabaseUnavailableError: It could not be.
        """
        await self._versions.keep(_contents(self._files))

    async def version(self, name: str, version: str) -> AgentSpec:
        """As `orchestrator.choosing.Agents` has it."""
        now = next((spec for spec in self._current.specs if spec.name == name), None)
        if now is not None and version in ("", now.version):
            return now
        content = await self._versions.find(version) if version else None
        if content is not None:
            try:
                return parse_agent(f"{name}.md", content)
            except CatalogError:  # of a release that had other fields
                logger.warning("an old version of an agent cannot be read", extra={"agent": name})
        if now is None:
            raise InvalidRequestError(FieldViolation("agent_type", "the agent of this run is gone"))
        return now

    async def look(self) -> bool:
        """Read what has changed; whether other agents are in force now."""
        stamps = self._folder.stamps()
        if stamps == self._seen:
            return False
        files, wrong = self._read(stamps)
        try:
            catalog = _catalog(files)
            await self._versions.keep(_contents(files, known=self._current))
        except CatalogError as error:
            wrong += error.lines
            files, catalog = self._files, self._current
        except DatabaseUnavailableError:
            return False  # the next look sees the same change
        if wrong:
            logger.warning("agents' files are refused, the last good ones stay", extra={"reasons": wrong})
        changed = {f.spec.version for f in files.values()} != {s.version for s in self._current.specs}
        self._seen, self._files, self._current = stamps, files, catalog
        if changed:
            logger.info("the agents' files were read again")
        return changed

    def _read(self, stamps: Mapping[str, _Stamp]) -> tuple[dict[str, AgentFile], list[str]]:
        """What is to be in force, and why some of it is not as it stands in the files now."""
        files: dict[str, AgentFile] = {}
        wrong: list[str] = []
        for filename, stamp in stamps.items():
            before = self._files.get(filename)
            if before is not None:
                files[filename] = before
            if before is None or before.stamp != stamp:
                try:
                    files[filename] = self._folder.read(filename, stamp)
                except CatalogError as error:
                    wrong += error.lines
        return files, wrong

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._reload_seconds)
            await self.look()


def _catalog(files: Mapping[str, AgentFile]) -> AgentCatalog:
    return AgentCatalog([file.spec for file in files.values()])


def _contents(files: Mapping[str, AgentFile], known: AgentCatalog | None = None) -> dict[str, bytes]:
    kept = {spec.version for spec in known.specs} if known else set()
    return {f.spec.version: f.content for f in files.values() if f.spec.version not in kept}
