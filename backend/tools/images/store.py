"""Images in Postgres, each its maker's own."""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.store.database import Database
from backend.tools.images.formats import ImageShape

_ADD = """
INSERT INTO images (owner, prompt, model, format, width, height, content)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING image_id
"""
_FORGET = """
DELETE FROM images WHERE owner = $1 AND image_id NOT IN (
    SELECT image_id FROM images WHERE owner = $1 ORDER BY created_at DESC, image_id LIMIT $2
)
"""
_GET = "SELECT format, content FROM images WHERE image_id = $1 AND owner = $2"


@dataclass(frozen=True, slots=True)
class MadeImage:
    """An image as a service made it."""

    content: bytes
    shape: ImageShape


@dataclass(frozen=True, slots=True)
class KeptImage:
    """An image as it is served."""

    format: str
    content: bytes


class ImageStore:
    """Keeps the newest `per_user` of each user. All raise StoreUnavailableError."""

    def __init__(self, database: Database, *, per_user: int = 200) -> None:
        self._database = database
        self._per_user = per_user

    async def add(self, user: str, prompt: str, model: str, images: Sequence[MadeImage]) -> Sequence[str]:
        """Keep images; their ids."""
        ids = []
        async with self._database.transaction() as connection:
            for image in images:
                shape = image.shape
                ids.append(
                    await connection.fetchval(
                        _ADD, user, prompt, model, shape.format, shape.width, shape.height, image.content
                    )
                )
            await connection.execute(_FORGET, user, self._per_user)
        return ids

    async def image(self, user: str, image_id: str) -> KeptImage | None:
        """The user's image of this id; None for another's as for none."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_GET, image_id, user)
        return None if row is None else KeptImage(row["format"], row["content"])
