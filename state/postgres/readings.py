"""Numbers for those who watch, looked up in Postgres."""

from state.postgres.database import Database

_PENDING = "SELECT count(*) FROM permissions WHERE state = 'pending'"

_OLDEST = """
SELECT coalesce((
    SELECT extract(epoch FROM clock_timestamp() - create_time) FROM outbox ORDER BY event_id LIMIT 1
), 0)::float8
"""


class PostgresReadings:
    """Each is one short statement. All raise DatabaseUnavailableError when Postgres is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pending_permissions(self) -> int:
        """Questions that nobody has answered yet, of all users."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(_PENDING)
        return count

    async def oldest_event_seconds(self) -> float:
        """The age of the oldest event in the outbox; 0 where there is none."""
        async with self._database.connection() as connection:
            seconds: float = await connection.fetchval(_OLDEST)
        return max(0.0, seconds)
