"""People who decide about what many runs ask, at whatever replica answers, and what came of it."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct

from protos import orchestrator_pb2 as pb
from tests.chaos.effects import unallowed_or_repeated
from tests.chaos.evidence import Evidence, of_database
from tests.chaos.view import View
from tests.fakes.tool_service.ledger import Call
from tests.integration.tasks.checker import ends, gaps, taken, writers
from tests.integration.tasks.tables import Row
from tests.integration.tasks.workers import LEASE_SECONDS, Place

USERS = 5
_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_WAYS = {"yes": 8, "yes twice": 4, "yes and no": 3, "no": 2, "yes and cancel": 2, "edits": 2}


class People:
    """Each of the users decides about everything that is asked, once, in a way that chance picks."""

    def __init__(self, places: Sequence[Place], random: Random) -> None:
        self._places = places
        self._random = random
        self._seen: set[str] = set()
        self.ways: Counter[str] = Counter()
        self.history: list[dict[str, Any]] = []
        """Who was told that theirs was the decision, as chaos puts it down."""

    async def start(self, number: int) -> str:
        """Have a task accepted that will ask; its id."""
        request = pb.TaskRequest(
            user_id=_user(number),
            query=f"[case {number}] add it",
            agent_type="org_inbox",
            request_id=f"r-{number}",
        )
        task = await self._told("StartTask", request)
        assert isinstance(task, pb.TaskResponse)
        return task.task_id

    async def attend(self) -> None:
        """Decide until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(USERS):
                group.create_task(self._attend(_user(number), group))

    async def _attend(self, user: str, group: asyncio.TaskGroup) -> None:
        while True:
            listed = await self._told(
                "GetPendingPermissions", pb.PermissionRequest(user_id=user, page_size=100)
            )
            for permission in getattr(listed, "permissions", ()):
                if permission.permission_id not in self._seen:
                    self._seen.add(permission.permission_id)
                    group.create_task(self._decide(user, permission))
            await asyncio.sleep(0.05)

    async def _decide(self, user: str, permission: pb.PendingPermission) -> None:
        way = self._random.choices(list(_WAYS), list(_WAYS.values()))[0]
        self.ways[way] += 1
        steps: list[Coroutine[Any, Any, object]] = []
        match way:
            case "edits":
                edited = Struct()
                edited.update({"text": f"edited {permission.permission_id}", "kind": "todo"})
                steps.append(self._say(user, permission, "approved", edited))
            case "no":
                steps.append(self._say(user, permission, "denied"))
            case _:
                steps.append(self._say(user, permission, "approved"))
        if way == "yes twice":
            steps.append(self._say(user, permission, "approved"))
        elif way == "yes and no":
            steps.append(self._say(user, permission, "denied"))
        elif way == "yes and cancel":
            cancel = pb.CancelTaskRequest(user_id=user, task_id=permission.run_id)
            steps.append(self._told("CancelTask", cancel))
        self._random.shuffle(steps)
        await asyncio.gather(*steps)

    async def _say(
        self, user: str, permission: pb.PendingPermission, decision: str, edited: Struct | None = None
    ) -> None:
        request = pb.PermissionApproval(
            user_id=user,
            permission_id=permission.permission_id,
            approval_decision=decision,
            edited_arguments=edited,
        )
        answer = await self._told("ApprovePermission", request)
        if isinstance(answer, pb.ApprovalResponse) and not answer.already_decided:
            told = {"op": permission.permission_id, "user": user, "kind": "decide"}
            self.history.append({"what": "ok", **told, "first": True})

    async def _told(self, rpc: str, request: object) -> object:
        """What a replica answers, another one where one does not; the code of a refusal."""
        place = None
        while True:
            place = self._random.choice([other for other in self._places if other is not place])
            try:
                return await getattr(place.stub, rpc)(request, timeout=10)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AGAIN:
                    return error.code()
            await asyncio.sleep(0.02)


async def problems(dsn: str, effects: Sequence[Call], people: People) -> list[str]:
    """What is wrong once all is at rest: what chaos holds of runs and of effects, and that all ended well."""
    calls = [call.report() for call in effects]
    view = View.of(Evidence(people.history, **await of_database(dsn), tool_calls=calls))
    tables = view.tables
    found = [f"{r.run_id} is {r.state} {r.error_reason}" for r in tables.rows.values() if not _well_ended(r)]
    for row in tables.rows.values():
        log, writes = tables.logs.get(row.run_id, []), tables.writes.get(row.run_id, [])
        wrong = (*gaps(row, log), *ends(row, log, writes), *writers(writes), *taken(writes, LEASE_SECONDS))
        found += [f"{row.run_id}: {what}" for what in wrong]
    waiting = [row["permission_id"] for row in view.evidence.permissions if row["state"] == "pending"]
    return [*found, *(f"{waits} waits" for waits in waiting), *unallowed_or_repeated(view)]


def _well_ended(row: Row) -> bool:
    """Done, or cancelled as somebody wanted; or given up after three processes had died of it."""
    given_up = (row.state, row.error_reason, row.losses) == ("failed", "WORKER_LOST", 2)
    return row.state in ("succeeded", "cancelled") or given_up


def _user(number: int) -> str:
    return f"user-{number % USERS}"
