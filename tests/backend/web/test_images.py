"""An image is what its bytes say, and is served to the user that it was made for."""

import struct
from typing import Annotated

import aiohttp
import pytest
from fastapi import FastAPI, Header

from backend.store.database import Database
from backend.tools.images.formats import ImageShape, NoImageError, shape_of
from backend.tools.images.router import image_routes
from backend.tools.images.store import ImageStore, MadeImage
from tests.backend.web.http import serving_app


async def who_asks(x_user: Annotated[str, Header()]) -> str:
    return x_user


async def test_an_image_is_served_to_its_user_and_to_nobody_else(database: Database) -> None:
    store = ImageStore(database, per_user=2)
    image = MadeImage(b"bytes", ImageShape("png", 1, 1))
    (first,) = await store.add("ann", "x", "m", [image])
    app = FastAPI()
    app.include_router(image_routes(store, who_asks))
    async with serving_app(app) as url, aiohttp.ClientSession(url) as session:

        async def status(path: str, user: str) -> int:
            async with session.get(path, headers={"x-user": user}) as response:
                return response.status

        async with session.get(f"/images/{first}.png", headers={"x-user": "ann"}) as response:
            assert (response.status, await response.read()) == (200, b"bytes")
            assert response.headers["Content-Type"] == "image/png"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await status(f"/images/{first}.png", "bob") == 404
        assert await status(f"/images/{first}.webp", "ann") == 404
        assert await status("/images/..%2f..%2fetc.png", "ann") in (404, 422)
        await store.add("ann", "x", "m", [image, image])
        assert await status(f"/images/{first}.png", "ann") == 404


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + b"\x3f\0\0\x1f\0\0", ("webp", 64, 32)),
        (b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + b"\x40\0\x20\0", ("webp", 64, 32)),
        (b"RIFF\0\0\0\0WEBPVP8L" + b"\0" * 4 + b"\x2f" + struct.pack("<I", 63 | 31 << 14), ("webp", 64, 32)),
        (b"\xff\xd8\xff\xe0\0\x04ab\xff\xc2\0\x11\x08\0\x20\0\x40", ("jpeg", 64, 32)),
    ],
)
def test_an_image_is_what_its_bytes_say(content: bytes, shape: tuple[str, int, int]) -> None:
    found = shape_of(content)
    assert (found.format, found.width, found.height) == shape
    for length in range(len(content)):
        with pytest.raises(NoImageError):
            shape_of(content[:length])
