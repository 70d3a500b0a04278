"""Who calls: by the session's cookie or an API token, and by nothing that the request says of itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from backend.cookies import CookieSigner
from backend.passwords import PasswordCheck
from backend.problems import ProblemError
from backend.settings import SessionSettings, User

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_NAMES_A_USER = frozenset({"user_id", "userId", "user", "owner"})
_BEARER = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    user_id: str
    administrator: bool


class Sessions:
    """The users, their logins, and what a request proves."""

    def __init__(
        self, users: Mapping[str, User], signer: CookieSigner, check: PasswordCheck, settings: SessionSettings
    ) -> None:
        self._users = users
        self._signer = signer
        self._check = check
        self._settings = settings
        self._by_token = {token.lower(): name for name, user in users.items() for token in user.tokens}
        # A name with this prefix is taken by browsers only from the host itself, over TLS.
        self.cookie = "__Host-session" if settings.secure else "session"

    def caller(self, request: Request) -> Caller:
        """Who calls.

        Raises:
            ProblemError: 401 without proof; 403 for a page of somebody else's that writes; 400 for a query
                that names a user.
        """
        if named := _NAMES_A_USER.intersection(request.query_params):
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"{min(named)}: who calls is not to be said")
        header = request.headers.get("authorization")
        user_id = self._of_token(header) if header is not None else self._of_cookie(request)
        if user_id is None:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "sign in, or bring a token", headers=_BEARER)
        return Caller(user_id, self._users[user_id].administrator)

    async def log_in(self, request: Request, user_id: str, password: str) -> Response:
        """A response that begins a session.

        Raises:
            ProblemError: 401: it is not the password; 403 as `caller`.
        """
        if not self._is_own(request, unknown=True):
            raise ProblemError(HTTPStatus.FORBIDDEN, "another site's page may not sign in")
        kept = self._kept(user_id) or ""
        if not await self._check.matches(password, kept):
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "no such user and password", headers=_BEARER)
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        self._set(response, self._signer.sign(user_id, kept), int(self._settings.seconds))
        return response

    def log_out(self) -> Response:
        """A response that takes the cookie away."""
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        self._set(response, "", 0)
        return response

    def _set(self, response: Response, value: str, seconds: int) -> None:
        secure = self._settings.secure
        response.set_cookie(
            self.cookie, value, max_age=seconds, secure=secure, httponly=True, samesite="strict"
        )

    def _kept(self, user_id: str) -> str | None:
        user = self._users.get(user_id)
        return None if user is None else user.password.get_secret_value()

    def _of_token(self, header: str) -> str | None:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer":
            return None
        return self._by_token.get(hashlib.sha256(token.strip().encode()).hexdigest())

    def _of_cookie(self, request: Request) -> str | None:
        user_id = self._signer.user_of(request.cookies.get(self.cookie, ""), self._kept)
        if user_id is not None and request.method not in _READS and not self._is_own(request):
            raise ProblemError(HTTPStatus.FORBIDDEN, "another site's page may not write")
        return user_id

    def _is_own(self, request: Request, *, unknown: bool = False) -> bool:
        """Whether a page of ours sends it, as the browser says; `unknown`: what a request without is."""
        origin = request.headers.get("origin")
        if origin is None:
            site = request.headers.get("sec-fetch-site")
            return unknown if site is None else site == "same-origin"
        host = request.headers.get("host", "")
        return origin in self._settings.origins or (bool(host) and urlsplit(origin).netloc == host)


def caller_of(request: Request) -> Caller:
    """Who calls, as the router's own `Depends(known(...))` has found."""
    caller: Caller = request.state.caller
    return caller


Who = Annotated[Caller, Depends(caller_of)]


class Known:
    """A router's dependency: nobody gets in who is not known."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def __call__(self, request: Request) -> None:
        request.state.caller = self._sessions.caller(request)
