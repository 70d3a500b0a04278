"""What was said in a user's conversations, as the backend itself has kept it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from backend.store.database import Database

_RECORD = """
INSERT INTO turns (user_id, conversation_id, turn_key, role, agent_name, content, said_at)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, now())) ON CONFLICT DO NOTHING
"""
_OWNER = "SELECT user_id FROM turns WHERE user_id = $1 AND conversation_id = $2 LIMIT 1"
_SEARCH = """
WITH asked AS (
    SELECT strict, CASE WHEN strict::text LIKE '%!%' THEN strict
        ELSE replace(strict::text, ' & ', ' | ')::tsquery END AS loose
    FROM websearch_to_tsquery('english', $3) AS strict
)
SELECT left(content, $5) AS content, said_at, agent_name, role,
    (search @@ strict)::int / 2.0 + least(ts_rank(search, loose, 1), 1) / 2.0 AS score
FROM asked, turns
WHERE user_id = $1 AND ($2 = '' OR conversation_id = $2) AND search @@ loose
AND ($4 = 0 OR said_at >= now() - make_interval(hours => $4))
ORDER BY score DESC, said_at DESC, turn_id DESC LIMIT $6
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `key` tells it apart within its conversation: put again, it is the same message.

    `said_at` None = now. `agent_name` is empty for a user's message.
    """

    key: str
    role: Literal["user", "assistant"]
    content: str
    agent_name: str = ""
    said_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A message as a search has found it; `score` is 0..1."""

    content: str
    said_at: datetime
    agent_name: str
    role: str
    score: float


class ConversationStore:
    """Messages of all users. An id of a conversation is that user's own: another's may be the same."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, user: str, conversation_id: str, turns: Sequence[Turn]) -> None:
        """Keep messages, each once. Raises: StoreUnavailableError."""
        rows = [
            (user, conversation_id, turn.key, turn.role, turn.agent_name, _kept(turn.content), turn.said_at)
            for turn in turns
        ]
        async with self._database.transaction() as connection:
            await connection.executemany(_RECORD, rows)

    async def owner(self, user: str, conversation_id: str) -> str | None:
        """Whose the conversation is, of what this user can see; None = there is none."""
        async with self._database.connection() as connection:
            found: str | None = await connection.fetchval(_OWNER, user, conversation_id)
        return found

    async def search(
        self, user: str, conversation_id: str, query: str, *, hours: int, limit: int, characters: int
    ) -> Sequence[Said]:
        """Messages that have words of the query, best first. An empty id = all of the user's conversations.

        `hours`: nothing older, 0 = any age. `characters`: of each message, from its beginning.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SEARCH, user, conversation_id, query, hours, characters, limit)
        return [Said(r["content"], r["said_at"], r["agent_name"], r["role"], float(r["score"])) for r in rows]


def _kept(content: str) -> str:
    return content.replace("\0", "")
