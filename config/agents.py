"""Where the agents are, and how soon a change of one counts."""

from pathlib import Path

from pydantic import Field

from config.group import Group


class AgentSettings(Group):
    """The catalogue."""

    folder: Path | None = Field(
        default=None,
        description="folder of the agents' files, see docs/agents.md; empty = those that came with us",
    )
    graphs_folder: Path | None = Field(
        default=None,
        description="folder with modules that an agent's file may name as its shape: they are imported",
    )
    graph_packages: list[str] = Field(
        default=[],
        description='installed packages whose modules may be named too, a JSON list as ["acme.graphs"]',
    )
    reload_seconds: float = Field(
        default=0.5, gt=0, le=3600, description="how often those files are looked at, seconds"
    )
