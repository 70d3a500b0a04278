"""A service whose agents use the tools of a scripted backend."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any

import orjson

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedToolCall
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service, collect, running_service

SHORT = {"reap_seconds": 0.1, "retry_seconds": 0.1}
MILK = {"text": "buy milk", "kind": "todo"}


def tools_at(backend: FakeToolService, **changed: object) -> Mapping[str, object]:
    """The settings that make the backend's tools a service's."""
    return {"address": backend.address, **changed}


@asynccontextmanager
async def tooled(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService, **groups: Any
) -> AsyncIterator[Service]:
    """`groups` change settings, as in `running_service`."""
    groups["tools"] = tools_at(backend, **groups.get("tools", {}))
    groups.setdefault("use_grpc_tool_service", True)
    groups["run"] = {**SHORT, **groups.get("run", {})}
    async with running_service(dsn, provider, **groups) as service:
        yield service


def wish(name: str, arguments: Mapping[str, Any] | str | None = None) -> ScriptedToolCall:
    """A model's wish for a tool."""
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
    return ScriptedToolCall(name=name, arguments=text)


def wishing(*wishes: ScriptedToolCall, text: str = "") -> Script:
    """An answer that ends with wishes."""
    return Script(tokens=(text,) if text else (), tool_calls=wishes)


ADDS_MILK = wishing(wish("add_org_inbox_item", MILK), text="I add it.")
DONE = Script(tokens=("Done", "."))


async def pending(service: Service, **fields: str) -> list[pb.PendingPermission]:
    """What waits for the user `ann`, the newest first."""
    request = pb.PermissionRequest(user_id="ann", **fields)  # type: ignore[arg-type]
    return list((await service.stub.GetPendingPermissions(request)).permissions)


async def decide(
    service: Service, permission: pb.PendingPermission, decision: str = "approved", **fields: object
) -> pb.ApprovalResponse:
    values: dict[str, object] = {
        "user_id": "ann",
        "permission_id": permission.permission_id,
        "approval_decision": decision,
        **fields,
    }
    response: pb.ApprovalResponse = await service.stub.ApprovePermission(
        pb.PermissionApproval(**values)  # type: ignore[arg-type]
    )
    return response


async def rest(service: Service, run_id: str, after: int = 0) -> list[pb.ChatChunk]:
    """The log of a run after a sequence, to its end."""
    chunks: list[pb.ChatChunk] = []
    request = pb.ResumeStreamRequest(user_id="ann", run_id=run_id, after_sequence=after)
    await collect(service.stub.ResumeStream(request), chunks)
    return chunks


_APART = ("heartbeat", "title")


def kinds(chunks: list[pb.ChatChunk]) -> list[str]:
    """What the chunks are; text that came in pieces once.

    Heartbeats apart, and titles, which every conversation's first turn has: they have tests of their own.
    """
    said = (str(chunk.WhichOneof("payload")) for chunk in chunks)
    return [kind for kind, _ in groupby(kind for kind in said if kind not in _APART)]


def told(provider: ScriptedProvider, call: int) -> list[str]:
    """What the tools have told the model by its call of this number, from 1."""
    return [m["content"] for m in provider.ledger[call - 1].body["messages"] if m["role"] == "tool"]
