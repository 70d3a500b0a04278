"""A person decides over REST, and a tool of the backend's own server is called or is not."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backend.parts import Tools
from llm_orchestrator_client.protos import tool_service_pb2 as tools_pb
from llm_orchestrator_client.tool_service import Call, ToolHandlers
from tests.backend.first.reading import Browser, Browsers
from tests.backend.first.running import running_backend, settings_of
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.service import running_service
from tests.harness.tooled import ADDS_MILK, DONE, SHORT


class Inbox(ToolHandlers):
    """One tool, and what was written with it."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str]] = []

    async def add_org_inbox_item(
        self, call: Call, request: tools_pb.AddOrgInboxItemRequest
    ) -> tools_pb.AddOrgInboxItemResponse:
        self.written.append((call.user, request.text))
        return tools_pb.AddOrgInboxItemResponse(success=True)


@asynccontextmanager
async def with_inbox(
    dsn: str, provider: ScriptedProvider, browsers: Browsers
) -> AsyncIterator[tuple[Browser, Inbox]]:
    """The orchestrator calls the backend's tools, and the backend the orchestrator."""
    inbox, port = Inbox(), _free_port()
    tool_settings = {"address": f"127.0.0.1:{port}", "token": "the-orchestrators-token"}
    async with running_service(
        dsn,
        provider,
        use_grpc_tool_service=True,  # type: ignore[arg-type]
        tools={"address": tool_settings["address"], "token": tool_settings["token"]},
        run=SHORT,
    ) as service:
        settings = settings_of(f"127.0.0.1:{service.port}", tool_service=tool_settings)
        async with running_backend(settings, tools=Tools(inbox)) as backend:
            yield browsers.at(backend.address), inbox


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


DECISIONS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "approve": ({}, [("ann", "buy milk")]),
    "deny": ({"reason": "no"}, []),
    "edit": ({"arguments": {"text": "buy oats", "kind": "todo"}}, [("ann", "buy oats")]),
}


@pytest.mark.parametrize("decision", DECISIONS)
async def test_a_decision_is_carried_out(
    dsn: str, provider: ScriptedProvider, browsers: Browsers, decision: str
) -> None:
    more, written = DECISIONS[decision]
    provider.enqueue(ADDS_MILK, DONE)
    async with with_inbox(dsn, provider, browsers) as (ann, inbox):
        events = await ann.chat("Note: buy milk.", agent_type="org_inbox")
        assert events[-1].data["finish_reason"] == "WAITING_FOR_PERMISSION"
        shown = next(e.data["permission"] for e in events if e.kind == "permission_requested")
        _, waiting, _ = await ann.call("GET", "/permissions")
        assert [p["permission_id"] for p in waiting["permissions"]] == [shown["permission_id"]]
        assert inbox.written == []
        place, digest = f"/permissions/{shown['permission_id']}", shown["arguments_digest"]
        if decision != "deny":
            assert (await ann.call("POST", place, {"decision": decision, **more}))[0] == 400
            wrong = {"decision": decision, "arguments_digest": "0" * 64, **more}
            assert (await ann.call("POST", place, wrong))[0] == 409
        answer = {"decision": decision, "arguments_digest": digest, **more}
        status, decided, _ = await ann.call("POST", place, answer)
        assert (status, decided["run_id"]) == (200, events[0].data["run_id"])
        async with ann.stream(f"/chat/{decided['run_id']}/events") as stream:
            assert (await stream.rest())[-1].kind == "complete"
        assert inbox.written == written


async def test_only_known_decisions_are_taken(ann: Browser) -> None:
    for answer in ({"decision": "maybe"}, {"decision": "deny", "user_id": "bob"}, {}):
        status, problem, _ = await ann.call("POST", f"/permissions/{'0' * 32}", answer)
        assert (status, bool(problem["violations"])) == (422, True)
