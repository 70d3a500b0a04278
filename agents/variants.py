"""Which variant of an agent a user gets, always the same one."""

import hashlib
from itertools import accumulate

from agents.spec import AgentSpec, Variant

_PARTS = 1 << 64


def variant_for(spec: AgentSpec, user: str) -> str:
    """The name of the user's variant; empty where the agent has none."""
    if not spec.variants:
        return ""
    seed = f"{len(spec.name)}:{spec.name}:{user}".encode()
    point = int.from_bytes(hashlib.sha256(seed).digest()[:8]) / _PARTS
    ends = list(accumulate(variant.weight for variant in spec.variants))
    for variant, end in zip(spec.variants, ends, strict=True):
        if point * ends[-1] < end:
            return variant.name
    return spec.variants[-1].name


def varied(spec: AgentSpec, name: str) -> AgentSpec:
    """The agent as its variant of this name; unchanged where it has none of that name."""
    chosen = next((variant for variant in spec.variants if variant.name == name), None)
    return spec if chosen is None else spec.model_copy(update=_changes(chosen))


def _changes(variant: Variant) -> dict[str, object]:
    fields = {
        "prompt": variant.prompt,
        "temperature": variant.temperature,
        "model_class": variant.model_class,
    }
    return {name: value for name, value in fields.items() if value is not None}
