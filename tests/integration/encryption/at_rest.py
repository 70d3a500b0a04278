"""What a database holds, byte by byte."""

from base64 import b64encode

import asyncpg

OLD, NEW = (f"{name}:{b64encode(name.encode() * 8 + bytes(8)).decode()}" for name in ("old", "new"))

_COLUMNS = """
SELECT c.relname AS "table", a.attname AS "column", format_type(a.atttypid, NULL) AS type
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'orchestrator'::regnamespace AND c.relkind IN ('r', 'p')
    AND a.attnum > 0 AND NOT a.attisdropped
"""


async def places_of(dsn: str, words: str) -> set[str]:
    """The columns, of all that the catalogue knows, that hold these words in some row, `table.column`."""
    connection = await asyncpg.connect(dsn)
    try:
        found = set()
        for table, column, kind in await connection.fetch(_COLUMNS):
            text = f"encode({column}, 'escape')" if kind == "bytea" else f"{column}::text"
            query = f"SELECT EXISTS (SELECT FROM orchestrator.{table} WHERE strpos({text}, $1) > 0)"  # noqa: S608
            if await connection.fetchval(query, words):
                found.add(f"{table}.{column}")
        return found
    finally:
        await connection.close()


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
