"""Numbers for those who watch, looked up in Postgres."""

from state.postgres.database import Database

_PENDING = "SELECT count(*) FROM permissions WHERE state = 'pending'"


class PostgresReadings:
    """Each is one short statement. All raise DatabaseUnavailableError when Postgres is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pending_permissions(self) -> int:
        """Questions that nobody has answered yet, of all users."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(_PENDING)
        return count
