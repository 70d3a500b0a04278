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
    reload_seconds: float = Field(
        default=0.5, gt=0, le=3600, description="how often those files are looked at, seconds"
    )
