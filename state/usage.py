"""What runs use of models and tools, and sums of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model of one provider used. Input counts the cached tokens, output those of reasoning.

    `cost_micros` is in the currency of the usage it is part of. `estimated`: the provider did not report.
    `calls_beside`: so many of `model_calls` were made beside the answer, and are no steps of the run.
    """

    provider: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    model_calls: int = 0
    cost_micros: int = 0
    estimated: bool = False
    calls_beside: int = 0

    def __add__(self, other: "ModelUsage") -> "ModelUsage":
        """Both together, as the first one's."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return ModelUsage(self.provider, self.model, **sums, estimated=self.estimated or other.estimated)


_COUNTS = tuple(field.name for field in fields(ModelUsage) if field.type is int)
_MODEL_FIELDS = tuple(field.name for field in fields(ModelUsage))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run, or a span of time, has used: each model once, and what they come to."""

    by_model: tuple[ModelUsage, ...] = ()
    tool_calls: int = 0
    currency: str = ""

    @classmethod
    def of(cls, parts: Iterable[ModelUsage], *, tool_calls: int = 0, currency: str = "") -> Self:
        """The parts summed up by model, in the order of their first use."""
        sums: dict[tuple[str, str], ModelUsage] = {}
        for part in parts:
            key = (part.provider, part.model)
            sums[key] = sums[key] + part if key in sums else part
        return cls(tuple(sums.values()), tool_calls, currency)

    @classmethod
    def parsed(cls, stored: Mapping[str, Any] | None) -> Self:
        """What `plain` made of a usage, in this release or another one."""
        if stored is None:
            return cls()
        parts = (
            {name: value for name, value in part.items() if name in _MODEL_FIELDS}
            for part in stored.get("by_model", ())
        )
        return cls.of(
            (ModelUsage(**part) for part in parts),
            tool_calls=stored.get("tool_calls", 0),
            currency=stored.get("currency", ""),
        )

    @property
    def total(self) -> ModelUsage:
        """All models as one without a name."""
        return sum(self.by_model, ModelUsage("", ""))

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it; what `dataclasses.asdict` gives, in a tenth of the time."""
        by_model = [{name: getattr(part, name) for name in _MODEL_FIELDS} for part in self.by_model]
        return {"by_model": by_model, "tool_calls": self.tool_calls, "currency": self.currency}


NOTHING_USED = Usage()


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """The share of one agent."""

    agent_name: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class UsedToday:
    """What a user's runs of the present UTC day have used, by the database's clock.

    Those that have not ended are among `runs`, and nothing else of them yet. `begins` is when the day did,
    `seconds_left` what is left of it.
    """

    begins: datetime
    seconds_left: float
    runs: int
    tokens: int
    cost_micros: int
