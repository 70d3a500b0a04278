"""Agents as data."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Shape(StrEnum):
    """The graph shapes this service knows."""

    DIRECT = "direct"


class AgentSpec(BaseModel):
    """Everything that distinguishes one agent from another: the front matter of its file, then its prompt.

    `version` is a digest of the file. A run keeps the version it began with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    description: str = Field(min_length=1, max_length=500)
    shape: Shape
    aliases: tuple[str, ...] = ()
    model_class: str = Field(default="chat", pattern=r"^[a-z][a-z0-9_]{0,62}$")
    temperature: float | None = Field(default=None, ge=0, le=2)
    prompt: str = Field(min_length=1)
    version: str
