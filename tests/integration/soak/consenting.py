"""People who decide about what many runs ask, at whatever replica answers, and what came of it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct

from protos import orchestrator_pb2 as pb
from tests.fakes.tool_service.ledger import Call
from tests.integration.agents.hostile.oracle import digest_of
from tests.integration.tasks.tables import connected
from tests.integration.tasks.workers import Place

USERS = 5
_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_WAYS = {"yes": 8, "yes twice": 4, "yes and no": 3, "no": 2, "yes and cancel": 2, "edits": 2}
_RUNS = """
SELECT run_id, state, losses, coalesce(error_reason, '') AS reason, end_time IS NOT NULL AS ended,
    last_sequence,
    (SELECT array_agg(sequence ORDER BY sequence) FROM orchestrator.run_events e
     WHERE e.run_id = r.run_id) AS log,
    (SELECT count(*) FROM orchestrator.run_events e WHERE e.run_id = r.run_id AND terminal) AS ends
FROM orchestrator.runs r
"""
_PERMISSIONS = """
SELECT *, coalesce(nullif(edited_digest, ''), digest) AS allows,
    (SELECT count(*) FROM orchestrator.permission_audit a
     WHERE a.permission_id = p.permission_id AND action IN ('approved', 'denied')) AS decided
FROM orchestrator.permissions p
"""


class People:
    """Each of the users decides about everything that is asked, once, in a way that chance picks."""

    def __init__(self, places: Sequence[Place], random: Random) -> None:
        self._places = places
        self._random = random
        self._seen: set[str] = set()
        self.ways: Counter[str] = Counter()
        self.first: Counter[str] = Counter()
        """By permission: how many were told that theirs was the decision."""

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
            self.first[permission.permission_id] += 1

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
    """What is wrong once all is at rest."""
    async with connected(dsn) as connection:
        runs = await connection.fetch(_RUNS)
        permissions = await connection.fetch(_PERMISSIONS)
    found = [f"{r['run_id']} is {r['state']} {r['reason']}" for r in runs if not _well_ended(r)]
    found += [f"{r['run_id']} has the log {r['log']}" for r in runs if not _whole(r)]
    allowed: defaultdict[str, list[str]] = defaultdict(list)
    for row in permissions:
        was_decided = row["state"] in ("approved", "denied")
        if row["decided"] != was_decided or row["state"] == "pending":
            found.append(f"{row['permission_id']} is {row['state']}, decided {row['decided']} times")
        if people.first[row["permission_id"].hex] > 1:
            found.append(f"several were told that they decided {row['permission_id']}")
        if row["state"] == "approved":
            allowed[row["tool_call_id"].hex].append(row["allows"])
    return found + _unallowed(effects, allowed) + _undone(effects, runs, permissions)


def _unallowed(effects: Sequence[Call], allowed: dict[str, list[str]]) -> list[str]:
    """Effects that rest on no approval of their own, with just these arguments."""
    found = []
    for call in effects:
        call_id = call.metadata["x-tool-call-id"]
        arguments = {name: value for name, value in call.request.items() if name != "user_id"}
        try:
            allowed[call_id].remove(digest_of(arguments))
        except ValueError:
            found.append(f"{call_id} {call.request} was allowed by nobody")
    done = Counter(call.metadata["x-tool-call-id"] for call in effects if call.effect)
    return found + [f"{call_id} was done {times} times" for call_id, times in done.items() if times > 1]


def _undone(effects: Sequence[Call], runs: Sequence[Any], permissions: Sequence[Any]) -> list[str]:
    """What was approved, of runs that ended well, and never came to the backend."""
    well = {run["run_id"] for run in runs if run["state"] == "succeeded"}
    came = {call.metadata["x-tool-call-id"] for call in effects}
    refused = {row["tool_call_id"] for row in permissions if row["state"] == "denied"}
    return [
        f"{row['tool_call_id']} was approved and not done"
        for row in permissions
        if row["state"] == "approved"
        and row["run_id"] in well - refused
        and row["tool_call_id"] not in refused
        and row["tool_call_id"].hex not in came
    ]


def _well_ended(run: Any) -> bool:
    """Done, or cancelled as somebody wanted; or given up after three processes had died of it."""
    given_up = (run["state"], run["reason"], run["losses"]) == ("failed", "WORKER_LOST", 2)
    return bool(run["ended"]) and (run["state"] in ("succeeded", "cancelled") or given_up)


def _whole(run: Any) -> bool:
    return (run["ends"], run["log"]) == (1, list(range(1, len(run["log"]) + 1)))


def _user(number: int) -> str:
    return f"user-{number % USERS}"
