"""Services with a model that answers and a fast one that is asked beside it, each at its own provider."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.configured import with_file
from tests.harness.service import Service

_FILE = """
currency = "EUR"
[providers.first]
kind = "openai"
base_url = "{answers}"
[providers.second]
kind = "openai"
base_url = "{fast}"
[models.big]
provider = "first"
context_tokens = {context_tokens}
routing = {big_fit}
[models.small]
provider = "second"
context_tokens = 8192
routing = {small_fit}
prices = {{ input_micros = 1_000_000, output_micros = 1_000_000 }}
[classes]
chat = ["big"]
fast = ["small"]
"""


def providers_file(
    folder: Path,
    answers: ScriptedProvider,
    fast: ScriptedProvider,
    *,
    context_tokens: int = 4096,
    fit: tuple[bool, bool] = (True, True),
) -> Path:
    """A provider file: `big` answers at one provider, `small` is the class fast at the other.

    `fit`: whether each of them may be asked beside an answer.
    """
    file = folder / "providers.toml"
    big_fit, small_fit = (str(one).lower() for one in fit)
    file.write_text(
        _FILE.format(
            answers=answers.base_url,
            fast=fast.base_url,
            context_tokens=context_tokens,
            big_fit=big_fit,
            small_fit=small_fit,
        )
    )
    return file


@asynccontextmanager
async def two_at_work(
    dsn: str,
    folder: Path,
    answers: ScriptedProvider,
    fast: ScriptedProvider,
    *,
    context_tokens: int = 4096,
    fit: tuple[bool, bool] = (True, True),
    **groups: Any,
) -> AsyncIterator[Service]:
    """A service with both; `groups` change settings, as in `running_service`."""
    groups["agents"] = {"titles": "model", **groups.get("agents", {})}
    file = providers_file(folder, answers, fast, context_tokens=context_tokens, fit=fit)
    async with with_file(dsn, answers, file, **groups) as service:
        yield service


def contents(provider: ScriptedProvider, call: int) -> list[str]:
    """What the messages of a call say, numbered from 1, or from the end with -1."""
    at = call if call < 0 else call - 1
    return [message["content"] or "" for message in provider.ledger[at].body["messages"]]
