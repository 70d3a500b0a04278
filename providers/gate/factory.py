"""Gates from entries of the provider file."""

from providers.file.endpoints import Endpoint
from providers.gate.budget import BudgetSettings
from providers.gate.gate import ModelGate
from providers.gate.limit import LimitSettings
from providers.gate.permit import GateSettings


def gate_of(endpoint: Endpoint) -> ModelGate:
    """A gate that begins with all the room that the file allows, and with less once the provider says so."""
    limits = endpoint.limits
    return ModelGate(
        endpoint.info,
        GateSettings(
            limit=LimitSettings(
                initial=limits.max_concurrency,
                floor=limits.min_concurrency,
                ceiling=limits.max_concurrency,
            ),
            requests=BudgetSettings(per_minute=limits.requests_per_minute),
            tokens=BudgetSettings(per_minute=limits.tokens_per_minute),
        ),
    )
