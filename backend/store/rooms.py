"""Chat rooms and their messages. Each method takes who asks: without membership there is no room."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.store.database import Database
from backend.store.documents import uuid_of

_ROOMS = """
SELECT r.room_id, r.name,
    (SELECT array_agg(m.user_id ORDER BY m.user_id) FROM room_members m
        WHERE m.room_id = r.room_id) AS members,
    (SELECT max(sent_at) FROM messages g WHERE g.room_id = r.room_id) AS last_at
FROM rooms r JOIN room_members mine ON mine.room_id = r.room_id AND mine.user_id = $1
ORDER BY last_at DESC NULLS LAST, r.name, r.room_id LIMIT $2
"""
_IS_MEMBER = "SELECT true FROM room_members WHERE user_id = $1 AND room_id = $2"
_NEWEST = """
SELECT message_id, user_id, body, sent_at FROM messages
WHERE room_id = $1 AND ($2::bigint = 0 OR message_id < $2) ORDER BY message_id DESC LIMIT $3
"""
_SEND = """
INSERT INTO messages (room_id, user_id, body, call_id)
SELECT room_id, user_id, $3, $4 FROM room_members WHERE user_id = $1 AND room_id = $2
ON CONFLICT (user_id, call_id) DO NOTHING RETURNING message_id
"""
_SENT = "SELECT message_id, room_id, body FROM messages WHERE user_id = $1 AND call_id = $2"


class CallReusedError(Exception):
    """The call has sent another message before."""


@dataclass(frozen=True, slots=True)
class Room:
    """`last_at`: of its newest message; None = it has none."""

    room_id: str
    name: str
    members: Sequence[str]
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Message:
    message_id: int
    sender: str
    text: str
    sent_at: datetime


class RoomStore:
    """Rooms of all users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rooms(self, user: str, limit: int) -> Sequence[Room]:
        """Those the user is a member of, the last used first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_ROOMS, user, limit)
        return [Room(str(row["room_id"]), row["name"], row["members"], row["last_at"]) for row in rows]

    async def messages(self, user: str, room_id: str, *, before: int, limit: int) -> Sequence[Message] | None:
        """The newest, oldest of them first; `before` this one, if it is not 0. None = no such room."""
        key = uuid_of(room_id)
        if key is None:
            return None
        async with self._database.connection() as connection:
            if not await connection.fetchval(_IS_MEMBER, user, key):
                return None
            rows = await connection.fetch(_NEWEST, key, before, limit)
        return [Message(r["message_id"], r["user_id"], r["body"], r["sent_at"]) for r in reversed(rows)]

    async def send(self, user: str, room_id: str, text: str, call_id: str) -> int | None:
        """The message's id; None = no such room. The same call again finds its message, and sends none.

        Raises:
            CallReusedError: The call has sent something else, or elsewhere.
        """
        key = uuid_of(room_id)
        if key is None:
            return None
        async with self._database.transaction() as connection:
            sent: int | None = await connection.fetchval(_SEND, user, key, text, call_id or None)
            if sent is not None or not call_id:
                return sent
            row = await connection.fetchrow(_SENT, user, call_id)
        if row is None:
            return None
        if (row["room_id"], row["body"]) != (key, text):
            raise CallReusedError
        return int(row["message_id"])

    async def put_room(self, room_key: str, name: str, members: Sequence[str]) -> str:
        """Make a room, once for its key, and its members; its id."""
        async with self._database.transaction() as connection:
            room = """
                INSERT INTO rooms (room_key, name) VALUES ($1, $2)
                ON CONFLICT (room_key) DO UPDATE SET name = excluded.name RETURNING room_id
            """
            room_id = await connection.fetchval(room, room_key, name)
            member = "INSERT INTO room_members (room_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
            await connection.executemany(member, [(room_id, one) for one in members])
        return str(room_id)
