"""Pages of a site as documents of a user."""

from collections.abc import Sequence
from typing import Protocol

from backend.tools.crawl.pages import Page


class PageStore(Protocol):
    """Keeps pages as documents."""

    async def store_page(self, user: str, page: Page) -> str:
        """The id of the user's document of this address, new or changed. Raises: ToolServiceError."""
        ...


def wants_to_be_kept(page: Page) -> bool:
    """Whether a page has text and does not ask robots to leave it out."""
    return bool(page.text.strip()) and not {"noindex", "none"} & set(_words(page.robots))


def _words(robots: str) -> Sequence[str]:
    return robots.replace(",", " ").split()
