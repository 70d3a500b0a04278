"""What Postgres' English dictionary makes of a query."""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.store.database import Database

# A word that the dictionary knows as a stop word has lexemes = {}, a blank has none at all.
_WORDS = """
SELECT token, lexemes[1] AS lemma FROM ts_debug('english', $1)
WHERE lexemes <> '{}' AND alias NOT IN ('blank', 'tag', 'entity') LIMIT 50
"""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it stands in the query, and what it is found under."""

    text: str
    lemma: str


class Dictionary:
    """Takes queries apart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def words(self, query: str) -> Sequence[Word]:
        """The words that carry meaning, in order, each lemma once."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_WORDS, query)
        seen: dict[str, Word] = {}
        for row in rows:
            seen.setdefault(row["lemma"], Word(row["token"], row["lemma"]))
        return list(seen.values())
