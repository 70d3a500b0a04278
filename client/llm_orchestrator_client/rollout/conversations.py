"""On which path a conversation began: it stays there while the percentage moves."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import StrEnum
from hashlib import sha256
from typing import Protocol


class Path(StrEnum):
    """Who answers."""

    ORCHESTRATOR = "orchestrator"
    LOCAL = "local"


class ConversationStoreError(Exception):
    """Where conversations are kept cannot be reached; the call is then decided without."""


class Conversations(Protocol):
    """Where it is kept. Both methods may raise ConversationStoreError, and nothing else."""

    async def path_of(self, user_id: str, conversation_id: str) -> Path | None:
        """Where it began; None = not known here."""
        ...

    async def begin(self, user_id: str, conversation_id: str, path: Path) -> None:
        """It began there, unless it is known already."""
        ...


class MemoryConversations:
    """Of this process: the `most` that were used last. The others are decided anew, by the percentage of
    then.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._paths: OrderedDict[tuple[str, str], Path] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paths)

    async def path_of(self, user_id: str, conversation_id: str) -> Path | None:
        path = self._paths.get((user_id, conversation_id))
        if path is not None:
            self._paths.move_to_end((user_id, conversation_id))
        return path

    async def begin(self, user_id: str, conversation_id: str, path: Path) -> None:
        self._paths.setdefault((user_id, conversation_id), path)
        if len(self._paths) > self._most:
            self._paths.popitem(last=False)


class KeyValueConversations:
    """In a store of the backend's own, shared by its processes.

    `get` reads a key; `put_if_absent` writes one unless it is there (Redis: SET with NX; SQL: ON CONFLICT DO
    NOTHING). They raise ConversationStoreError where the store fails. Keys are digests: no user id is in
    them.
    """

    def __init__(
        self,
        get: Callable[[str], Awaitable[str | None]],
        put_if_absent: Callable[[str, str], Awaitable[object]],
        *,
        prefix: str = "llm-rollout:",
    ) -> None:
        self._get = get
        self._put_if_absent = put_if_absent
        self._prefix = prefix

    async def path_of(self, user_id: str, conversation_id: str) -> Path | None:
        value = await self._get(self._key(user_id, conversation_id))
        return Path(value) if value in set(Path) else None

    async def begin(self, user_id: str, conversation_id: str, path: Path) -> None:
        await self._put_if_absent(self._key(user_id, conversation_id), path.value)

    def _key(self, user_id: str, conversation_id: str) -> str:
        return self._prefix + sha256(f"{len(user_id)}:{user_id}{conversation_id}".encode()).hexdigest()
