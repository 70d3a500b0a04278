"""Pages of a site as documents of a user."""

import hashlib
import json
from collections.abc import Sequence
from typing import Protocol

from backend.ingest.documents import DocumentRefusedError
from backend.shelf import Shelf
from backend.tools.crawl.pages import Page
from llm_orchestrator_client.tool_service import FailedPreconditionError

_LONGEST_NAME = 500
_TAG = "web"


class PageStore(Protocol):
    """Keeps pages as documents."""

    async def store_page(self, user: str, page: Page) -> str:
        """The id of the user's document of this address, new or changed. Raises: ToolServiceError."""
        ...


class ShelfPages:
    """A PageStore on the shelf. A page's file name is its address, so it is there once for each user."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def store_page(self, user: str, page: Page) -> str:
        """Store a page as Markdown with its title and address. Raises: ToolServiceError."""
        # JSON's strings are YAML's too, so no title can end the front matter or add a key to it.
        head = f"---\ntitle: {json.dumps(page.title or page.url)}\nsource: {json.dumps(page.url)}\n---\n"
        try:
            return await self._shelf.add(
                user, _filename(page.url), f"{head}\n{page.text}\n", kind="markdown", tags=[_TAG]
            )
        except DocumentRefusedError as error:
            raise FailedPreconditionError("A page cannot be stored.") from error


def _filename(url: str) -> str:
    return url if len(url) <= _LONGEST_NAME else "sha256:" + hashlib.sha256(url.encode()).hexdigest()


def wants_to_be_kept(page: Page) -> bool:
    """Whether a page has text and does not ask robots to leave it out."""
    return bool(page.text.strip()) and not {"noindex", "none"} & set(_words(page.robots))


def _words(robots: str) -> Sequence[str]:
    return robots.replace(",", " ").split()
