"""What is wrong with an agent that its form does not show: what it names and nobody has."""

from collections.abc import Collection, Iterator
from typing import Protocol

from agents.prompt import unknown_variables
from agents.spec import AgentSpec

_KNOWN_SOURCES = ("builtin", "backend")
_PATTERN = frozenset("*?[")


class Graphs(Protocol):
    """What knows callers' own graphs."""

    def problems(self, name: str) -> list[str]: ...


def problems(
    spec: AgentSpec, tools: Collection[str], graphs: Graphs, remotes: Collection[str] = ()
) -> list[str]:
    """A line each; `tools` are the names that are known before any backend or MCP server is asked.

    `remotes` are the names of those that the settings know; none of them is asked.
    """
    own = graphs.problems(spec.graph) if spec.graph else ()
    return [*_tools(spec, tools), *_variables(spec), *_remote(spec, remotes), *own]


def class_problems(spec: AgentSpec, classes: Collection[str]) -> list[str]:
    """The classes of models that it names and that are in no list."""
    named = [("model_class", spec.model_class)]
    named += [(f"variants.{v.name}.model_class", v.model_class) for v in spec.variants if v.model_class]
    return [f"{place}: there is no class of models {name!r}" for place, name in named if name not in classes]


def _tools(spec: AgentSpec, tools: Collection[str]) -> Iterator[str]:
    for entry in spec.tools:
        source, _, name = entry.rpartition(":")
        if _PATTERN.isdisjoint(name) and source in ("", *_KNOWN_SOURCES) and name not in tools:
            hint = "" if source else "; one of another source is named as mcp:NAME or described:NAME"
            yield f"tools: there is no tool {entry!r}{hint}"


def _remote(spec: AgentSpec, remotes: Collection[str]) -> Iterator[str]:
    if spec.remote is not None and spec.remote.service not in remotes:
        yield f"remote.service: no remote is called {spec.remote.service!r} in ORCHESTRATOR_REMOTES__FILE"


def _variables(spec: AgentSpec) -> Iterator[str]:
    prompts = [("prompt", spec.prompt)]
    prompts += [(f"variants.{v.name}.prompt", v.prompt) for v in spec.variants if v.prompt]
    for place, prompt in prompts:
        for name in unknown_variables(prompt):
            yield f"{place}: there is no variable {{{{{name}}}}}"
