"""An OpenAI-compatible endpoint for embeddings and answers in JSON, with a ledger."""

from types import TracebackType
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

CONCEPTS = (("car", "automobile", "vehicle", "engine"), ("cat", "kitten", "feline"), ("sea", "ocean", "tide"))
"""Words of one row mean the same: each row is a dimension."""


class EmbeddingsServer:
    """`ledger` has each request's path and body. `status` other than 200 is answered instead; `content` is
    what the chat model says.
    """

    def __init__(self) -> None:
        self.ledger: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.content = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._server = TestServer(app)
        await self._server.start_server()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.close()

    @property
    def base_url(self) -> str:
        return str(self._server.make_url("/v1"))

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await self._taken(request)
        rows = [{"index": i, "embedding": vector_of(text)} for i, text in enumerate(body["input"])]
        # The order is not promised: it is the index that counts.
        return web.json_response({"data": rows[::-1], "model": body["model"]}, status=self.status)

    async def _chat(self, request: web.Request) -> web.Response:
        await self._taken(request)
        message = {"role": "assistant", "content": self.content}
        return web.json_response({"choices": [{"index": 0, "message": message}]}, status=self.status)

    async def _taken(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.ledger.append((request.path, body))
        return body


def vector_of(text: str) -> list[float]:
    """How often a text has words of each concept, and a little of nothing."""
    words = text.lower().replace(".", " ").split()
    return [float(sum(words.count(word) for word in row)) for row in CONCEPTS] + [0.01]
