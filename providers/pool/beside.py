"""Calls that a run makes beside its answer: they are paid for like it, and must leave it enough."""

from dataclasses import replace

from providers.base import ModelInfo, ModelRequest
from providers.file.entries import Prices
from providers.pool.run_budget import CallUsage, Limit, LimitReachedError, RunBudget

_SHARE = 4
"""A call beside the answer may take one part in so many of what is left."""


class BesideBudget:
    """A run's budget for such calls. They count against every cap but that of steps: they are none."""

    def __init__(self, run: RunBudget) -> None:
        self._run = run

    @property
    def max_repeated_chunks(self) -> int:
        return self._run.max_repeated_chunks

    @property
    def ends_at(self) -> float:
        """As the run's."""
        return self._run.ends_at

    def check(self) -> None:
        """Return: what is left shows when the call's size is known."""

    def limited(
        self, request: ModelRequest, prompt_tokens: int, info: ModelInfo, prices: Prices
    ) -> tuple[ModelRequest, Limit | None]:
        """The request, if it takes no more than its share.

        Raises:
            LimitReachedError: It would take too much from the answer.
        """
        wish = request.max_output_tokens
        if wish is not None:
            whole = replace(request, max_output_tokens=_SHARE * wish)
            unbound = replace(info, max_output_tokens=None)
            _, cut_by = self._run.limited(whole, _SHARE * prompt_tokens, unbound, prices)
            if cut_by is not None:
                raise LimitReachedError(cut_by)
        return self._run.limited(request, prompt_tokens, info, prices)

    def used(self, usage: CallUsage) -> None:
        """One such call has ended, well or not."""
        self._run.used(replace(usage, beside=True))
