"""The agents, from the files of their folder."""

import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from agents.check import class_problems, problems
from agents.files import AgentFiles, AgentFolder, VersionStore
from agents.loader import CatalogError
from agents.own.loading import GraphLibrary
from config.load import environment
from config.settings import Settings
from providers.file.defaults import CLASSES
from providers.file.watching import ProviderFile
from tools.builtins.source import Builtins
from tools.table.typed import NAMES
from wiring.remotes import entries_of

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parents[1] / "agents" / "catalog"


def graphs_of(settings: Settings) -> GraphLibrary:
    """Callers' own graphs, as far as the operator allows any."""
    return GraphLibrary(settings.agents.graphs_folder, settings.agents.graph_packages)


def folder_of(settings: Settings, graphs: GraphLibrary) -> AgentFolder:
    """The folder that the settings name, else the one that came with us."""
    known = frozenset(NAMES | Builtins().names)
    checks = partial(problems, tools=known, graphs=graphs, remotes=frozenset(entries_of(settings)))
    return AgentFolder(settings.agents.folder or SHIPPED, checks)


@asynccontextmanager
async def agents_of(
    settings: Settings, versions: VersionStore, classes: Collection[str], graphs: GraphLibrary
) -> AsyncIterator[AgentFiles]:
    """The agents in force. A class of models that is missing is only told: the provider file may yet get it.

    Raises:
        CatalogError: The files cannot be used.
    """
    agents = AgentFiles(folder_of(settings, graphs), versions, reload_seconds=settings.agents.reload_seconds)
    missing = [f"{s.name}: {line}" for s in agents.current.specs for line in class_problems(s, classes)]
    if missing:
        logger.warning("agents without models cannot answer", extra={"reasons": missing})
    await agents.keep()
    async with agents:
        yield agents


def check(settings: Settings) -> int:
    """How many agents there are, all of them in order.

    Raises:
        CatalogError: With a line for each thing that is not.
        ProviderFileError: The provider file cannot be used.
    """
    provider, production = settings.provider, settings.environment == "production"
    file = (
        ProviderFile(provider.file, environment(settings), production=production) if provider.file else None
    )
    classes = file.read().classes if file else CLASSES
    files = folder_of(settings, graphs_of(settings)).files()
    wrong = [
        f"{filename}: {line}" for filename, f in files.items() for line in class_problems(f.spec, classes)
    ]
    if wrong:
        raise CatalogError(*wrong)
    return len(files)
