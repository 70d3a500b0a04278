"""A running service beside the stores of its database: no agent asks by itself in these tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from orchestrator.codec.chunks import encode
from orchestrator.events import ChunkHeader, PermissionAsked, StatusChanged
from protos import orchestrator_pb2 as pb
from state.models import Attempt, Owner, Record, RunKind, RunState
from state.permissions import Question
from state.postgres.database import Database
from tests.harness.questions import HOUR, Desk, question
from tests.harness.runs import ANN
from tests.harness.service import Service


@dataclass(frozen=True, slots=True)
class Office:
    """Runs stop at the desk, and are decided about through the service."""

    service: Service
    desk: Desk

    async def asked(
        self,
        *questions: Question,
        owner: Owner = ANN,
        kind: RunKind = RunKind.TASK,
        conversation: str = "",
        seconds: float = HOUR,
    ) -> tuple[Attempt, list[Question]]:
        """A run that waits, with the records that an execution writes."""
        run, attempt = await self.desk.begun(kind, owner=owner, conversation=conversation)
        asked = list(questions) or [question()]
        events = [PermissionAsked(one, run.conversation_id, seconds) for one in asked]
        events.append(StatusChanged(RunState.WAITING_FOR_PERMISSION, "Waiting"))  # type: ignore[arg-type]
        records = []
        for sequence, event in enumerate(events, start=2):
            header = ChunkHeader.now(run.run_id, "chat", sequence)
            records.append(Record(sequence, encode(event, header)))
        await self.desk.suspension.suspend(attempt, asked, seconds, records)
        return attempt, asked

    async def approve(self, asked: Question | None = None, **fields: object) -> pb.ApprovalResponse:
        values: dict[str, object] = {"user_id": "ann", "approval_decision": "approved", **fields}
        if asked is not None:
            values["permission_id"] = asked.permission_id
        request = pb.PermissionApproval(**values)  # type: ignore[arg-type]
        response: pb.ApprovalResponse = await self.service.stub.ApprovePermission(request)
        return response

    async def listed(self, **fields: object) -> pb.PermissionList:
        values: dict[str, object] = {"user_id": "ann", **fields}
        request = pb.PermissionRequest(**values)  # type: ignore[arg-type]
        response: pb.PermissionList = await self.service.stub.GetPendingPermissions(request)
        return response

    async def chunks(self, attempt: Attempt, after: int = 1) -> list[pb.ChatChunk]:
        """What the log holds after a sequence."""
        read = await self.desk.events.read(attempt.owner, attempt.run_id, after, 100)
        return [pb.ChatChunk.FromString(record.payload) for record in read]


@asynccontextmanager
async def office_of(service: Service) -> AsyncIterator[Office]:
    async with Database(service.dsn, schema="orchestrator", pool_size=6) as database:
        yield Office(service, Desk.on(database))
