"""The console: a page of static files that stands on the backend's own endpoints."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from backend.parts import Parts
from backend.plain import json_response
from backend.problems import ProblemError

PAGE = Path(__file__).parent / "page"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again each time, and answered 304 while it is the same
}
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    etag: str


class ConsoleRoutes:
    """For everybody: the files say nothing of anybody. They are read once, at the start."""

    def __init__(self, parts: Parts) -> None:
        self._sessions = parts.sessions
        self._files = _files(PAGE)

    def router(self) -> APIRouter:
        """Its endpoints."""
        router = APIRouter(tags=["console"], include_in_schema=False)
        router.add_api_route("/", self.home, methods=["GET"], response_class=Response)
        router.add_api_route("/console/session", self.session, methods=["GET"], response_class=Response)
        router.add_api_route("/console/{name:path}", self.file, methods=["GET"], response_class=Response)
        return router

    async def home(self) -> Response:
        """To the page."""
        return RedirectResponse("/console/")

    async def session(self, request: Request) -> Response:
        """Who is signed in: `GET /session` without its 401, which a browser would report as an error."""
        try:
            who = self._sessions.caller(request)
        except ProblemError:
            return json_response({"user_id": None, "administrator": False})
        return json_response({"user_id": who.user_id, "administrator": who.administrator})

    async def file(self, request: Request, name: str) -> Response:
        """A file of the page."""
        found = self._files.get(name or _INDEX)
        if found is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "no such file")
        headers = {**HEADERS, "ETag": found.etag}
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(found.body, headers=headers, media_type=found.media_type)


def _files(folder: Path) -> Mapping[str, _File]:
    return {path.name: _file(path) for path in folder.iterdir() if path.suffix in _MEDIA_TYPES}


def _file(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
