"""Where the agents are, and how soon a change of one counts."""

from pathlib import Path
from typing import Literal

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
    titles: Literal["model", "rule", "off"] = Field(
        default="model",
        description="titles of conversations: model = by a model of class fast, unless it is also that of "
        "class chat; rule = the first sentence; off",
    )
    title_seconds: float = Field(
        default=3.0,
        gt=0,
        le=60,
        description="how long a model may take for a title, from the begin on, seconds",
    )
    summaries: bool = Field(
        default=True,
        description="what no longer fits a model's context is summed up, unless the agent's file says",
    )
    summary_seconds: float = Field(
        default=15.0, gt=0, le=300, description="how long a summary may hold up a turn, seconds"
    )
    reload_seconds: float = Field(
        default=0.5, gt=0, le=3600, description="how often those files are looked at, seconds"
    )
