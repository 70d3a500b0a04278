"""The model call that chooses an agent: when it is made, what it costs, and what becomes of a bad answer."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.catalogue import write_agents
from tests.harness.configured import configured, with_file
from tests.harness.service import settings_for_tests, text_of
from tests.integration.routing.asking import AGENTS, LONG, chose, routed, says, who

FILE = """
[providers.acme]
kind = "openai"
base_url = "{url}"
[models.small]
provider = "acme"
context_tokens = 8192
{marked}
[models.big]
provider = "acme"
context_tokens = 8192
[classes]
chat = ["big"]
fast = ["small"]
"""


async def test_what_is_not_plain_is_asked_of_a_model_once_before_the_answer(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with routed(dsn, provider, tmp_path) as service:
        provider.enqueue(says("cook"), Script(tokens=("Well", ".")))
        chunks = await service.chat(LONG)
    assert who(chunks) == ("cook", "classifier")
    assert text_of(chunks) == "Well."
    assert [chose(call) for call in provider.ledger] == [True, False]
    asked = provider.ledger[0].body
    names = asked["response_format"]["json_schema"]["schema"]["properties"]["agent"]["enum"]
    assert names == sorted(AGENTS)
    assert asked["messages"][-1]["content"] == LONG
    assert chunks[0].metadata["routing_reason"] == "classifier"
    assert [chunk.agent_name for chunk in chunks] == [""] + ["cook"] * (len(chunks) - 1)
    assert [chunk.sequence for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert chunks[-1].usage.model_calls == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Script(tokens=("cook",)), "classifier_invalid"),
        (Script(tokens=('{"agent": "nobody"}',)), "classifier_invalid"),
        (Script(tokens=('{"agent": "cook", "why": "so"}',)), "classifier_invalid"),
        (Script(tokens=('["cook"]',)), "classifier_invalid"),
        (Script(tokens=()), "classifier_invalid"),
        (Script(status=400), "classifier_failed"),
        (Script(status=500), "classifier_failed"),
    ],
)
async def test_a_classification_that_is_invalid_or_fails_is_chat_and_says_so(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, answer: Script, reason: str
) -> None:
    async with routed(dsn, provider, tmp_path) as service:
        provider.enqueue(answer)
        chunks = await service.chat(LONG)
    assert who(chunks) == ("chat", reason)
    assert chunks[-1].HasField("complete")
    assert not chose(provider.ledger[-1])


async def test_the_call_that_chooses_counts_against_the_budget_of_the_run(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with routed(dsn, provider, tmp_path) as service:
        provider.enqueue(says("cook"))
        chunks = await service.chat(LONG, limits=pb.RunLimits(max_steps=1))
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert chunks[-1].metadata["limit"] == "max_steps"
    assert len(provider.ledger) == 1


async def test_the_call_that_chooses_is_none_of_the_steps_of_the_agent(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    files = {**AGENTS, "cook": AGENTS["cook"].replace("shape: direct", "shape: direct\nmax_steps: 1")}
    async with routed(dsn, provider, tmp_path, files=files) as service:
        provider.enqueue(says("cook"))
        chunks = await service.chat(LONG)
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_STOP


@pytest.mark.parametrize(
    ("marked", "classifier"),
    [("", ["small"]), ("routing = true", ["small"]), ("routing = false", []), ("json_schema = false", [])],
)
async def test_a_model_not_marked_is_never_asked(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, marked: str, classifier: list[str]
) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(FILE.format(url=provider.base_url, marked=marked))
    agents = {"folder": write_agents(tmp_path / "agents", AGENTS)}
    async with with_file(dsn, provider, file, agents=agents) as service:
        if classifier:
            provider.enqueue(says("cook"))
        chunks = await service.chat(LONG)
    assert who(chunks) == (("cook", "classifier") if classifier else ("chat", "default"))
    assert [call.body["model"] for call in provider.ledger] == [*classifier, "big"]


@pytest.mark.parametrize(("routing", "calls"), [(True, 2), (False, 1)])
async def test_the_one_model_is_asked_unless_its_setting_says_no(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, routing: bool, calls: int
) -> None:
    groups: Mapping[str, Mapping[str, object]] = {
        "provider": {"routing": routing},
        "agents": {"folder": write_agents(tmp_path / "agents", AGENTS)},
    }
    settings = settings_for_tests(**groups).model_copy(update={"openai_base_url": provider.base_url})
    async with configured(settings, dsn, provider) as service:
        await service.chat(LONG)
    assert len(provider.ledger) == calls


async def test_a_request_that_names_its_model_goes_to_no_other(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(FILE.format(url=provider.base_url, marked=""))
    agents = {"folder": write_agents(tmp_path / "agents", AGENTS)}
    async with with_file(dsn, provider, file, agents=agents) as service:
        assert who(await service.chat(LONG, model=pb.ModelOptions(model="big"))) == ("chat", "default")
    assert [call.body["model"] for call in provider.ledger] == ["big"]
