"""Runs that wait for a person, for tests that drive the stores: no agent asks by itself here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from uuid import UUID, uuid4

from orchestrator.unattended import Ended
from state.effects import NewEffect
from state.models import (
    Attempt,
    ConversationId,
    NewRun,
    Owner,
    Record,
    RunKind,
    RunOutcome,
    RunState,
    UnattendedRun,
)
from state.permissions import Answer, Decision, Permission, PermissionScope, Question
from state.postgres.database import Database
from state.postgres.effects import PostgresEffects
from state.postgres.events import PostgresEventStore
from state.postgres.line import PostgresLine
from state.postgres.permissions import PostgresPermissions
from state.postgres.runs import PostgresRunStore
from state.postgres.suspension import PostgresSuspension
from tests.harness.runs import ANN, REPLICA, new_run, records

ALL_SCOPES = tuple(PermissionScope)
HOUR = 3600.0
NOBODYS = "class:desk"
"""What no provider serves: who drives the stores takes from the line, and no service beside him."""
APPROVED = Answer(Decision.APPROVED, "ann")
DENIED = Answer(Decision.DENIED, "ann")
REVOKED = Answer(Decision.REVOKED, "ann")


def digest_of(arguments: bytes) -> str:
    return sha256(arguments).hexdigest()


def question(arguments: bytes = b'{"path":"a.txt"}', **fields: object) -> Question:
    """About a call of its own, unless told."""
    values: dict[str, object] = {
        "permission_id": uuid4().hex,
        "tool_call_id": uuid4().hex,
        "tool_name": "write_file",
        "operation_type": "file_write",
        "arguments": arguments,
        "digest": digest_of(arguments),
        "query": "Write it down.",
        "reasoning": "The user wants a file.",
        "safety_level": "medium",
        "reversible": True,
        "allowed_scopes": ALL_SCOPES,
        **fields,
    }
    return Question(**values)  # type: ignore[arg-type]


def resolved(permission: Permission, agent_name: str, sequence: int) -> Record:
    """A record that names the decision."""
    return Record(sequence, f"{permission.question.permission_id} {permission.state} {agent_name}".encode())


def replaced(run: UnattendedRun) -> Ended:
    """How a run ends that a newer turn has replaced."""
    last = Record(run.last_sequence + 1, b"replaced", terminal=True)
    return RunOutcome(RunState.CANCELLED, error_reason="CANCELLED"), last


@dataclass(frozen=True, slots=True)
class Desk:
    """Every store that has to do with questions, on one database."""

    database: Database
    runs: PostgresRunStore
    events: PostgresEventStore
    line: PostgresLine
    suspension: PostgresSuspension
    permissions: PostgresPermissions
    effects: PostgresEffects

    @classmethod
    def on(cls, database: Database) -> "Desk":
        return cls(
            database,
            PostgresRunStore(database, REPLICA),
            PostgresEventStore(database),
            PostgresLine(database, database, REPLICA),
            PostgresSuspension(database),
            PostgresPermissions(database, database),
            PostgresEffects(database),
        )

    async def begun(
        self, kind: RunKind = RunKind.CHAT, *, owner: Owner = ANN, conversation: str = ""
    ) -> tuple[NewRun, Attempt]:
        """A run in its first attempt, with one record."""
        run = replace(new_run(owner, conversation), kind=kind, wants=NOBODYS)
        return run, await self.runs.begin(run, records(1))

    async def waiting(
        self,
        *questions: Question,
        kind: RunKind = RunKind.CHAT,
        owner: Owner = ANN,
        conversation: str = "",
        seconds: float = HOUR,
    ) -> tuple[Attempt, Sequence[Question]]:
        """A run that waits for answers to these, or to one question."""
        _, attempt = await self.begun(kind, owner=owner, conversation=conversation)
        asked = questions or (question(),)
        await self.suspension.suspend(attempt, asked, seconds, records(2, 3))
        return attempt, asked

    async def state(self, attempt: Attempt) -> RunState:
        return (await self.runs.get(attempt.owner, attempt.run_id)).state

    async def decide(self, asked: Question, answer: Answer = APPROVED) -> tuple[Permission, bool]:
        return await self.permissions.decide(ANN, asked.permission_id, answer, resolved)

    async def settle(self) -> int:
        return await self.permissions.settle(resolved, replaced)

    async def claimed(self) -> Attempt:
        """The next run of the line, in a new attempt."""
        claimed = await self.line.claim({NOBODYS})
        assert claimed is not None
        return claimed.attempt

    async def log(self, attempt: Attempt) -> list[tuple[int, bytes, bool]]:
        read = await self.events.read(attempt.owner, attempt.run_id, 0, 100)
        return [(r.sequence, r.payload, r.terminal) for r in read]

    def call(self, asked: Question, digest: str = "") -> NewEffect:
        """The effect of what was asked about."""
        return NewEffect(asked.tool_call_id, asked.tool_name, digest or asked.digest, asked.permission_id)

    async def execute(self, statement: str, *arguments: object) -> None:
        async with self.database.connection() as connection:
            await connection.execute(statement, *arguments)

    async def value(self, statement: str, *arguments: object) -> object:
        async with self.database.connection() as connection:
            return await connection.fetchval(statement, *arguments)

    async def let_expire(self, asked: Question) -> None:
        """Its time is over; nobody has written that down yet."""
        await self.execute(
            "UPDATE permissions SET expire_time = now() WHERE permission_id = $1 AND state = 'pending'",
            UUID(asked.permission_id),
        )


def conversation_of(attempt: Attempt) -> ConversationId:
    """`new_run` gives each run a conversation of its own name."""
    return ConversationId(attempt.run_id)
