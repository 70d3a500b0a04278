"""Read the catalogue: one Markdown file with front matter for each agent."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import yaml
from pydantic import ValidationError

from agents.spec import AgentSpec
from state.errors import InvalidRequestError
from state.violations import FieldViolation

_FENCE = "---\n"
UNDECIDED = "auto"
"""Stands for the agent of a run until one is chosen; a caller who leaves the choice to us may say it."""

_ROUTE = ("", UNDECIDED)

# The library lets a value that its tag does not fit raise what it likes: `!!bool x` is a KeyError.
_GARBLED = (yaml.YAMLError, TypeError, ValueError, LookupError, AttributeError, RecursionError)


class CatalogError(Exception):
    """Agents' files are wrong. `lines`: one for each thing to change, which names the file or the agent."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class AgentCatalog:
    """The agents by name and alias.

    Raises:
        CatalogError: Two agents share a name, or the default agent is missing.
    """

    def __init__(self, specs: Iterable[AgentSpec], *, default: str = "chat") -> None:
        self.specs = tuple(specs)
        self.names = tuple(spec.name for spec in self.specs)
        if wrong := collisions(self.specs):
            raise CatalogError(*wrong)
        self._by_name = {name: spec for spec in self.specs for name in (spec.name, *spec.aliases)}
        if default not in self._by_name:
            raise CatalogError(f"there is no agent {default!r}, which answers when nobody else is asked for")
        self.default = self._by_name[default]

    def wanted(self, name: str, field: str) -> AgentSpec | None:
        """The agent that a caller names in a `field` of its request; None when the choice is ours.

        Raises:
            InvalidRequestError: No agent has that name or alias.
        """
        if name in _ROUTE:
            return None
        if name not in self._by_name:
            raise InvalidRequestError(FieldViolation(field, "no agent has this name"))
        return self._by_name[name]


def collisions(specs: Iterable[AgentSpec]) -> list[str]:
    """A line for each name or alias that cannot be an agent's own."""
    holders: dict[str, AgentSpec] = {}
    lines: list[str] = []
    for spec in specs:
        for name in dict.fromkeys((spec.name, *spec.aliases)):
            other = holders.setdefault(name, spec)
            if other is not spec:
                lines.append(f"{spec.name}: {other.name} is called {name!r} too")
            if name in _ROUTE:
                lines.append(f"{spec.name}: no agent may be called {name!r}")
    return lines


def parse_agent(filename: str, content: bytes) -> AgentSpec:
    """One agent from its file: YAML between two `---` lines, then the prompt.

    Raises:
        CatalogError: It is not an agent.
    """
    try:
        head, front, prompt = content.decode().split(_FENCE, 2)
    except (UnicodeDecodeError, ValueError) as error:
        raise CatalogError(f"{filename}: expected `---`, YAML, `---`, then the prompt") from error
    version = hashlib.sha256(content).hexdigest()[:16]
    try:
        fields = yaml.safe_load(front)
        if head or not isinstance(fields, Mapping):
            raise CatalogError(f"{filename}: the front matter must be first, and a mapping")
        return AgentSpec(**fields, prompt=prompt.strip(), version=version)
    except ValidationError as error:
        raise CatalogError(*(f"{filename}: {line}" for line in _lines(error))) from error
    except _GARBLED as error:
        raise CatalogError(f"{filename}: the front matter is not valid YAML") from error


def _lines(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False, include_input=False):
        place = ".".join(map(str, detail["loc"]))
        yield f"{place}: {detail['msg']}" if place else detail["msg"].removeprefix("Value error, ")
