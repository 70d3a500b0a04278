"""RunLimits as the caps of a run."""

from orchestrator.codec.validation import Violations
from protos import orchestrator_pb2 as pb
from providers.pool.run_budget import RunCaps

_COUNTS = ("max_output_tokens", "max_total_tokens", "max_steps", "max_tool_calls", "max_cost_micros")
_CURRENCY_CHARACTERS = 3


def check_limits(check: Violations, limits: pb.RunLimits) -> None:
    for name in _COUNTS:
        if getattr(limits, name) < 0:
            check.add(f"limits.{name}", "may not be negative")
    if limits.max_duration.ToNanoseconds() < 0:
        check.add("limits.max_duration", "may not be negative")
    check.characters("limits.currency", limits.currency, _CURRENCY_CHARACTERS)


def caps_of(limits: pb.RunLimits) -> RunCaps:
    """What is wished; 0 is no wish."""
    return RunCaps(
        max_seconds=limits.max_duration.ToNanoseconds() / 1e9 or None,
        max_output_tokens=limits.max_output_tokens or None,
        max_total_tokens=limits.max_total_tokens or None,
        max_steps=limits.max_steps or None,
        max_tool_calls=limits.max_tool_calls or None,
        max_cost_micros=limits.max_cost_micros or None,
    )
