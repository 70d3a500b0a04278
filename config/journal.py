"""The outage journal, which accepts tasks while Postgres is away."""

from pathlib import Path

from pydantic import Field

from config.group import Group


class JournalSettings(Group):
    """The outage journal."""

    folder: Path | None = Field(
        default=None,
        description="where StartTask is accepted while Postgres is away: a folder on a disk, for one process;"
        " empty = nowhere",
    )
    max_entries: int = Field(default=10_000, ge=1, description="tasks that may wait there")
    max_bytes: int = Field(default=256 << 20, ge=1024, description="how much they may hold together, bytes")
    retry_seconds: float = Field(
        default=0.5, gt=0, le=60, description="how often a Postgres that is away is tried again, seconds"
    )
