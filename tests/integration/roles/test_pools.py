"""What is done for a caller is done by the callers' login, and nothing of it by the worker's."""

import inspect
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import asyncpg
import pytest

from orchestrator.budgets import DayStore
from orchestrator.usage import UsageStore
from state import permission_ports, ports
from state.models import ConversationId, RequestKey, RunId, ThreadId
from state.permissions import PermissionFilter
from state.postgres.database import Database
from state.postgres.stores import PostgresStores
from state.tasks import TaskFilter
from tests.harness.questions import APPROVED, resolved
from tests.harness.runs import CANCELLED, last
from tests.integration.roles.conftest import ANNS
from tests.integration.roles.rows import ANN

C1 = ConversationId("c1")
KEY, OTHER = RequestKey("StartTask", "key", b"d"), RequestKey("ApprovePermission", "other", b"d")
Call = Callable[[PostgresStores], Awaitable[object]]

CALLS: dict[str, Call] = {
    "RunStore.get": lambda s: s.runs.get(ANN, ANNS),
    "RunStore.latest": lambda s: s.runs.latest(ANN, C1),
    "TaskStore.get": lambda s: s.tasks.get(ANN, ANNS),
    "TaskStore.list": lambda s: s.tasks.list(ANN, TaskFilter(), after=None, limit=10),
    "TaskStore.request": lambda s: s.tasks.request(ANN, ANNS),
    "RequestKeyStore.check": lambda s: s.keys.check(ANN, OTHER),
    "RequestKeyStore.holder": lambda s: s.keys.holder(ANN, "key"),
    "EventStore.read": lambda s: s.events.read(ANN, ANNS, 0, 10),
    "BranchStore.find": lambda s: s.branches.find(ANN, "same", ThreadId("")),
    "UsageStore.by_agent": lambda s: s.usage.by_agent(ANN, None, None, ""),
    "DayStore.today": lambda s: s.usage.today(ANN, ""),
    "PermissionStore.get": lambda s: s.permissions.get(ANN, ANNS),
    "PermissionStore.match": lambda s: s.permissions.match(ANN, C1, "file_write"),
    "PermissionStore.list": lambda s: s.permissions.list(ANN, PermissionFilter(), after=None, limit=10),
    "PermissionStore.repeated": lambda s: s.permissions.repeated(ANN, OTHER),
    "PermissionStore.decide": lambda s: s.permissions.decide(ANN, ANNS, APPROVED, resolved, OTHER),
    "RunStore.cancel": lambda s: s.runs.cancel(ANN, ANNS, lambda _: (CANCELLED, last(7)[0])),
    "ConversationStore.delete": lambda s: s.conversations.delete(ANN, C1),
}
"""Everything that a caller asks for, in an order in which each finds something."""

BY_RUNS = {"PermissionStore.decided", "PermissionStore.standing"}
"""What names an owner and is asked by a run of theirs."""


def named_by_owner() -> set[str]:
    """Every method of a port whose first argument is an owner."""
    found = set()
    for port in (*vars(ports).values(), *vars(permission_ports).values(), UsageStore, DayStore):
        if not (inspect.isclass(port) and getattr(port, "_is_protocol", False)):
            continue
        for name, method in vars(port).items():
            if inspect.isfunction(method) and [*inspect.signature(method).parameters][1:2] == ["owner"]:
                found.add(f"{port.__name__}.{name}")
    return found


def test_whatever_names_an_owner_is_tried_here() -> None:
    assert named_by_owner() == CALLS.keys() | BY_RUNS


async def test_callers_need_nothing_that_the_worker_may(stores: PostgresStores, owner: Database) -> None:
    async with owner.connection() as connection:
        await connection.execute("REVOKE ALL ON ALL TABLES IN SCHEMA orchestrator FROM orchestrator_worker")
    for name, call in CALLS.items():
        found = await call(stores)
        nothing = name in ("RequestKeyStore.check", "PermissionStore.repeated", "RunStore.cancel")
        assert (found is None) if nothing else found, name


async def test_what_callers_ask_is_never_asked_by_the_worker(stores: PostgresStores, owner: Database) -> None:
    async with owner.connection() as connection:
        await connection.execute("REVOKE ALL ON ALL TABLES IN SCHEMA orchestrator FROM orchestrator_rpc")
    for call in CALLS.values():
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await call(stores)


async def test_another_owner_gets_nothing_by_a_query_that_forgot_to_ask_who(
    stores: PostgresStores, owner: Database
) -> None:
    """The functions that only name a run, as those of a transaction do once it is locked."""
    async with owner.connection() as connection:
        before = await connection.fetch("SELECT * FROM runs ORDER BY run_id")
    async with stores.callers.asking(ANN) as connection:
        await connection.execute("UPDATE runs SET state = 'cancelled', end_time = now()")
    async with owner.connection() as connection:
        after = await connection.fetch("SELECT * FROM runs ORDER BY run_id")
    changed = [old["run_id"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [UUID(ANNS)]
    assert RunId(uuid4().hex) not in changed
