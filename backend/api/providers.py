"""The providers, and the line in front of them."""

from fastapi import APIRouter, Response

from backend.parts import Parts
from backend.plain import json_response, plain


class ProviderRoutes:
    """For whoever is known."""

    def __init__(self, parts: Parts) -> None:
        self._client = parts.client

    def router(self) -> APIRouter:
        """Its endpoint."""
        router = APIRouter(tags=["providers"])
        router.add_api_route("/providers", self.providers, methods=["GET"], response_class=Response)
        return router

    async def providers(self) -> Response:
        """As the orchestrator sees them."""
        return json_response(plain(await self._client.providers()))
