"""`python main.py agents check`: what is wrong with the files, a line each."""

from pathlib import Path

import pytest

from tests.harness.catalogue import agent_text, write_agents
from tests.harness.process import run_main

CHAT = {"chat": agent_text("chat")}
WRONG = {
    "a": (agent_text("a", shape="spiral"), "a.md: shape: "),
    "b": (
        agent_text("b", shape="react", tools="[no_such_tool]"),
        "b.md: tools: there is no tool 'no_such_tool'",
    ),
    "c": (agent_text("c", "Speak {{language}}."), "c.md: prompt: there is no variable {{language}}"),
    "d": (agent_text("d", aliases="[chat]"), "d: chat is called 'chat' too"),
    "e": ("no front matter", "e.md: expected"),
    "f": (agent_text("f", colour="red", temperature="7"), "f.md: colour: "),
}
FINE = {
    "patterns": agent_text(
        "patterns", shape="react", tools="['mcp:*', 'described:x', 'get_*', get_weather_data]"
    ),
    "named": agent_text("named", "You are {{ai_name}}, in {{ timezone }}, and {{style}}."),
}
PROVIDERS = """
[providers.own]
kind = "local"
[models.m]
provider = "own"
context_tokens = 1024
[classes]
chat = ["m"]
"""


async def check(folder: Path, **environment: str) -> tuple[int, list[str]]:
    """The exit code and the lines."""
    code, output, errors = await run_main(
        folder, "agents", "check", ORCHESTRATOR_AGENTS__FOLDER=str(folder / "agents"), **environment
    )
    return code, [*output.splitlines(), *errors.splitlines()]


async def test_the_agents_that_came_with_us_are_in_order(tmp_path: Path) -> None:
    code, output, errors = await run_main(tmp_path, "agents", "check")
    assert (code, errors) == (0, "")
    assert output.startswith("the agents are in order: ")


async def test_every_mistake_is_a_line_that_names_its_file(tmp_path: Path) -> None:
    write_agents(tmp_path / "agents", CHAT | FINE | {name: text for name, (text, _) in WRONG.items()})
    code, lines = await check(tmp_path)
    assert code == 1
    for _, line in WRONG.values():
        assert any(found.startswith(f"llm-orchestrator: {line}") for found in lines), (line, lines)
    assert sum("f.md: " in line for line in lines) == 2
    assert len(lines) == len(WRONG) + 1


async def test_what_only_a_backend_can_know_is_no_mistake(tmp_path: Path) -> None:
    write_agents(tmp_path / "agents", CHAT | FINE)
    assert await check(tmp_path) == (0, ["the agents are in order: 3"])


@pytest.mark.parametrize(
    "named", [{"model_class": "fast"}, {"variants": "[{name: v, weight: 1, model_class: fast}]"}]
)
async def test_classes_of_models_are_those_of_the_provider_file(
    tmp_path: Path, named: dict[str, str]
) -> None:
    write_agents(tmp_path / "agents", CHAT | {"quick": agent_text("quick", **named)})
    assert (await check(tmp_path))[0] == 0
    (tmp_path / "providers.toml").write_text(PROVIDERS)
    code, [line] = await check(tmp_path, ORCHESTRATOR_PROVIDER__FILE=str(tmp_path / "providers.toml"))
    assert code == 1
    assert line.endswith("model_class: there is no class of models 'fast'")


async def test_a_server_does_not_start_with_agents_that_cannot_work(tmp_path: Path) -> None:
    write_agents(tmp_path / "agents", {"chat": agent_text("chat", "{{language}}")})
    folder = str(tmp_path / "agents")
    code, _, errors = await run_main(tmp_path, OPENAI_API_KEY="sk-test", ORCHESTRATOR_AGENTS__FOLDER=folder)
    assert code == 1
    assert errors.splitlines()[-1] == "llm-orchestrator: chat.md: prompt: there is no variable {{language}}"
