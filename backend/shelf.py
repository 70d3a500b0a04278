"""Documents come in here: made ready, stored, and given vectors where these are kept."""

import asyncio
from collections.abc import Sequence

from backend.ingest.documents import document_of
from backend.ingest.reading import Format
from backend.store.documents import DocumentStore
from backend.store.vectors import PassageVectors


class Shelf:
    """Stores documents of users. Without `vectors` they are found by their words only."""

    def __init__(self, store: DocumentStore, vectors: PassageVectors | None = None) -> None:
        self._store = store
        self._vectors = vectors

    async def add(
        self, user: str, filename: str, content: str, *, kind: Format | None = None, tags: Sequence[str] = ()
    ) -> str:
        """Store a file in place of the user's one of this name, if any; the document's id.

        Vectors that the model does not make now are made with the next document.

        Raises:
            DocumentRefusedError: It cannot be stored as it is.
            StoreUnavailableError: Postgres is out of reach; nothing was stored, or only the vectors not.
        """
        # Megabytes take their time to be read: nobody else waits for it.
        document = await asyncio.to_thread(document_of, filename, content, kind=kind, tags=tags)
        document_id = await self._store.put(user, document)
        if self._vectors is not None:
            await self._vectors.fill()
        return document_id
