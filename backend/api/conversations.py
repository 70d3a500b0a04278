"""A conversation's states, and deleting all there is of it."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from backend.parts import Parts
from backend.plain import first, json_response
from backend.sessions import Who

_MOST = 200


class ConversationRoutes:
    """The caller's own conversations."""

    def __init__(self, parts: Parts) -> None:
        self._conversations = parts.client.conversations

    def router(self) -> APIRouter:
        """Its endpoints."""
        router = APIRouter(prefix="/conversations/{conversation_id}", tags=["conversations"])
        router.add_api_route("/checkpoints", self.checkpoints, methods=["GET"], response_class=Response)
        router.add_api_route("", self.delete, methods=["DELETE"], response_class=Response)
        return router

    async def checkpoints(
        self, who: Who, conversation_id: str, limit: Annotated[int, Query(ge=1, le=_MOST)] = 50
    ) -> Response:
        """The newest first; each can be a turn's base_checkpoint_id."""
        found = self._conversations.checkpoints(conversation_id, user_id=who.user_id, page_size=limit)
        return json_response({"checkpoints": await first(found, limit)})

    async def delete(self, who: Who, conversation_id: str) -> Response:
        """For good, its active runs cancelled first."""
        deleted = await self._conversations.delete(conversation_id, user_id=who.user_id)
        return json_response({"deleted_runs": deleted})
