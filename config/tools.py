"""Tools of the caller's backend."""

from pydantic import Field

from config.group import Group


class ToolSettings(Group):
    """The tools that agents may use."""

    enabled: bool = Field(default=False, description="whether tools reach out to the backend at all")
    address: str = Field(default="127.0.0.1:50052", description="host:port of the backend's ToolService")
    permission_seconds: float = Field(
        default=86400.0, gt=0, description="how long people have to decide, seconds"
    )
