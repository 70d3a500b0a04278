"""Which modules an agent's file may name, and what is said of those that are of no use."""

import asyncio
from pathlib import Path

import pytest

from agents.loader import CatalogError, parse_agent
from agents.own.loading import GraphLibrary
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.catalogue import agent_text, write_agents
from tests.harness.service import settings_for_tests, text_of
from tests.integration.agents.own.conftest import MODULES, owning
from tests.integration.routing.logs import heard
from wiring.agents import check

CHAT = {"chat": agent_text("chat")}
WRONG = {
    "own_plays:half": "own_plays:half cannot be compiled: ValueError at ",
    "own_plays:number": "own_plays:number is no graph: neither compiled, nor a StateGraph, nor a function",
    "own_plays:Letter": "own_plays:Letter is no graph",
    "own_plays:missing": "the module 'own_plays' has no attribute 'missing'",
    "own_plays:deaf": "own_plays:deaf takes no input: it needs 'question' or 'messages' in its state",
    "own_plays.inner:graph": "there is no module 'own_plays.inner'",
    "own_broken:graph": "the module 'own_broken' fails on import: RuntimeError at ",
    "own_needing:graph": "the module 'own_needing' fails on import: it needs 'there_is_no_such_package'",
    "own_nowhere:graph": "the module 'own_nowhere' may not be named: it is neither in ",
    "os:getcwd": "the module 'os' may not be named",
    "agents.own.loading:GraphLibrary": "the module 'agents.own.loading' may not be named",
    "own_plays:two.nodes": "'own_plays:two.nodes' is not of the form package.module:attribute",
}


def test_every_name_that_stands_for_no_graph_is_one_line_of_the_check(tmp_path: Path) -> None:
    agents = {f"a{n}": agent_text(f"a{n}", shape=name) for n, name in enumerate(WRONG)}
    folder = write_agents(tmp_path / "agents", CHAT | agents)
    with pytest.raises(CatalogError) as raised:
        check(settings_for_tests(agents={"folder": folder, "graphs_folder": MODULES}))
    lines = raised.value.lines
    assert len(lines) == len(WRONG)
    for n, line in enumerate(WRONG.values()):
        assert any(f"a{n}.md: shape: {line}" in found for found in lines), (line, lines)
    assert "canary" not in str(lines)


def test_nothing_is_imported_that_the_operator_has_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sprung = tmp_path / "sprung"
    (tmp_path / "own_trap.py").write_text(f"open({str(sprung)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    for packages in ((), ("own_tra",), ("own_trap.inner",)):
        [line] = GraphLibrary(None, packages).problems("own_trap:graph")
        assert "the module 'own_trap' may not be named" in line
        assert not sprung.exists()
    [line] = GraphLibrary(None, ["own_trap"]).problems("own_trap:graph")
    assert line == "shape: the module 'own_trap' has no attribute 'graph'"
    assert sprung.exists()


def test_a_module_of_the_folder_that_another_one_hides_is_refused(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("graph = None\n")
    [line] = GraphLibrary(tmp_path, []).problems("json:graph")
    assert line == "shape: the module 'json' is hidden by another one that is called 'json'"


@pytest.mark.parametrize("front", [{"shape": "own"}, {"shape": "direct", "graph": "own_plays:two_nodes"}])
def test_a_graph_is_named_by_the_shape_alone(front: dict[str, str]) -> None:
    with pytest.raises(CatalogError) as raised:
        parse_agent("a.md", agent_text("a", **front).encode())
    assert raised.value.lines == (
        "a.md: a graph of one's own is named by the shape: package.module:attribute",
    )


async def test_a_file_that_is_read_again_keeps_its_graph(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService, tmp_path: Path
) -> None:
    agents = {"poet": agent_text("poet", shape="own_plays:remembers")}
    folder = write_agents(tmp_path / "agents", CHAT | agents)
    reloading = {"reload_seconds": 0.05}
    provider.default = Script(tokens=("Ok.",))
    async with owning(dsn, provider, backend, folder, agents=reloading) as service:
        await service.chat("first", agent_type="poet", conversation_id="c1")
        with heard() as lines:
            write_agents(folder, {"poet": agent_text("poet", "Be long.", shape="own_plays:remembers")})
            async with asyncio.timeout(5):
                assert await lines.next() == "the agents' files were read again"
        chunks = await service.chat("second", agent_type="poet", conversation_id="c1")
    assert text_of(chunks) == "Ok.\n\nturn 2: ann asked first; ann asked second"
    assert provider.ledger[1].body["messages"][0]["content"] == "Be long."
