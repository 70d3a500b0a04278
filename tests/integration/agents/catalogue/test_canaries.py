"""Two users, many runs of mixed agents at the same time: nothing that belongs to one reaches another."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from protos import orchestrator_pb2 as pb
from providers.file.entries import Timeouts
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.catalogue import agent_named
from tests.harness.scale import scaled
from tests.harness.service import Service, chat_request, text_of
from tests.harness.tooled import tooled, wish, wishing

RUNS = scaled(100)
USERS = ("ann", "bob")
CANARY = re.compile(r"canary-(?:ann|bob)-\d+-(?:asked|hinted|found)")
_OF_A_RUN = re.compile(r"canary-((?:ann|bob)-\d+)-")
PATIENT = Timeouts(connect_seconds=30, first_token_seconds=60, between_tokens_seconds=60, total_seconds=90)
JUDGED = '{{"winner": "a", "justification": "{0}", "confidence": 4}}'

WISHES: dict[str, Any] = {
    "weather": lambda canary: wish("get_weather_data", {"location": canary}),
    "content_analysis": lambda canary: wish("search_documents", {"query": canary}),
    "fact_checking": lambda canary: wish("search_web", {"query": canary}),
    "org_inbox": lambda canary: wish("add_org_inbox_item", {"text": canary, "kind": "todo"}),
    "image_generation": lambda canary: wish("generate_image", {"prompt": canary}),
}
"""What the model of each agent wants with the canary of the question; the others answer at once."""
MIX = (*WISHES, "chat", "comparison")
ASKS = "image_generation"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: whose, of which agent, and what it said until its stream ended."""

    name: str
    user: str
    agent: str
    chunks: list[pb.ChatChunk]

    @property
    def waits(self) -> bool:
        return self.chunks[-1].complete.finish_reason == pb.FINISH_REASON_WAITING_FOR_PERMISSION


def owners(text: object) -> set[str]:
    """The runs whose canaries stand in a text, as `ann-7`."""
    return set(_OF_A_RUN.findall(str(text)))


def agent_of(body: Any) -> str:
    """Whose prompt a request of the model begins with."""
    system = body["messages"][0]["content"]
    return next(n for n in MIX if system.startswith(agent_named(n).prompt.split("{")[0]))


def answered(body: Any) -> Script:
    """A wish with the canary of the question, and then an answer that says every canary the model was shown.

    The first answer of each run is held, so that all of them are under way at once.
    """
    agent, messages = agent_of(body), body["messages"]
    asked = CANARY.findall(messages[-1]["content"])
    if agent in WISHES and messages[-1]["role"] == "user":
        return replace(wishing(WISHES[agent](asked[0])), hold_after=0)
    said = " ".join(CANARY.findall(str(messages)))
    tokens = tuple((JUDGED.format(said) if agent == "comparison" else said).split(" "))
    return Script(tokens=tokens, hold_after=0 if messages[-1]["role"] == "user" else None)


def found(request: dict[str, Any]) -> str:
    """What the backend has for a request: a canary of its own, for the run that asks."""
    [owner] = owners(request)
    return f"canary-{owner}-found"


@pytest.fixture
async def busy(dsn: str, provider: ScriptedProvider, backend: FakeToolService) -> AsyncIterator[Service]:
    provider.answer_by(answered)
    backend.answer_with("GetWeatherData", lambda r: Answer(answer={"current_conditions": found(r)}))
    backend.answer_with("SearchDocuments", lambda r: Answer(answer={"results": [{"title": found(r)}]}))
    backend.answer_with("SearchWeb", lambda r: Answer(answer={"results": [{"snippet": found(r)}]}))
    backend.answer_with("AddOrgInboxItem", lambda r: Answer(answer={"message": found(r)}))
    backend.answer_with("GenerateImage", lambda r: Answer(answer={"model": found(r)}))
    limits = {"max_streams_per_user": RUNS, "max_calls_per_user": RUNS}
    async with tooled(dsn, provider, backend, server=limits, timeouts=PATIENT) as service:
        yield service


async def run(service: Service, number: int) -> Run:
    user, agent = USERS[number % 2], MIX[number % len(MIX)]
    name = f"{user}-{number}"
    # The conversations of both users have the same names.
    request = chat_request(
        f"canary-{name}-asked",
        user_id=user,
        agent_type=agent,
        conversation_id=f"c{number // 2}",
        metadata={key: f"canary-{name}-hinted" for key in ("text_a", "text_b", "criteria")},
        permission_grants=pb.PermissionGrants(file_write_permission=True),
    )
    return Run(name, user, agent, [chunk async for chunk in service.stub.StreamChat(request)])


async def at_once(service: Service, count: int) -> list[Run]:
    """So many runs, of which none goes on before all have begun."""
    runs = asyncio.gather(*(run(service, number) for number in range(count)))
    await service.provider.call(count, within=60)
    assert service.provider.in_flight == count
    service.provider.release()
    return await runs


async def permitted(service: Service, user: str) -> list[pb.PendingPermission]:
    request = pb.PermissionRequest(user_id=user, page_size=RUNS)
    return list((await service.stub.GetPendingPermissions(request)).permissions)


async def allowed(service: Service, runs: list[Run]) -> None:
    """Allow what the runs ask, each in the name of its user, and read what follows."""
    names = {run.chunks[0].run_id: run for run in runs}
    for user in USERS:
        for permission in await permitted(service, user):
            asking = names[permission.run_id]
            assert asking.user == user
            assert owners(permission) == {asking.name}
            approval = pb.PermissionApproval(
                user_id=user, permission_id=permission.permission_id, approval_decision="approved"
            )
            await service.stub.ApprovePermission(approval)
    for one in runs:
        request = pb.ResumeStreamRequest(user_id=one.user, run_id=one.chunks[0].run_id)
        one.chunks[:] = [chunk async for chunk in service.stub.ResumeStream(request)]


async def test_no_canary_crosses_between_runs_that_go_on_at_the_same_time(
    busy: Service, backend: FakeToolService, provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    runs = await at_once(busy, RUNS)
    assert {one.agent for one in runs if one.waits} == {ASKS}
    await allowed(busy, [one for one in runs if one.waits])
    for one in runs:
        assert owners(one.chunks) == {one.name}, one.agent
        said = set(CANARY.findall(text_of(one.chunks)))
        kinds = ["asked", *(["hinted"] if one.agent == "comparison" else ["found"] * (one.agent in WISHES))]
        assert said == {f"canary-{one.name}-{kind}" for kind in kinds}
    for call in provider.ledger:
        assert len(owners(call.body)) == 1
    assert len(backend.ledger.calls) == sum(one.agent in WISHES for one in runs)
    for tool_call in backend.ledger.calls:
        [owner] = owners(tool_call.request)
        assert tool_call.request["user_id"] == tool_call.metadata["x-user-id"] == owner.partition("-")[0]
    ours = [
        r
        for r in caplog.records
        if r.name.split(".")[0] in ("orchestrator", "agents", "tools", "providers", "state")
    ]
    assert not owners([vars(record) for record in ours])


async def test_who_goes_on_with_a_conversation_of_the_same_name_sees_only_their_own(busy: Service) -> None:
    runs = await at_once(busy, 20)
    await allowed(busy, [one for one in runs if one.waits])
    busy.provider.answer_by(lambda body: Script(tokens=(" ".join(CANARY.findall(str(body))),)))
    for one in runs:
        request = chat_request(user_id=one.user, conversation_id=f"c{int(one.name.split('-')[1]) // 2}")
        said = text_of([chunk async for chunk in busy.stub.StreamChat(request)])
        assert owners(said) == {one.name}
