"""How to log in to the server, which is also the only proof that it lives and is ours."""

from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from state.embedded.errors import EmbeddedPostgresError

USER = "orchestrator"
DATABASE = "orchestrator"
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Login:
    """The database user and its password."""

    password: str = field(repr=False)
    password_file: Path

    def dsn(self, port: int, database: str = DATABASE) -> str:
        """The address of a database of the server that listens on `port`."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{port}/{database}"

    async def works(self, port: int) -> bool:
        """Whether the server on `port` lets us in to our database, which is created if it is missing.

        Raises:
            EmbeddedPostgresError: The server refuses our password.
        """
        try:
            try:
                await self._connect(port, DATABASE)
            except asyncpg.InvalidCatalogNameError:
                await self._connect(port, "postgres", f"CREATE DATABASE {DATABASE}")
        except asyncpg.InvalidPasswordError as error:
            raise EmbeddedPostgresError(
                f"the embedded Postgres refuses the password in {self.password_file}: "
                f"put back the file that was made with the database"
            ) from error
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    async def _connect(self, port: int, database: str, statement: str = "SELECT 1") -> None:
        # ssl=False: the server has none, and the home folder of this user may hold client keys for others.
        connection = await asyncpg.connect(self.dsn(port, database), ssl=False, timeout=CONNECT_SECONDS)
        try:
            await connection.execute(statement, timeout=STATEMENT_SECONDS)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
