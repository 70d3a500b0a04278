"""Read the catalogue: one Markdown file with front matter for each agent."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from agents.spec import AgentSpec
from state.errors import FieldViolation, InvalidRequestError

_FENCE = "---\n"
_ROUTE = ("", "auto")


class CatalogError(Exception):
    """An agent's file is wrong; the message names the file and what to change."""


class AgentCatalog:
    """The agents by name and alias.

    Raises:
        CatalogError: Two agents share a name, or the default agent is missing.
    """

    def __init__(self, specs: Iterable[AgentSpec], *, default: str = "chat") -> None:
        self._by_name: dict[str, AgentSpec] = {}
        self.names: tuple[str, ...] = ()
        for spec in specs:
            self.names += (spec.name,)
            for name in (spec.name, *spec.aliases):
                if self._by_name.setdefault(name, spec) is not spec:
                    raise CatalogError(f"two agents are called {name!r}")
        if default not in self._by_name:
            raise CatalogError(f"there is no agent {default!r}, which answers when nobody else is asked for")
        self._default = self._by_name[default]

    def resolve(self, agent_type: str) -> tuple[AgentSpec, str]:
        """The agent that answers, and why it does.

        Raises:
            InvalidRequestError: No agent has that name or alias.
        """
        spec = self._default if agent_type in _ROUTE else self._by_name.get(agent_type)
        if spec is None:
            raise InvalidRequestError(FieldViolation("agent_type", "no agent has this name"))
        return spec, self.reason(agent_type)

    def reason(self, agent_type: str) -> str:
        """Why an agent answers whom a caller wanted so."""
        return "default" if agent_type in _ROUTE else "explicit"


def load_catalog(folder: Path) -> AgentCatalog:
    """Every `*.md` file of a folder.

    Raises:
        CatalogError: A file is not an agent.
    """
    return AgentCatalog([parse_agent(path.name, path.read_bytes()) for path in sorted(folder.glob("*.md"))])


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
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        raise CatalogError(f"{filename}: {_where(error)}") from error


def _where(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return "the front matter is not valid YAML"
