"""Callers' own graphs by their names, `package.module:attribute`: imported is what the operator allows."""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeGuard

from langgraph.channels import DeltaChannel
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from agents.own.context import TurnContext
from agents.own.failures import place_of, translated
from state.errors import AgentFailedError

Graph = CompiledStateGraph[Any, Any, Any, Any]
Factory = Callable[[TurnContext], Any]

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
QUESTION = "question"
MESSAGES = "messages"


class UnusableGraphError(Exception):
    """A name stands for no graph that can be used; the message says why, in a line for an operator."""


class GraphLibrary:
    """The modules that may be named: those of a folder, and those of some installed packages.

    A graph is imported once; whatever becomes of the files that name it, a process keeps it.
    """

    def __init__(self, folder: Path | None, packages: Sequence[str]) -> None:
        self._folder = folder
        self._packages = tuple(packages)
        self._found: dict[str, Graph | Factory] = {}

    def problems(self, name: str) -> list[str]:
        """What is wrong with a name: a line, or none."""
        try:
            self._named(name)
        except UnusableGraphError as error:
            return [f"shape: {error}"]
        return []

    async def graph(self, name: str, context: TurnContext, agent: str) -> Graph:
        """The graph for a turn.

        Raises:
            AgentFailedError: There is none here, or its own code failed.
        """
        try:
            found = self._named(name)
            if isinstance(found, CompiledStateGraph):
                return found
            made = await _made(found, context, agent)
            return _compiled(name, made)
        except UnusableGraphError as error:
            raise AgentFailedError("the agent's graph cannot be used in this process") from error

    def _named(self, name: str) -> Graph | Factory:
        if name not in self._found:
            if not _NAME.fullmatch(name):
                raise UnusableGraphError(f"{name!r} is not of the form package.module:attribute")
            module, _, attribute = name.partition(":")
            self._check_allowed(module)
            found = _attribute(_imported(module), module, attribute)
            self._found[name] = found if _is_factory(found) else _compiled(name, found)
        return self._found[name]

    def _check_allowed(self, module: str) -> None:
        if any(module == package or module.startswith(f"{package}.") for package in self._packages):
            return
        top = module.partition(".")[0]
        here = PathFinder.find_spec(top, [str(self._folder)]) if self._folder else None
        if here is None:
            raise UnusableGraphError(
                f"the module {module!r} may not be named: it is neither in "
                "ORCHESTRATOR_AGENTS__GRAPHS_FOLDER nor in a package of ORCHESTRATOR_AGENTS__GRAPH_PACKAGES"
            )
        first = find_spec(top)
        if first is not None and _origin(first) != _origin(here):
            raise UnusableGraphError(f"the module {module!r} is hidden by another one that is called {top!r}")
        if (folder := str(self._folder)) not in sys.path:
            sys.path.append(folder)  # last, so that nothing of ours is hidden by it


def _origin(found: ModuleSpec) -> tuple[str | None, list[str]]:
    return found.origin, list(found.submodule_search_locations or ())


def _imported(module: str) -> object:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UnusableGraphError(f"there is no module {module!r}") from error
        raise UnusableGraphError(f"the module {module!r} fails on import: it needs {error.name!r}") from error
    except (Exception, SystemExit) as error:  # its code is the operator's, and raises what it likes
        raise UnusableGraphError(f"the module {module!r} fails on import: {place_of(error)}") from error


def _attribute(module: object, name: str, attribute: str) -> object:
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise UnusableGraphError(f"the module {name!r} has no attribute {attribute!r}") from error


def _is_factory(found: object) -> TypeGuard[Factory]:
    if isinstance(found, StateGraph | CompiledStateGraph) or inspect.isclass(found) or not callable(found):
        return False
    try:
        inspect.signature(found).bind(None)
    except (TypeError, ValueError):
        return False
    return True


async def _made(factory: Factory, context: TurnContext, agent: str) -> object:
    try:
        made = factory(context)
        return await made if inspect.isawaitable(made) else made
    except Exception as error:  # noqa: BLE001 - as in `_imported`
        raise translated(error, agent) from None


def _compiled(name: str, found: object) -> Graph:
    """A graph that can be run here."""
    if isinstance(found, StateGraph):
        try:
            found = found.compile()
        except Exception as error:
            raise UnusableGraphError(f"{name} cannot be compiled: {place_of(error)}") from error
    if not isinstance(found, CompiledStateGraph):
        raise UnusableGraphError(
            f"{name} is no graph: neither compiled, nor a StateGraph, nor a function that takes a context"
        )
    if not {QUESTION, MESSAGES} & inputs(found):
        raise UnusableGraphError(f"{name} takes no input: it needs {QUESTION!r} or {MESSAGES!r} in its state")
    if found.interrupt_before_nodes or found.interrupt_after_nodes:
        raise UnusableGraphError(f"{name} stops before or after nodes: only interrupt() can ask a person")
    if any(isinstance(channel, DeltaChannel) for channel in found.channels.values()):
        raise UnusableGraphError(f"{name} has a DeltaChannel, which cannot be carried from turn to turn")
    return found


def inputs(graph: Graph) -> set[str]:
    """The names of what a graph may be given."""
    return set(graph.builder.schemas[graph.builder.input_schema])
