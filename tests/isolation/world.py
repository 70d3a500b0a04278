"""Two users with everything a user can have, at one real service, and nobody else."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from protos import orchestrator_pb2 as pb
from providers.file.entries import Timeouts
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.harness.tooled import DONE, SHORT, tooled, tools_at, wish, wishing
from tests.isolation.kinds import Kind

VICTIM, STRANGER = "ann", "mallory"
SHARED = "room-of-the-same-name"
"""A conversation that each of the two has."""
LATER = Timestamp(seconds=4_000_000_000)
"""When no test runs: a task that is not to begin before stays in line."""
_PATIENT = Timeouts(connect_seconds=5, first_token_seconds=600, between_tokens_seconds=600, total_seconds=900)
_HELD = Script(tokens=("one", " two"), hold_after=1)

_LISTS = ("ListTasks", "GetPendingPermissions", "ListCheckpoints")
"""In the order in which `pages` notes their tokens."""

Ids = dict[Kind, list[str]]


def canary(user: str) -> str:
    """A word that stands in everything a user says, and nowhere else."""
    return f"canary-of-{user}"


@dataclass
class Belongings:
    """The ids of what a user has, and of what was deleted."""

    has: Ids = field(default_factory=lambda: {kind: [] for kind in Kind})
    deleted: Ids = field(default_factory=lambda: {kind: [] for kind in Kind})


class World:
    """The service and what its two users have. `fresh` numbers what is made to be used up."""

    def __init__(self, service: Service, backend: FakeToolService) -> None:
        self.service = service
        self._backend = backend
        self.belongings: dict[str, Belongings] = {}
        self._fresh = count(1)

    async def furnish(self, user: str) -> None:
        """Make every kind of thing that a user can have, and delete some of it."""
        mine = self.belongings[user] = Belongings()
        left = f"{user}-that-left"
        await _Furnishing(self.service, left, Belongings().has).says("the-only-one")
        gone = pb.DeleteConversationRequest(user_id=left, conversation_id="the-only-one")
        await self.service.stub.DeleteConversation(gone)
        mine.deleted[Kind.USER].append(left)
        await _Furnishing(self.service, user, mine.deleted).to_be_deleted(f"{user}-gone")
        request = pb.DeleteConversationRequest(user_id=user, conversation_id=f"{user}-gone")
        await self.service.stub.DeleteConversation(request)
        await _Furnishing(self.service, user, mine.has).everything()

    @property
    def alike(self) -> Mapping[str, Any]:
        """The settings of another service beside this one."""
        return {
            "timeouts": _PATIENT,
            "run": SHORT,
            "use_grpc_tool_service": True,
            "tools": tools_at(self._backend),
        }

    async def something(self, user: str, kind: Kind, method: str) -> str:
        """The id of something that a user has; a new thing where the call uses it up."""
        if kind is Kind.USER:
            return user
        if method in ("CancelTask", "DeleteConversation"):
            return await self._queued(user, kind)
        if method == "ApprovePermission" and kind in (Kind.PERMISSION, Kind.CONVERSATION):
            asked = await self._asking(user)
            return asked.permission_id if kind is Kind.PERMISSION else asked.conversation_id
        if (method, kind) == ("RetryTask", Kind.RUN):
            task_id = await self._queued(user, kind)
            await self.service.stub.CancelTask(pb.CancelTaskRequest(user_id=user, task_id=task_id))
            return task_id
        return self._lasting(user, kind, method)

    def _lasting(self, user: str, kind: Kind, method: str) -> str:
        if kind is Kind.PAGE:
            return self.belongings[user].has[kind][_LISTS.index(method)]
        if kind is Kind.KEY:
            return f"{user}-key-of-{method}"
        return "a name of the caller's own" if kind is Kind.NOTHING else self.belongings[user].has[kind][0]

    async def _queued(self, user: str, kind: Kind) -> str:
        name = f"{user}-fresh-{next(self._fresh)}"
        request = pb.TaskRequest(
            user_id=user, conversation_id=name, query="later", not_before=LATER, request_id=name
        )
        task: pb.TaskResponse = await self.service.stub.StartTask(request)
        return {Kind.RUN: task.task_id, Kind.CONVERSATION: name, Kind.KEY: name}[kind]

    async def _asking(self, user: str) -> pb.PendingPermission:
        furnishing = _Furnishing(self.service, user, Belongings().has)
        return await furnishing.asks(f"{user}-fresh-{next(self._fresh)}")


@dataclass(frozen=True, slots=True)
class _Furnishing:
    """Makes things of one user, and notes their ids."""

    service: Service
    user: str
    ids: Ids

    async def everything(self) -> None:
        for room in (f"{self.user}-talk", SHARED):
            await self.says(room, request_id=f"{self.user}-key-of-{room}")
            await self.says(room, request_id="" if room == SHARED else f"{self.user}-key-of-StreamChat")
        await self.says(f"{self.user}-branch", base_checkpoint_id=self.ids[Kind.CHECKPOINT][0])
        await self.answering(f"{self.user}-answering")
        await self.asks(f"{self.user}-asking")
        await self.task(f"{self.user}-task-asking", "milk", "waiting_for_permission", agent_type="org_inbox")
        await self.task(f"{self.user}-queued", "later", "queued", not_before=LATER)
        await self.task(f"{self.user}-done", "do it", "succeeded")
        await self.decided(f"{self.user}-decided")
        await self.pages()
        await self.task(f"{self.user}-failed", "fail", "failed", key="StartTask")
        await self.again()
        self.ids[Kind.USER].append(self.user)
        self.ids[Kind.LABEL].append(f"{canary(self.user)}-label")

    async def to_be_deleted(self, room: str) -> None:
        await self.says(room, request_id=f"{self.user}-key-of-{room}")
        await self.task(room, "do it", "succeeded")
        await self.task(room, "fail", "failed")
        await self.asks(room, "milk once")
        request = pb.ListCheckpointsRequest(user_id=self.user, conversation_id=room, page_size=1)
        page = await self.service.stub.ListCheckpoints(request)
        self.ids[Kind.PAGE].append(page.next_page_token)
        self.ids[Kind.LABEL].append("of-what-is-deleted")

    def query(self, text: str) -> str:
        return f"{text} {canary(self.user)}"

    async def says(self, room: str, text: str = "hello", **fields: object) -> list[pb.ChatChunk]:
        chunks = await self.service.chat(self.query(text), user_id=self.user, conversation_id=room, **fields)
        self._note(room, chunks[0].run_id, str(fields.get("request_id", "")))
        if chunks[-1].complete.checkpoint_id:
            self.ids[Kind.CHECKPOINT].append(chunks[-1].complete.checkpoint_id)
        return chunks

    async def asks(self, room: str, text: str = "milk") -> pb.PendingPermission:
        """A turn that waits for a person."""
        chunks = await self.says(room, text, agent_type="org_inbox")
        (asked,) = (c.permission_requested.permission for c in chunks if c.HasField("permission_requested"))
        self.ids[Kind.PERMISSION].append(asked.permission_id)
        self.ids[Kind.DIGEST].append(asked.arguments_digest)
        return asked

    async def decided(self, room: str) -> None:
        asked, key = await self.asks(room), f"{self.user}-key-of-ApprovePermission"
        run_id = self.ids[Kind.RUN][-1]
        await self.service.stub.ApprovePermission(
            pb.PermissionApproval(
                user_id=self.user,
                permission_id=asked.permission_id,
                approval_decision="denied",
                request_id=key,
            )
        )
        await self.service.run_ended(run_id)
        self.ids[Kind.KEY].append(key)

    async def answering(self, room: str) -> None:
        """A turn whose model is in the middle of its answer, for as long as the tests last."""
        request = pb.ChatRequest(
            user_id=self.user,
            conversation_id=room,
            query=self.query("hold"),
            run_options=pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE),
        )
        call = self.service.stub.StreamChat(request)
        async for chunk in call:
            if chunk.content.text:
                break
        call.cancel()
        self._note(room, chunk.run_id)

    async def again(self) -> None:
        """A task that was done again, once it had failed."""
        key = f"{self.user}-key-of-RetryTask"
        request = pb.RetryTaskRequest(
            user_id=self.user, task_id=self.ids[Kind.RUN][-1], request_id=key, from_start=True
        )
        task_id = (await self.service.stub.RetryTask(request)).task.task_id
        await self.service.run_ended(task_id)
        self.ids[Kind.RUN].append(task_id)
        self.ids[Kind.KEY].append(key)

    async def task(self, room: str, text: str, state: str, *, key: str = "", **fields: Any) -> None:
        key = f"{self.user}-key-of-{key or room + state}"
        request = pb.TaskRequest(
            user_id=self.user,
            conversation_id=room,
            query=self.query(text),
            request_id=key,
            labels={"project": f"{canary(self.user)}-label"},
            **fields,
        )
        task = await self.service.stub.StartTask(request)
        await self.service.run_is(task.task_id, state)
        self._note(room, task.task_id, key)

    async def pages(self) -> None:
        """Tokens of the second page of every list."""
        stub, user = self.service.stub, self.user
        for page in (
            await stub.ListTasks(pb.ListTasksRequest(user_id=user, page_size=1)),
            await stub.GetPendingPermissions(pb.PermissionRequest(user_id=user, page_size=1)),
            await stub.ListCheckpoints(
                pb.ListCheckpointsRequest(user_id=user, conversation_id=f"{user}-talk", page_size=1)
            ),
            await stub.ListCheckpoints(
                pb.ListCheckpointsRequest(user_id=user, conversation_id=SHARED, page_size=1)
            ),
        ):
            assert page.next_page_token
            self.ids[Kind.PAGE].append(page.next_page_token)

    def _note(self, room: str, run_id: str, key: str = "") -> None:
        self.ids[Kind.RUN].append(run_id)
        if room not in self.ids[Kind.CONVERSATION]:
            self.ids[Kind.CONVERSATION].append(room)
        if key:
            self.ids[Kind.KEY].append(key)


def _play(body: Mapping[str, Any]) -> Script | None:
    """What the model does is in the last thing that was said."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return DONE
    said = str(last["content"])
    note = wish("add_org_inbox_item", {"text": said, "kind": "todo"})
    plays = {"hold": _HELD, "milk": wishing(note, text="I add it."), "fail": Script(status=400)}
    return next((script for word, script in plays.items() if word in said), None)


@asynccontextmanager
async def open_world(dsn: str) -> AsyncIterator[World]:
    """Both users at a service with tools."""
    async with ScriptedProvider() as provider, FakeToolService() as backend:
        provider.answer_by(_play)
        async with tooled(dsn, provider, backend, timeouts=_PATIENT) as service:
            world = World(service, backend)
            for user in (VICTIM, STRANGER):
                await world.furnish(user)
            yield world
