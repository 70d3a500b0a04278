"""Sign in, sign out, and who one is."""

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, SecretStr

from backend.parts import Parts
from backend.plain import json_response
from backend.sessions import Known, Who


class Login(BaseModel):
    """What proves who signs in."""

    model_config = ConfigDict(extra="forbid")

    user: str
    password: SecretStr


class SessionRoutes:
    """Sessions of browsers. Programs bring a token instead."""

    def __init__(self, parts: Parts) -> None:
        self._sessions = parts.sessions

    def router(self) -> APIRouter:
        """Its endpoints."""
        router = APIRouter(prefix="/session", tags=["session"])
        known = [Depends(Known(self._sessions))]
        router.add_api_route("", self.log_in, methods=["POST"], response_class=Response)
        router.add_api_route(
            "", self.log_out, methods=["DELETE"], response_class=Response, dependencies=known
        )
        router.add_api_route("", self.who, methods=["GET"], response_class=Response, dependencies=known)
        return router

    async def log_in(self, request: Request, login: Login) -> Response:
        """Begin a session: 204 and a cookie."""
        return await self._sessions.log_in(request, login.user, login.password.get_secret_value())

    async def log_out(self, who: Who) -> Response:
        """Take the cookie away. One that was copied is good until it is over."""
        return self._sessions.log_out()

    async def who(self, who: Who) -> Response:
        """Who calls."""
        return json_response({"user_id": who.user_id, "administrator": who.administrator})
