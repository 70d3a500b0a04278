"""Which models a call may go to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClassChoice:
    """Any model of a class, in the order of its list."""

    name: str


@dataclass(frozen=True, slots=True)
class PinnedChoice:
    """This model, and where it cannot be had these, in this order, and no other."""

    model: str
    fallback_models: tuple[str, ...] = ()


ModelChoice = ClassChoice | PinnedChoice
