"""The routing set: what is decided without a model is decided rightly; for the rest a model has its say.

Requests for agents that have no file yet are skipped. Without a model no other agent may take them either.
"""

from collections import Counter, defaultdict

import orjson
import pytest

from agents.hints import plain
from agents.router import Routed, RouteReason, RouteWish, Undecided, route
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.catalogue import agent_named, shipped
from tests.harness.service import running_service
from tests.routing.labelled import NAMES, Labelled, labelled

REQUESTS = list(labelled())
CATALOG = shipped()
BY_AGENT = Counter(request.agent for request in REQUESTS)
BY_KIND = Counter(request.kind for request in REQUESTS)


def decided(request: Labelled, *, classifies: bool = True) -> Routed | Undecided:
    return route(CATALOG, RouteWish(), request.text, able=lambda spec: True, classifies=classifies)


def skip_without_file(request: Labelled) -> None:
    if request.agent not in CATALOG.names:
        pytest.skip(f"{request.agent} has no file yet")


def test_the_set_is_large_and_has_every_agent_and_every_request_once() -> None:
    assert set(BY_AGENT) == NAMES
    assert set(CATALOG.names) <= NAMES
    assert len({request.text for request in REQUESTS}) == len(REQUESTS) >= 200
    assert min(BY_AGENT.values()) >= 6
    assert BY_KIND["traps"] >= 40


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request.agent}-{request.text[:40]}")
def test_what_is_decided_without_a_model_is_decided_rightly(request_: Labelled) -> None:
    decision = decided(request_)
    if isinstance(decision, Routed):
        assert decision.reason is RouteReason.KEYWORDS
        assert decision.spec.name == request_.agent
    if request_.kind == "plain":
        skip_without_file(request_)
        assert isinstance(decision, Routed)
    elif isinstance(decision, Undecided):
        skip_without_file(request_)
        assert request_.agent in {spec.name for spec in decision.candidates}


def test_without_a_model_what_is_not_plain_is_chat() -> None:
    for request in REQUESTS:
        decision = decided(request, classifies=False)
        assert isinstance(decision, Routed)
        meant = plain(request.text, CATALOG.specs)
        assert decision.spec is (meant or CATALOG.default)


def says(agent: str) -> bool:
    """Whether the agent answers in words, and needs nothing beside the request."""
    spec = agent_named(agent)
    return spec.response_schema is None and not spec.variables


def few() -> list[Labelled]:
    """The first two of each agent and kind: a turn of the whole service takes its time."""
    groups: dict[tuple[str, str], list[Labelled]] = defaultdict(list)
    for request in REQUESTS:
        groups[request.agent, request.kind].append(request)
    return [request for group in groups.values() for request in group[:2]]


async def test_through_the_service_a_model_is_asked_for_just_those_that_are_not_plain(
    dsn: str, provider: ScriptedProvider
) -> None:
    wanted = [request for request in few() if request.agent in CATALOG.names and says(request.agent)]
    open_ = [request for request in wanted if isinstance(decided(request), Undecided)]
    reasons: Counter[str] = Counter()
    async with running_service(dsn, provider, routing=True) as service:
        for number, request in enumerate(wanted):
            if request in open_:
                provider.enqueue(Script(tokens=(orjson.dumps({"agent": request.agent}).decode(),)))
            provider.enqueue(Script(tokens=("Done.",)))
            # Agents with tools need none to answer: the scripted model wishes for nothing.
            chunks = await service.chat(request.text, user_id=f"user-{number}")
            [update] = [chunk.agent_update for chunk in chunks if chunk.HasField("agent_update")]
            assert (update.agent_name, request.text) == (request.agent, request.text)
            reasons[update.routing_reason] += 1
    assert reasons == {"classifier": len(open_), "keywords": len(wanted) - len(open_)}
    assert len(provider.ledger) == len(wanted) + len(open_)
