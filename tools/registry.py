"""Which tools a run is offered, and who serves them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from state.models import Owner
from tools.base import Offer, ToolSource

logger = logging.getLogger(__name__)

NO_TOOLS = ("none",)
"""As `allowed_tools`: not a single one."""


class ToolRegistry:
    """The sources of tools by name. Of two tools with one name the first source's counts."""

    def __init__(self, sources: Mapping[str, ToolSource]) -> None:
        self._sources = dict(sources)

    async def offered(
        self, owner: Owner, wanted: Sequence[str], allowed: Sequence[str] = ()
    ) -> Mapping[str, Offer]:
        """The tools of an agent's list that this user's run may use now, by name, in the order of the list.

        An entry of `wanted` is a tool's name, or a pattern with `*`; `source:name`, where both may be
        patterns, takes those of one source. `allowed` narrows that by exact names; empty = no narrowing,
        `NO_TOOLS` = no tool. A name that no tool has now, in either, is left out: what a backend serves
        changes while it runs.
        """
        if not wanted or tuple(allowed) == NO_TOOLS:
            return {}
        known = await self._known(owner)
        chosen = {name: known[name] for entry in wanted for name in _matching(entry, known)}
        return {name: offer for name, (_, offer) in chosen.items() if not allowed or name in allowed}

    async def _known(self, owner: Owner) -> Mapping[str, tuple[str, Offer]]:
        lists = await asyncio.gather(*(source.offered(owner) for source in self._sources.values()))
        known: dict[str, tuple[str, Offer]] = {}
        for (source_name, source), tools in zip(self._sources.items(), lists, strict=True):
            for tool in tools:
                if tool.name in known:
                    logger.warning("a tool's name is taken", extra={"tool_source": source_name})
                else:
                    known[tool.name] = (source_name, Offer(tool, source))
        return known


def _matching(entry: str, known: Mapping[str, tuple[str, Offer]]) -> Sequence[str]:
    source, colon, pattern = entry.rpartition(":")
    return [
        name
        for name, (source_name, _) in known.items()
        if fnmatchcase(name, pattern) and (not colon or fnmatchcase(source_name, source))
    ]
