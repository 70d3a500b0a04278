"""A chat turn as server-sent events, and the rest of one that was lost on the way."""

from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from backend.event_stream import Events, EventStream
from backend.kept_turns import kept
from backend.parts import Parts
from backend.problems import ProblemError
from backend.requests import LastEventID, message_of
from backend.sessions import Who
from llm_orchestrator_client.protos import orchestrator_pb2 as pb

_REFUSED = ("permission_grants",)


class ChatRoutes:
    """Every turn goes through the rollout: by the orchestrator, or by the local path."""

    def __init__(self, parts: Parts) -> None:
        self._router = parts.rollout.router
        self._client = parts.client
        self._local = parts.local
        self._conversations = parts.conversations
        self._seconds = parts.settings.orchestrator.chat_seconds
        self._silence = parts.settings.server.silence_seconds

    def router(self) -> APIRouter:
        """Its endpoints."""
        router = APIRouter(tags=["chat"])
        router.add_api_route("/chat", self.chat, methods=["POST"], response_class=Response)
        router.add_api_route("/chat/{run_id}/events", self.resume, methods=["GET"], response_class=Response)
        return router

    async def chat(self, who: Who, request: Request, body: dict[str, Any]) -> Response:
        """One turn: a ChatRequest as JSON. Who leaves cancels the run, unless
        run_options.on_disconnect is DISCONNECT_BEHAVIOR_CONTINUE.
        """
        if request.headers.get("last-event-id"):
            # Asking the model again is not what a browser means that reconnects.
            raise ProblemError(HTTPStatus.BAD_REQUEST, "go on with GET /chat/{run_id}/events")
        turn = message_of(body, pb.ChatRequest(), refused=_REFUSED)
        turn.user_id = who.user_id
        # Named here, so that it is the same one whichever path answers.
        turn.conversation_id = turn.conversation_id or uuid4().hex
        turn.request_id = turn.request_id or uuid4().hex
        stays = turn.run_options.on_disconnect == pb.DISCONNECT_BEHAVIOR_CONTINUE
        events: Events = self._router.stream_chat(
            turn, self._local, seconds=self._seconds, keep_running=stays
        )
        if self._conversations is not None:
            events = kept(events, self._conversations, turn)
        return EventStream(events, silence_seconds=self._silence)

    async def resume(self, who: Who, run_id: str, after: LastEventID) -> Response:
        """The events of a run after Last-Event-ID, to its end. Leaving it cancels nothing."""
        events = self._client.resume(run_id, user_id=who.user_id, after_sequence=after)
        return EventStream(events, silence_seconds=self._silence)
