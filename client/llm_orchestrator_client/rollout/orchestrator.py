"""The orchestrator behind a connection, as the router needs it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from llm_orchestrator_client.channel import Connection
from llm_orchestrator_client.errors import OrchestratorError
from llm_orchestrator_client.payloads import Event
from llm_orchestrator_client.position import Position
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.reading import Reader, passing
from llm_orchestrator_client.streaming import ChatSource, ResumeSource


class ConnectedOrchestrator:
    """A `Remote` over a connection that somebody else opens and closes; its patience is the connection's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._patience = connection.options.patience
        self._once = replace(self._patience, connect=0.0, resume=0.0)

    async def stream_chat(
        self, request: pb.ChatRequest, *, seconds: float | None, stays: Callable[[], bool]
    ) -> AsyncGenerator[Event]:
        """See `Remote`."""
        until = None if seconds is None else _now() + seconds
        source = ChatSource(self._connection, request)
        position = Position(conversation_id=request.conversation_id)
        try:
            async with aclosing(Reader(source, position, self._once, seconds=seconds).events()) as events:
                async for event in events:
                    yield event
            return
        except OrchestratorError as error:
            left = None if until is None else max(0.0, until - _now())
            if left == 0.0 or not (stays() and passing(error)):
                raise
        async with aclosing(Reader(source, position, self._patience, seconds=left).events()) as events:
            async for event in events:
                yield event

    def resume(
        self, user_id: str, run_id: str, after_sequence: int, *, seconds: float
    ) -> AsyncGenerator[Event]:
        """See `Remote`."""
        position = Position(run_id=run_id, sequence=after_sequence, accepted=True)
        source = ResumeSource(self._connection, user_id)
        return Reader(source, position, self._once, seconds=seconds).events()

    async def cancel(self, user_id: str, *, run_id: str, request_id: str, seconds: float) -> None:
        """See `Remote`."""
        request = pb.CancelTaskRequest(
            user_id=user_id,
            task_id=run_id,
            request_id="" if run_id else request_id,
            reason="left, or answered by the local path",
        )
        await self._connection.call(self._connection.stub.CancelTask, request, seconds=seconds)

    async def delete_conversation(self, user_id: str, conversation_id: str, *, seconds: float) -> None:
        """See `Remote`."""
        request = pb.DeleteConversationRequest(user_id=user_id, conversation_id=conversation_id)
        await self._connection.call(self._connection.stub.DeleteConversation, request, seconds=seconds)


def _now() -> float:
    return asyncio.get_running_loop().time()
