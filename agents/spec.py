"""Agents as data."""

import re
from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from agents.variables import places
from agents.words import telling, words
from tools.policy import Verdict
from tools.schemas import usable

NAME = r"^[a-z][a-z0-9_]{0,62}$"
Variable = Annotated[str, Field(pattern=NAME)]


class Shape(StrEnum):
    """The graph shapes this service knows."""

    DIRECT = "direct"
    REACT = "react"
    EDIT = "edit"
    RESEARCH = "research"
    FORM = "form"
    REMOTE = "remote"
    OWN = "own"

    @property
    def in_steps(self) -> bool:
        """Whether a turn keeps a checkpoint of each of its steps."""
        return self is not Shape.DIRECT


class ResearchLimits(BaseModel):
    """What research looks up: with `local_tools` by the question, then with `web_tools` in so many `rounds`.

    Entries are as in `tools`. A tool that needs a `query` searches; one that needs a `url` or a `document_id`
    reads what a search has found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = Field(default=2, ge=0, le=10)
    local_tools: tuple[str, ...] = Field(default=(), max_length=16)
    web_tools: tuple[str, ...] = Field(default=(), max_length=16)


class FormField(BaseModel):
    """A field: what to ask for, and the name of one of the action's arguments, unless the form has a `block`.

    `pattern` has to match all of the value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    description: str = Field(min_length=1, max_length=500)
    required: bool = True
    pattern: str | None = None

    @field_validator("pattern")
    @classmethod
    def _pattern_is_one(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return pattern


class FormBlock(BaseModel):
    """A text made of the fields, which is the action's only `argument`.

    In its `lines` stand fields as `{title}`. A line all of whose fields are empty is left out. One with a
    single field stands there once for each line of that field's value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    argument: str = Field(pattern=NAME)
    lines: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = Field(
        min_length=1, max_length=50
    )


class FormSpec(BaseModel):
    """What a form collects, the tool that acts on it, and how the fields become its arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: tuple[FormField, ...] = Field(min_length=1, max_length=32)
    action: str = Field(min_length=1)
    block: FormBlock | None = None

    @model_validator(mode="after")
    def _block_holds_every_field(self) -> Self:
        if self.block is None:
            return self
        held = places("\n".join(self.block.lines))
        if strange := held ^ {field.name for field in self.fields}:
            raise ValueError(f"not both in the fields and in the block: {', '.join(sorted(strange))}")
        return self


class RemoteAgent(BaseModel):
    """Who answers elsewhere: the agent `agent_type` of the remote that the settings call `service`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str = Field(pattern=NAME)
    agent_type: str = Field(min_length=1, max_length=128)


LIKE_AN_EXAMPLE = 0.75
"""From how much in common with an example on (Dice's coefficient) a request counts as one."""


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

    @cached_property
    def telling(self) -> frozenset[str]:
        """For a request that has none of these words nothing speaks here."""
        return telling(self._phrases, self._sentences, LIKE_AN_EXAMPLE)

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
    `max_steps` answers of the model, or `max_tool_calls`, end a run. `variables` are keys of the request's
    hints that the prompt has places for, as `{text_a}`. `fresh`: the model is shown neither what was said
    before nor how the user wants to be answered; `summaries`: what no longer fits is summed up.
    `response_schema`: the answer is JSON of this form. `reads`: what is open in the user's editor is shown to
    the model too, as `edit` agents always see it. `version` is a digest of the file. A run keeps the version
    it began with.
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
    research: ResearchLimits | None = None
    form: FormSpec | None = None
    remote: RemoteAgent | None = None
    graph: str = Field(default="", exclude=True)
    max_steps: int = Field(default=12, ge=1, le=100)
    max_tool_calls: int = Field(default=40, ge=1, le=1000)
    variables: tuple[Variable, ...] = Field(default=(), max_length=16)
    fresh: bool = False
    reads: Literal["document"] | None = None
    summaries: bool = True
    response_schema: Mapping[str, Any] | None = None
    routing: RoutingHints = RoutingHints()
    variants: tuple[Variant, ...] = Field(default=(), max_length=16)
    prompt: str
    version: str

    @model_validator(mode="before")
    @classmethod
    def _shape_may_name_a_graph(cls, values: dict[str, Any]) -> dict[str, Any]:
        if "graph" in values or values.get("shape") == Shape.OWN:
            raise ValueError("a graph of one's own is named by the shape: package.module:attribute")
        shape = values.get("shape")
        if isinstance(shape, str) and ":" in shape:
            return {**values, "shape": Shape.OWN, "graph": shape}
        return values

    @field_validator("response_schema")
    @classmethod
    def _schema_can_be_checked(cls, schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        return None if schema is None else usable(schema, patterns=False)

    @model_validator(mode="after")
    def _only_direct_agents_are_fresh_or_answer_in_a_form(self) -> Self:
        if self.shape is not Shape.DIRECT and (self.fresh or self.response_schema is not None):
            raise ValueError("fresh and response_schema are for the shape direct")
        return self

    @model_validator(mode="after")
    def _only_who_speaks_with_the_user_reads_along(self) -> Self:
        if self.reads is not None and self.shape not in (Shape.DIRECT, Shape.REACT):
            raise ValueError("reads is for the shapes direct and react")
        return self

    @model_validator(mode="after")
    def _prompt_has_a_place_for_each_variable(self) -> Self:
        if self.shape is Shape.REMOTE:
            return self  # they are passed on
        if strange := places(self.prompt) ^ set(self.variables):
            raise ValueError(f"not both in variables and in the prompt: {', '.join(sorted(strange))}")
        return self

    @property
    def offers_tools(self) -> bool:
        """Whether the model itself wishes for tools, and so has to be one that can."""
        return self.shape in (Shape.REACT, Shape.OWN) and bool(self.tools)

    @model_validator(mode="after")
    def _tools_fit_the_shape(self) -> Self:
        if self.shape is not Shape.OWN and (self.shape in _WITH_TOOLS) != bool(self.tools):
            with_tools = ", ".join(shape.value for shape in _WITH_TOOLS)
            raise ValueError(f"an agent of the shape {with_tools} needs tools, and no other may have any")
        strange = [name for name in self.permissions if not any(fits(name, entry) for entry in self.tools)]
        if strange:
            raise ValueError(f"permissions for tools that it does not have: {', '.join(sorted(strange))}")
        if len({variant.name for variant in self.variants}) < len(self.variants):
            raise ValueError("two variants have the same name")
        return self

    @model_validator(mode="after")
    def _form_has_its_tool(self) -> Self:
        if (self.shape is Shape.FORM) != (self.form is not None):
            raise ValueError("an agent of the shape form needs `form`, and no other may have it")
        if self.form is not None and self.form.action not in self.tools:
            raise ValueError(f"the form's action {self.form.action} is not in `tools`")
        return self

    @model_validator(mode="after")
    def _remote_agents_have_no_prompt(self) -> Self:
        if (self.shape is Shape.REMOTE) != (self.remote is not None):
            raise ValueError("an agent of the shape remote needs `remote`, and no other may have it")
        if (self.remote is not None) == bool(self.prompt):
            raise ValueError("an agent needs a prompt, unless it is remote: then it may have none")
        return self

    @model_validator(mode="after")
    def _research_has_its_tools(self) -> Self:
        if (self.shape is Shape.RESEARCH) != (self.research is not None):
            raise ValueError("an agent of the shape research needs `research`, and no other may have it")
        if self.research is not None:
            strange = {*self.research.local_tools, *self.research.web_tools} - set(self.tools)
            if strange:
                raise ValueError(f"research with tools that are not in `tools`: {', '.join(sorted(strange))}")
        return self


_WITH_TOOLS = (Shape.REACT, Shape.RESEARCH, Shape.FORM)


def fits(name: str, entry: str) -> bool:
    """Whether an entry of `tools` may mean this tool: a name or a pattern, perhaps of one source."""
    return fnmatchcase(name, entry.rpartition(":")[2])
