"""The agents' files as they were, by the digest of their content."""

from collections.abc import Mapping

from state.postgres.database import Database

_KEEP = """
INSERT INTO agent_versions (version, content) SELECT * FROM unnest($1::text[], $2::bytea[])
ON CONFLICT (version) DO NOTHING
"""
_FIND = "SELECT content FROM agent_versions WHERE version = $1"


class PostgresAgentVersions:
    """Implements `agents.files.VersionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, contents: Mapping[str, bytes]) -> None:
        async with self._database.connection() as connection:
            await connection.execute(_KEEP, list(contents), list(contents.values()))

    async def find(self, version: str) -> bytes | None:
        async with self._database.connection() as connection:
            content: bytes | None = await connection.fetchval(_FIND, version)
        return content
