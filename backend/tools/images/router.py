"""Serves a user's images over HTTP."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Response

from backend.tools.images.formats import MEDIA_TYPES
from backend.tools.images.store import ImageStore
from backend.tools.images.tools import IMAGES_PATH

_HEADERS = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def image_routes(store: ImageStore, user: Callable[..., Coroutine[Any, Any, str]]) -> APIRouter:
    """`GET /images/ID.FORMAT`. `user` is a dependency that gives who asks, or refuses."""
    router = APIRouter(prefix=IMAGES_PATH, tags=["images"])

    @router.get("/{filename}")
    async def image(
        filename: Annotated[str, Path(pattern=r"^[0-9a-f-]{36}\.[a-z]{3,4}$")],
        who: Annotated[str, Depends(user)],
    ) -> Response:
        image_id, _, extension = filename.partition(".")
        found = await store.image(who, image_id)
        if found is None or found.format != extension:
            raise HTTPException(404, "There is no such image.")
        return Response(found.content, media_type=MEDIA_TYPES[found.format], headers=_HEADERS)

    return router
