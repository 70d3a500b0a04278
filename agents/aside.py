"""What a model is asked beside the answer. None of it may fail a turn, or hold it up for long."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Self

from agents.titles import plain_title, title_of, title_request
from providers.base import ChatModel, ModelInfo, ModelRequest, TextDelta
from providers.pool.run_budget import LimitReachedError
from state.errors import DeadlineExceededError, InvalidRequestError, ProviderError


@dataclass(frozen=True, slots=True)
class Craft:
    """Whether conversations get titles, by a `model` or a `rule`, and summaries; how long each may take."""

    titles: Literal["model", "rule", "off"] = "model"
    title_seconds: float = 3.0
    summaries: bool = True
    summary_seconds: float = 15.0


class Aside:
    """The calls of one run. Leaving its context ends what is still under way.

    `titler` and `summariser` are the models for them, None where none is fit.
    """

    def __init__(self, craft: Craft, titler: ChatModel | None, summariser: ChatModel | None) -> None:
        self._craft = craft
        self._titler = titler if craft.titles == "model" else None
        self._summariser = summariser if craft.summaries else None
        self._title: asyncio.Task[str] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._title is not None:
            self._title.cancel()
            await asyncio.gather(self._title, return_exceptions=True)

    def begin_title(self, question: str) -> None:
        """Ask for a title while the answer is written."""
        if self._titler is not None and self._title is None:
            request = title_request(question, _now() + self._craft.title_seconds)
            self._title = asyncio.create_task(_said(self._titler, request), name="title")

    async def title(self, question: str) -> str:
        """The model's title, if it has one in time; else one by rule. Empty: there is to be none."""
        if self._craft.titles == "off":
            return ""
        said = "" if self._title is None else await asyncio.shield(self._title)
        return title_of(said) or plain_title(question)

    @property
    def summariser(self) -> ModelInfo | None:
        """The model that summarises, if there is one."""
        try:
            return None if self._summariser is None else self._summariser.info
        except InvalidRequestError:  # gone with the last configuration
            return None

    async def summary(self, request: ModelRequest) -> str:
        """What the summariser says; empty when it does not, whatever the reason."""
        assert self._summariser is not None, "asked only where there is one"
        due = _now() + self._craft.summary_seconds
        due = due if request.deadline is None else min(due, request.deadline)
        return await _said(self._summariser, replace(request, deadline=due))


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _said(model: ChatModel, request: ModelRequest) -> str:
    pieces: list[str] = []
    try:
        async with aclosing(model.stream(request)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    pieces.append(delta.text)
    except (ProviderError, LimitReachedError, DeadlineExceededError, InvalidRequestError):
        return ""
    return "".join(pieces)
