"""Whether it lives, whether it can answer, and what it counts."""

from http import HTTPStatus

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from backend.parts import Parts
from backend.plain import json_response
from llm_orchestrator_client.errors import OrchestratorError

_PROBE_SECONDS = 1.0


class HealthRoutes:
    """For probes: no login, and nothing of any user."""

    def __init__(self, parts: Parts) -> None:
        self._client = parts.client
        self._registry = parts.registry
        self._has_local = bool(parts.settings.local.base_url)

    def router(self) -> APIRouter:
        """Its endpoints."""
        router = APIRouter(tags=["health"])
        router.add_api_route("/healthz", self.alive, methods=["GET"], response_class=Response)
        router.add_api_route("/readyz", self.ready, methods=["GET"], response_class=Response)
        router.add_api_route("/metrics", self.metrics, methods=["GET"], response_class=Response)
        return router

    async def alive(self) -> Response:
        """The process lives."""
        return json_response({"status": "alive"})

    async def ready(self) -> Response:
        """Ready with a local path, whatever the orchestrator does: it is what the path is for."""
        try:
            orchestrator = (await self._client.health(seconds=_PROBE_SECONDS)).status
        except OrchestratorError as error:
            orchestrator = error.code.name.lower()
        ready = self._has_local or orchestrator in ("healthy", "degraded")
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        body = {"status": "ready" if ready else "not ready", "orchestrator": orchestrator}
        return json_response({**body, "local_path": self._has_local}, status)

    async def metrics(self) -> Response:
        """For Prometheus."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
