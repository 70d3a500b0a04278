"""The world outside at a steady pace: a model that answers by what its caller is here for, and tools."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tooled import MILK, wish

READS, ADDS, SLOW = "reads", "adds", "slow"
_KIND = re.compile(r"\[(\w+)\]")
_WORDS = tuple(f"word{number} " for number in range(16))
_FIRST, _BETWEEN = 0.05, 0.02
_SLOW_BETWEEN = 0.15
_TOOL_SECONDS = 0.02
_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Outside:
    """Both servers. `forget`, called now and then, keeps their ledgers from growing with the soak."""

    provider: ScriptedProvider
    tools: FakeToolService

    def forget(self) -> None:
        if len(self.provider.ledger) > _REMEMBERED:
            self.provider.ledger.clear()
        if len(self.tools.ledger.calls) > _REMEMBERED:
            self.tools.ledger.calls.clear()
            self.tools.ledger.done.clear()


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    """A query names in brackets what its answer is like: it reads the inbox, adds to it, or comes slowly."""
    async with ScriptedProvider() as provider, FakeToolService() as tools:
        provider.answer_by(_answer)
        for rpc in ("AddOrgInboxItem", "ListOrgInboxItems"):
            tools.default(rpc, Answer(delay=_TOOL_SECONDS))
        yield Outside(provider, tools)


def _answer(body: Any) -> Script:
    messages = body["messages"]
    asked = max(i for i, message in enumerate(messages) if message["role"] == "user")
    found = _KIND.search(str(messages[asked]["content"]))
    kind = found[1] if found else ""
    has_called = any(message.get("tool_calls") for message in messages[asked:])
    timing: Any = {"first_token_delay": _FIRST, "token_interval": _BETWEEN}
    if kind in (READS, ADDS) and not has_called:
        wanted = wish("list_org_inbox_items") if kind == READS else wish("add_org_inbox_item", MILK)
        return Script(tool_calls=(wanted,), tokens=(), **timing)
    if kind == SLOW:
        timing["token_interval"] = _SLOW_BETWEEN
    return Script(tokens=_WORDS, **timing)
