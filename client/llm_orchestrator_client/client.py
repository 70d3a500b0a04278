"""The orchestrator as a caller sees it."""

from datetime import datetime
from types import TracebackType
from typing import Self
from uuid import uuid4

from llm_orchestrator_client.channel import Connection
from llm_orchestrator_client.conversations import Conversations
from llm_orchestrator_client.options import Options
from llm_orchestrator_client.permissions import Permissions
from llm_orchestrator_client.position import Position
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.reading import Reader
from llm_orchestrator_client.records import (
    Health,
    Providers,
    ProviderState,
    ServerInfo,
    UsageReport,
    provider_of,
    usage_report_of,
)
from llm_orchestrator_client.streaming import ChatSource, Leaving, ResumeSource, RunStream, chat_events
from llm_orchestrator_client.tasks import Tasks
from llm_orchestrator_client.values import span


class OrchestratorClient:
    """One connection to the orchestrator, over all its replicas. Use it in `async with`, and share it.

    `tasks`, `permissions` and `conversations` are what their classes say.
    """

    def __init__(self, options: Options | str | None = None) -> None:
        """`options`: how to reach it, or its target alone; None = localhost:50051.

        Raises:
            ValueError: The target is not one.
        """
        given = Options(target=options) if isinstance(options, str) else options or Options()
        self._connection = Connection(given)
        self._leaving = Leaving(self._connection)
        self.tasks = Tasks(self._connection)
        self.permissions = Permissions(self._connection)
        self.conversations = Conversations(self._connection)

    @property
    def options(self) -> Options:
        """What it was made with."""
        return self._connection.options

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, once the runs that were left are cancelled."""
        try:
            await self._leaving.aclose()
        finally:
            await self._connection.__aexit__(None, None, None)

    def chat(
        self,
        query: str | pb.ChatRequest,
        *,
        user_id: str = "",
        conversation_id: str = "",
        agent_type: str = "",
        request_id: str = "",
        keep_running: bool = False,
        seconds: float | None = None,
    ) -> RunStream:
        """One chat turn. Nothing is sent before the stream is read; a ChatRequest says all that there is.

        A lost connection or replica is made up for: the events go on by sequence. Whoever leaves the stream
        early, or lets `seconds` pass, has the run cancelled, unless `keep_running`. Iterating raises the
        run's own error after its `Failure`, and:

        Raises:
            InvalidRequestError, ConversationBusyError, SaturatedError, UnavailableError, OrchestratorError
        """
        request = self._chat_request(query, user_id, conversation_id, agent_type, request_id)
        position = Position(conversation_id=request.conversation_id)
        source = ChatSource(self._connection, request)
        reader = Reader(source, position, self.options.patience, seconds=seconds)
        leaving = None if keep_running else self._leaving
        return RunStream(chat_events(reader, position, request, leaving), position)

    def resume(
        self,
        run_id: str = "",
        *,
        conversation_id: str = "",
        user_id: str = "",
        after_sequence: int = 0,
        seconds: float | None = None,
    ) -> RunStream:
        """Read a run's log after a sequence, then live, to its end. No run_id: the conversation's newest.

        It stays open while the run waits for a person. Leaving cancels nothing. Iterating raises as a chat
        does, NotFoundError, and SequenceError beyond the log.
        """
        position = Position(run_id=run_id, conversation_id=conversation_id, sequence=after_sequence)
        source = ResumeSource(self._connection, user_id or self.options.user_id)
        reader = Reader(source, position, self.options.patience, seconds=seconds)
        return RunStream(reader.events(), position)

    async def usage(
        self, *, user_id: str = "", start: datetime | None = None, end: datetime | None = None
    ) -> UsageReport:
        """What the user's runs have used in [start, end), whole quarters of an hour; None = open.

        Raises:
            OrchestratorError: As its classes say.
        """
        request = pb.GetUsageRequest(user_id=user_id or self.options.user_id)
        if start is not None:
            request.start_time.FromDatetime(start)
        if end is not None:
            request.end_time.FromDatetime(end)
        return usage_report_of(await self._connection.call(self._connection.stub.GetUsage, request))

    async def providers(self) -> Providers:
        """The providers and the line in front of them.

        Raises:
            OrchestratorError: As its classes say.
        """
        stub = self._connection.stub
        answer = await self._connection.call(stub.GetProviderStatus, pb.GetProviderStatusRequest())
        return Providers(
            providers=tuple(map(provider_of, answer.providers)),
            queued=answer.queued_tasks,
            running=answer.running_runs,
            queue_capacity=answer.queue_capacity,
            accepting_tasks=answer.accepting_tasks,
            model_classes={name: ProviderState(state) for name, state in answer.model_classes.items()},
        )

    async def server_info(self) -> ServerInfo:
        """What the server can do.

        Raises:
            OrchestratorError: As its classes say.
        """
        stub = self._connection.stub
        answer = await self._connection.call(stub.GetServerInfo, pb.GetServerInfoRequest())
        return ServerInfo(
            version=answer.version,
            features=tuple(answer.features),
            agents=tuple(answer.agents),
            max_request_bytes=answer.max_request_bytes,
            event_retention=span(answer, "event_retention"),
        )

    async def health(self, *, seconds: float | None = None) -> Health:
        """One server's view of itself; not tried again.

        Raises:
            UnavailableError: No server can be reached.
            OrchestratorError: As its other classes say.
        """
        stub = self._connection.stub
        answer = await self._connection.call(stub.HealthCheck, pb.HealthCheckRequest(), seconds=seconds)
        return Health(
            status=answer.status,
            details=dict(answer.details),
            version=answer.version,
            draining=answer.draining,
            uptime=span(answer, "uptime"),
        )

    def _chat_request(
        self,
        query: str | pb.ChatRequest,
        user_id: str,
        conversation_id: str,
        agent_type: str,
        request_id: str,
    ) -> pb.ChatRequest:
        request = pb.ChatRequest()
        if isinstance(query, str):
            request.query = query
        else:
            request.CopyFrom(query)
        request.user_id = user_id or request.user_id or self.options.user_id
        request.conversation_id = conversation_id or request.conversation_id
        request.agent_type = agent_type or request.agent_type
        request.request_id = request_id or request.request_id or uuid4().hex
        # A server cannot tell a cut from a cancel: the run goes on, and whoever leaves says so by CancelTask.
        request.run_options.on_disconnect = pb.DISCONNECT_BEHAVIOR_CONTINUE
        return request
