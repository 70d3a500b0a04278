"""Feeds a run's budget from the answers as they pass."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from providers.base import (
    CallAccepted,
    Delta,
    ModelFinished,
    ReasoningDelta,
    TextDelta,
    TokenCount,
    ToolCallDelta,
)
from providers.estimate import estimate_of_bytes
from providers.file.endpoints import Endpoint
from providers.pool.run_budget import CallBudget, CallUsage, Limit, LimitReachedError, cost_micros
from providers.pool.watching import CallWatch, Unwatched
from state.errors import DeadlineExceededError, OrchestratorError
from state.models import FinishReason

_TEXTS = (TextDelta, ReasoningDelta)
_LEFT = (asyncio.CancelledError, GeneratorExit, DeadlineExceededError)
"""Nobody waits for the answer any more."""


class Meter:
    """One call of a model for one run. `cut_by`: the limit of the run that an answer cut short has met."""

    def __init__(
        self,
        budget: CallBudget,
        endpoint: Endpoint,
        prompt_tokens: int,
        cut_by: Limit | None,
        watch: CallWatch | None = None,
    ) -> None:
        self._budget = budget
        self._watch = watch or Unwatched()
        self._error = ""
        self._endpoint = endpoint
        self._prompt_tokens = prompt_tokens
        self._cut_by = cut_by
        self._last = ""
        self._written_bytes = 0
        self._repeated = 0
        self._most_repeated = budget.max_repeated_chunks
        self._accepted = False
        self._left = False

    async def metered(self, deltas: AsyncGenerator[Delta]) -> AsyncGenerator[Delta]:
        """Yield the answer; whatever was written, or left unread, is counted, however it ends.

        Raises:
            LimitReachedError: It repeats itself, or the run's limit cut it short.
        """
        finished: ModelFinished | None = None
        begun = False
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    if not begun and not isinstance(delta, CallAccepted):
                        begun = True
                        self._watch.first_piece()
                    if isinstance(delta, ModelFinished):
                        finished = delta
                        self._check_cut(delta)
                    self._read(delta)
                    yield delta
        except BaseException as error:
            # Who takes a call charges for reading it, also when nobody waits for what would be written.
            self._left = self._accepted and isinstance(error, _LEFT)
            self._error = "" if finished and isinstance(error, GeneratorExit) else _kind_of(error)
            raise
        finally:
            tokens = self._count(finished)
            told = None if tokens is None else (tokens.input_tokens, tokens.output_tokens)
            self._watch.ended(self._error, told, finished.finish_reason if finished else "")

    def _read(self, delta: Delta) -> None:
        if isinstance(delta, _TEXTS):  # nearly all of them
            self._repeated = self._repeated + 1 if delta.text == self._last else 1
            self._note(delta.text)
            if self._repeated >= self._most_repeated:
                raise LimitReachedError(Limit.REPEATED_CHUNKS)
        elif isinstance(delta, CallAccepted):
            self._accepted = True
        elif isinstance(delta, ToolCallDelta):
            self._repeated = 0
            self._note(delta.call.name + delta.call.arguments)

    def _note(self, text: str) -> None:
        # Only its length is kept: the answer itself may be long, and is somebody else's.
        self._last = text
        self._written_bytes += len(text) if text.isascii() else len(text.encode())

    def _check_cut(self, finished: ModelFinished) -> None:
        if self._cut_by is not None and finished.finish_reason is FinishReason.LENGTH:
            raise LimitReachedError(self._cut_by, finished)

    def _count(self, finished: ModelFinished | None) -> TokenCount | None:
        if finished is None and not self._written_bytes and not self._left:
            return None  # nothing was written: a provider that is down charges nothing
        tokens = finished.tokens if finished else None
        estimated = tokens is None
        if tokens is None:
            written = estimate_of_bytes(self._written_bytes) if self._written_bytes else 0
            tokens = TokenCount(self._prompt_tokens, written)
        info = self._endpoint.info
        cost = cost_micros(self._endpoint.prices, tokens)
        # By the name that was asked for: what an answer calls its model may differ from call to call.
        self._budget.used(CallUsage(info.provider, info.model, tokens, cost, estimated))
        return tokens


def _kind_of(error: BaseException) -> str:
    """One of a few words, for who counts calls."""
    if isinstance(error, OrchestratorError):
        return error.reason.value
    if isinstance(error, LimitReachedError):
        return "LIMIT"
    return "LEFT" if isinstance(error, _LEFT) else "INTERNAL"
