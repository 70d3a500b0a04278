"""Other services whose agents may answer here."""

from pathlib import Path

from pydantic import Field

from config.group import Group


class RemoteSettings(Group):
    """Where they stand, and how far a request may go."""

    file: Path | None = Field(default=None, description="file of remotes, see docs/agents.md; empty = none")
    max_hops: int = Field(
        default=4,
        ge=1,
        le=100,
        description="how often a request may have been handed on before this service hands it on no more",
    )
