"""Lists that come in pages, as one iterator."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")


class Page(Protocol):
    """An answer that may not be the last."""

    @property
    def next_page_token(self) -> str: ...


Answer = TypeVar("Answer", bound=Page)


async def items(
    fetch: Callable[[Any], Awaitable[Answer]],
    request: Any,  # noqa: ANN401 - any request with a page_token
    of_page: Callable[[Answer], Iterable[Item]],
) -> AsyncGenerator[Item]:
    """What all pages hold, each fetched when the one before is used up."""
    while True:
        page = await fetch(request)
        for item in of_page(page):
            yield item
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
