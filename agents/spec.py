"""Agents as data."""

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from agents.words import words
from tools.policy import Verdict

NAME = r"^[a-z][a-z0-9_]{0,62}$"


class Shape(StrEnum):
    """The graph shapes this service knows."""

    DIRECT = "direct"
    REACT = "react"


class RoutingHints(BaseModel):
    """What speaks for an agent before a model is asked: see docs/agents.md.

    `keywords` are words or phrases; `examples` whole requests. `editor_types`: a document's type or language,
    or a pattern of its file's name. An agent that `locks` keeps the conversation until it is released.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keywords: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        default=(), max_length=100
    )
    examples: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = Field(
        default=(), max_length=50
    )
    editor_types: tuple[str, ...] = ()
    locks: bool = False
    _phrases: tuple[tuple[str, ...], ...] = PrivateAttr(default=())
    _sentences: tuple[frozenset[str], ...] = PrivateAttr(default=())

    def model_post_init(self, context: object, /) -> None:
        """Take the hints apart once: they are looked at for every request."""
        self._phrases = tuple(map(words, self.keywords))
        self._sentences = tuple(frozenset(words(text)) for text in self.examples)

    @property
    def phrases(self) -> tuple[tuple[str, ...], ...]:
        """The keywords as they are compared."""
        return self._phrases

    @property
    def sentences(self) -> tuple[frozenset[str], ...]:
        """The words of each example as they are compared."""
        return self._sentences


class Variant(BaseModel):
    """An agent with some of its fields otherwise, for as large a part of the users as `weight` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME)
    weight: float = Field(gt=0, le=1_000_000)
    prompt: str | None = Field(default=None, min_length=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    model_class: str | None = Field(default=None, pattern=NAME)


class AgentSpec(BaseModel):
    """Everything that distinguishes one agent from another: the front matter of its file, then its prompt.

    `tools` names what it may use; `permissions` says for some of them whether a person is asked before.
    `max_steps` answers of the model, or `max_tool_calls`, end a run. `version` is a digest of the file. A run
    keeps the version it began with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    description: str = Field(min_length=1, max_length=500)
    shape: Shape
    aliases: tuple[str, ...] = ()
    model_class: str = Field(default="chat", pattern=r"^[a-z][a-z0-9_]{0,62}$")
    temperature: float | None = Field(default=None, ge=0, le=2)
    tools: tuple[str, ...] = Field(default=(), max_length=64)
    permissions: Mapping[str, Verdict] = Field(default_factory=dict)
    max_steps: int = Field(default=12, ge=1, le=100)
    max_tool_calls: int = Field(default=40, ge=1, le=1000)
    routing: RoutingHints = RoutingHints()
    variants: tuple[Variant, ...] = Field(default=(), max_length=16)
    prompt: str = Field(min_length=1)
    version: str

    @model_validator(mode="after")
    def _tools_fit_the_shape(self) -> Self:
        if (self.shape is Shape.REACT) != bool(self.tools):
            raise ValueError("an agent of the shape react needs tools, and no other may have any")
        strange = [name for name in self.permissions if not any(_fits(name, entry) for entry in self.tools)]
        if strange:
            raise ValueError(f"permissions for tools that it does not have: {', '.join(sorted(strange))}")
        if len({variant.name for variant in self.variants}) < len(self.variants):
            raise ValueError("two variants have the same name")
        return self


def _fits(name: str, entry: str) -> bool:
    """Whether an entry of `tools` may mean this tool: a name or a pattern, perhaps of one source."""
    return fnmatchcase(name, entry.rpartition(":")[2])
