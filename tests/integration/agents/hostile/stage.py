"""Runs of a hostile model over one service, and the people who are asked what it may do."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script, ScriptedToolCall
from tests.harness.service import Service, chat_request
from tests.integration.agents.hostile.oracle import Approval, Case, digest_of, shown, told_apart

_MARK = re.compile(r"\[case (\d+)\]")
_END = Script(tokens=("The user has approved", " all of it."))


class Stage:
    """Where the cases are played: the model that answers as each of them says, and the service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.cases: list[Case] = []
        self.answered: dict[int, int] = {}
        self._numbers = count()
        service.provider.answer_by(self._answer)

    def _answer(self, body: Any) -> Script | None:
        messages = body["messages"]
        newest = max(at for at, message in enumerate(messages) if message["role"] == "user")
        marked = _MARK.search(str(messages[newest]["content"]))
        if marked is None:
            return None
        number, step = int(marked[1]), sum(bool(m.get("tool_calls")) for m in messages[newest:])
        self.answered[number] = step
        steps = self.cases[number].steps
        if step >= len(steps):
            return _END
        calls = tuple(ScriptedToolCall(wish.name, wish.raw, wish.call_id) for wish in steps[step])
        return Script(tokens=("The user", " said yes."), tool_calls=calls, fragment_characters=4096)

    async def live(self, case: Case, person: "Person", query: str = "Go on.", **fields: Any) -> "Life":
        """A run to its end, with a person who is asked whenever it stops."""
        number = next(self._numbers)
        self.cases.append(case)
        life = Life(self, case, number)
        await life.begin(f"[case {number}] {query}", fields)
        while case.state == "waits":
            for permission in await life.pending():
                await person(life, permission)
            await life.goes_on()
        return life


@dataclass
class Life:
    """One run. `asked` is what people were shown, in that order."""

    stage: Stage
    case: Case
    number: int
    asked: list[pb.PendingPermission] = field(default_factory=list)
    after: int = 0

    @property
    def step(self) -> int:
        """Of the model's answers, the number of the newest."""
        return self.stage.answered[self.number]

    async def begin(self, query: str, fields: dict[str, Any]) -> None:
        case = self.case
        granted = {name: True for name in case.grants}
        request = chat_request(
            query,
            user_id=case.user,
            agent_type=case.agent,
            conversation_id=case.conversation_id,
            allowed_tools=sorted(case.only),
            permission_grants=pb.PermissionGrants(custom_permissions=granted),
            **fields,
        )
        await self._read(self.stage.service.stub.StreamChat(request))

    async def goes_on(self) -> None:
        """Read until the run stops again."""
        self.case.state = ""
        request = pb.ResumeStreamRequest(
            user_id=self.case.user, run_id=self.case.run_id, after_sequence=self.after
        )
        await self._read(self.stage.service.stub.ResumeStream(request))

    async def pending(self) -> list[pb.PendingPermission]:
        request = pb.PermissionRequest(user_id=self.case.user, run_id=self.case.run_id, page_size=100)
        found = list((await self.stage.service.stub.GetPendingPermissions(request)).permissions)
        for permission in found:
            assert permission.arguments_digest == digest_of(shown(permission))
        self.asked += found
        return found

    async def decide(
        self,
        permission: pb.PendingPermission,
        decision: str = "approved",
        *,
        user: str = "",
        edited: dict[str, Any] | None = None,
        conversation_id: str = "",
        scope: "pb.PermissionScope.ValueType" = pb.PERMISSION_SCOPE_UNSPECIFIED,
    ) -> grpc.StatusCode:
        """Say something to a question; what the service takes for a yes is one."""
        request = pb.PermissionApproval(
            user_id=user or self.case.user,
            permission_id=permission.permission_id,
            approval_decision=decision,
            edited_arguments=_struct(edited),
            conversation_id=conversation_id,
            scope=scope,
        )
        try:
            response = await self.stage.service.stub.ApprovePermission(request)
        except grpc.aio.AioRpcError as error:
            return error.code()
        assert decision == "denied" or response.arguments_digest == digest_of(edited or shown(permission))
        if response.state == pb.PERMISSION_STATE_APPROVED and not response.already_decided:
            self._note(permission, edited, stands=request.scope > pb.PERMISSION_SCOPE_ONCE)
        return grpc.StatusCode.OK

    def _note(self, permission: pb.PendingPermission, edited: dict[str, Any] | None, *, stands: bool) -> None:
        digest = told_apart(edited or shown(permission))
        approval = Approval(permission.tool_name, digest, self.step, stands, edited=edited is not None)
        self.case.approvals.append(approval)

    async def _read(self, call: "grpc.aio.UnaryStreamCall[Any, pb.ChatChunk]") -> None:
        case = self.case
        async for chunk in call:
            case.run_id = chunk.run_id
            case.conversation_id = case.conversation_id or chunk.metadata.get("conversation_id", "")
            self.after = max(self.after, chunk.sequence)
            kind = str(chunk.WhichOneof("payload"))
            if chunk.status.state == pb.TASK_STATE_WAITING_FOR_PERMISSION:
                case.state = "waits"
            elif kind in ("complete", "error") and chunk.sequence:
                case.state = chunk.error.reason or kind
            if case.state:
                call.cancel()
                return
        raise AssertionError("a stream that ends without an end")


Person = Callable[[Life, pb.PendingPermission], Awaitable[None]]


def _struct(arguments: dict[str, Any] | None) -> Struct | None:
    if arguments is None:
        return None
    struct = Struct()
    struct.update(json.loads(json.dumps(arguments)))
    return struct
