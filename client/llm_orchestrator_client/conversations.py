"""Conversations: the states that a turn can branch from, and deleting all there is of one."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from llm_orchestrator_client import pages
from llm_orchestrator_client.channel import Connection
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.records import Checkpoint, checkpoint_of


class Conversations:
    """The conversations of one connection. `user_id`: whose; empty = the options'."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = connection.stub

    async def checkpoints(
        self, conversation_id: str, *, user_id: str = "", page_size: int = 0
    ) -> AsyncGenerator[Checkpoint]:
        """The newest first; each can be a chat's or a task's base_checkpoint_id.

        Raises:
            NotFoundError: No such conversation of this user.
            OrchestratorError: As its other classes say.
        """
        request = pb.ListCheckpointsRequest(
            user_id=user_id or self._connection.options.user_id,
            conversation_id=conversation_id,
            page_size=page_size,
        )
        found = pages.items(self._fetch, request, lambda page: map(checkpoint_of, page.checkpoints))
        async with aclosing(found) as checkpoints:
            async for checkpoint in checkpoints:
                yield checkpoint

    async def delete(self, conversation_id: str, *, user_id: str = "") -> int:
        """Delete it for good, its active runs cancelled first; how many runs are gone.

        Not tried again by itself: a second call says NotFoundError when the first one did it.

        Raises:
            NotFoundError: No such conversation of this user.
            OrchestratorError: As its other classes say.
        """
        request = pb.DeleteConversationRequest(
            user_id=user_id or self._connection.options.user_id, conversation_id=conversation_id
        )
        answer = await self._connection.call(self._stub.DeleteConversation, request)
        return answer.deleted_runs

    async def _fetch(self, request: pb.ListCheckpointsRequest) -> pb.ListCheckpointsResponse:
        return await self._connection.call(self._stub.ListCheckpoints, request)
