"""Forms of reports: a user's own, and those for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.store.database import Database
from backend.store.documents import uuid_of

_SEEN = "(user_id = $1 OR user_id IS NULL)"


@dataclass(frozen=True, slots=True)
class Template:
    """`body` is empty in lists."""

    template_id: str
    name: str
    description: str
    body: str = ""


class TemplateStore:
    """Templates of all users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def templates(self, user: str, limit: int) -> Sequence[Template]:
        """Those that the user can use, by name."""
        query = f"""
            SELECT template_id, name, description FROM report_templates WHERE {_SEEN}
            ORDER BY name, template_id LIMIT $2
        """  # noqa: S608 - no part of it comes from outside
        async with self._database.connection() as connection:
            rows = await connection.fetch(query, user, limit)
        return [Template(str(row["template_id"]), row["name"], row["description"]) for row in rows]

    async def template(self, user: str, id_or_name: str) -> Template | None:
        """One by its id or its name; the user's own before one for all. None = no such template."""
        query = f"""
            SELECT template_id, name, description, body FROM report_templates
            WHERE {_SEEN} AND (template_id = $2 OR lower(name) = lower($3))
            ORDER BY user_id NULLS LAST LIMIT 1
        """  # noqa: S608
        async with self._database.connection() as connection:
            row = await connection.fetchrow(query, user, uuid_of(id_or_name), id_or_name)
        if row is None:
            return None
        return Template(str(row["template_id"]), row["name"], row["description"], row["body"])

    async def put(self, user: str | None, name: str, description: str, body: str) -> None:
        """Store a template in place of the one of this name; `user` None = for all."""
        query = """
            INSERT INTO report_templates (user_id, name, description, body) VALUES ($1, $2, $3, $4)
            ON CONFLICT (user_id, name) DO UPDATE SET description = excluded.description, body = excluded.body
        """
        async with self._database.connection() as connection:
            await connection.execute(query, user, name, description, body)
