"""The world outside, played well or badly: models that answer each call with words of its own, and tools."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from tests.chaos.faults import Kind
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tooled import wish, wishing
from tests.integration.tasks.checker import words_of

ADD = "add_org_inbox_item"
READ = "list_org_inbox_items"
LABEL = re.compile(r"\[([a-z]+\d+)\]")
_BROKEN = tuple(FaultKind)
_REFUSALS = (429, 500, 503, 529)
_AT_LENGTH = 4
_AT_LENGTH_SECONDS = 0.25
"""Some answers take their time: so there is something to be taken over, and somebody at work on it then."""


class Outside:
    """A provider and a ToolService. `calls`: which operation each call to the provider was for, by number.

    A query names its operation in brackets; one that begins with `p` adds an entry to the inbox, with `r`
    reads it.
    """

    def __init__(self, provider: ScriptedProvider, tools: FakeToolService, random: Random) -> None:
        self._provider = provider
        self._tools = tools
        self._random = random
        self._active: list[Kind] = []
        self.calls: dict[int, str] = {}
        provider.answer_by(self._answer)
        tools.answer_with("AddOrgInboxItem", self._add)

    @contextmanager
    def during(self, kind: Kind) -> Iterator[None]:
        """While inside it answers as that fault says."""
        self._active.append(kind)
        try:
            yield
        finally:
            self._active.remove(kind)

    def _answer(self, body: Any) -> Script:
        number = len(self._provider.ledger) + 1
        messages = body["messages"]
        asked = max(i for i, message in enumerate(messages) if message["role"] == "user")
        found = LABEL.search(str(messages[asked]["content"]))
        label = self.calls[number] = found[1] if found else ""
        if Kind.PROVIDER_REFUSING in self._active and self._random.random() < 0.7:
            return Script(status=self._random.choice(_REFUSALS), retry_after=1)
        slow = Kind.PROVIDER_SLOW in self._active
        delay, interval = (0.5, 0.3) if slow else (0.02, 0.03)
        if number % _AT_LENGTH == 0:
            interval = _AT_LENGTH_SECONDS
        fault = None
        if Kind.PROVIDER_BROKEN in self._active and self._random.random() < 0.5:
            fault = Fault(self._random.choice(_BROKEN), after=self._random.randrange(4))
        timing: Any = {"first_token_delay": delay, "token_interval": interval, "fault": fault}
        has_called = any(message.get("tool_calls") for message in messages[asked:])
        if label[:1] in ("p", "r") and not has_called:
            name, arguments = (ADD, entry_of(label)) if label[0] == "p" else (READ, {})
            script = wishing(wish(name, arguments))
            return Script(tool_calls=script.tool_calls, tokens=(), **timing)
        return Script(tokens=tuple(words_of(number)), **timing)

    def _add(self, _: dict[str, Any]) -> Answer:
        lost = Kind.TOOLS_LOSE_ANSWERS in self._active and self._random.random() < 0.5
        return Answer(delay=1.5 if Kind.TOOLS_SLOW in self._active else 0.02, lost=lost)


def entry_of(label: str) -> dict[str, str]:
    """What an operation adds to the inbox."""
    return {"text": f"[{label}] buy milk", "kind": "todo"}
