"""Each agent of the catalogue is played through gRPC by a test that is marked with its name."""

import ast
from collections import Counter
from pathlib import Path

from tests.harness.catalogue import shipped
from wiring.agents import SHIPPED

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests/integration/agents/catalogue"


def marked(function: ast.AsyncFunctionDef) -> list[str]:
    """The agents that a test is marked with."""
    marks = (mark for mark in function.decorator_list if isinstance(mark, ast.Call))
    agents = (mark for mark in marks if ast.unparse(mark.func) == "pytest.mark.agent")
    return [str(ast.literal_eval(mark.args[0])) for mark in agents]


def plays(function: ast.AsyncFunctionDef, agent: str) -> bool:
    """Whether a test plays a scene of this agent."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    scenes = [call for call in calls if ast.unparse(call.func) == "Scene"]
    of_the_agent = any(ast.literal_eval(scene.args[0]) == agent for scene in scenes)
    return of_the_agent and any(ast.unparse(call.func) == "play" for call in calls)


def played(folder: Path) -> Counter[str]:
    """How many tests play each agent."""
    tests = [
        node
        for path in sorted(folder.glob("test_*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    return Counter(agent for test in tests for agent in marked(test) if plays(test, agent))


def test_every_agent_is_played_by_one_test() -> None:
    assert played(FOLDER) == Counter(shipped().names)


def test_a_test_counts_only_when_it_is_marked_and_plays_that_agent(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "@pytest.mark.agent('a')\nasync def test_a(): await play(s, b, Scene('a', 'q', 'x'))\n"
        "@pytest.mark.agent('b')\nasync def test_b(): await play(s, b, Scene('a', 'q', 'x'))\n"
        "@pytest.mark.agent('c')\nasync def test_c(): Scene('c', 'q', 'x')\n"
        "@pytest.mark.agent('d')\nasync def play_d(): await play(s, b, Scene('d', 'q', 'x'))\n"
        "async def test_e(): await play(s, b, Scene('e', 'q', 'x'))\n"
    )
    assert played(tmp_path) == Counter(["a"])


def test_no_agent_file_is_longer_than_sixty_lines() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in SHIPPED.glob("*.md")}
    assert {name: length for name, length in lengths.items() if length > 60} == {}
