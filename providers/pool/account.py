"""What a run has used in all of its attempts."""

from providers.pool.run_budget import CallUsage, RunBudget, RunCaps, Spent
from state.usage import NOTHING_USED, ModelUsage, Usage


class RunAccount:
    """The budget of one attempt, and what the attempts before have used, who were RUNNING `running_seconds`.

    The time runs on from its making.
    """

    def __init__(
        self, caps: RunCaps, *, currency: str, earlier: Usage = NOTHING_USED, running_seconds: float = 0.0
    ) -> None:
        self.budget = RunBudget(caps, _spent(earlier, running_seconds))
        self._currency = currency
        self._earlier = earlier
        self._elsewhere = NOTHING_USED

    @property
    def usage(self) -> Usage:
        """Of all attempts until now."""
        elsewhere = self._elsewhere
        told = {part.provider for part in elsewhere.by_model}
        earlier = [part for part in self._earlier.by_model if part.provider not in told]
        return Usage.of(
            [*earlier, *map(_part, self.budget.calls), *elsewhere.by_model],
            tool_calls=max(self.budget.spent.tool_calls, self._earlier.tool_calls, elsewhere.tool_calls),
            currency=self._currency,
        )

    def elsewhere(self, usage: Usage) -> None:
        """What was used at a remote, in all attempts together: replaces what was known of it."""
        self._elsewhere = usage

    def remembered(self, known: Usage) -> None:
        """Another record of the run's usage was found: what tells of more calls is the newer one."""
        if known.total.model_calls > self.usage.total.model_calls:
            self._earlier = known


def _spent(usage: Usage, seconds: float) -> Spent:
    total = usage.total
    return Spent(
        seconds=seconds,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        steps=total.model_calls - total.calls_beside,
        tool_calls=usage.tool_calls,
        cost_micros=total.cost_micros,
    )


def _part(call: CallUsage) -> ModelUsage:
    tokens = call.tokens
    return ModelUsage(
        provider=call.provider,
        model=call.model,
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cached_input_tokens=tokens.cached_input_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
        model_calls=1,
        calls_beside=int(call.beside),
        cost_micros=call.cost_micros,
        estimated=call.estimated,
    )
