"""The agents that came with us, and others that a test writes."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from agents.loader import AgentCatalog
from agents.spec import AgentSpec
from config.settings import Settings
from wiring.agents import folder_of, graphs_of


@cache
def shipped() -> AgentCatalog:
    """The catalogue as a server starts with it, read once: that takes a while."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    return AgentCatalog([file.spec for file in folder_of(settings, graphs_of(settings)).files().values()])


def agent_named(name: str) -> AgentSpec:
    """An agent that came with us."""
    spec = shipped().wanted(name, "agent_type")
    assert spec is not None
    return spec


def agent_text(name: str, prompt: str = "Be brief.", **fields: str) -> str:
    """A file of an agent; `fields` are lines of its front matter, as YAML."""
    front = {"description": f"What {name} does.", "shape": "direct", **fields}
    lines = "".join(f"{field}: {value}\n" for field, value in front.items())
    return f"---\nname: {name}\n{lines}---\n{prompt}\n"


def write_agents(folder: Path, agents: Mapping[str, str]) -> Path:
    """A folder of these files, by the names of their agents."""
    folder.mkdir(exist_ok=True)
    for name, text in agents.items():
        (folder / f"{name}.md").write_text(text)
    return folder
