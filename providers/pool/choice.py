"""Which models a call may go to."""

from dataclasses import dataclass

from providers.file.entries import DEFAULT_CLASS


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


def key_of(choice: ModelChoice) -> str:
    """A choice as text, as it stands in a run's row."""
    match choice:
        case ClassChoice():
            return f"class:{choice.name}"
        case PinnedChoice():
            return "models:" + ",".join((choice.model, *choice.fallback_models))


def choice_of(key: str) -> ModelChoice:
    """The choice that `key_of` has written; the default class for a run from before there were any."""
    kind, _, names = key.partition(":")
    if kind == "models":
        model, *fallback_models = names.split(",")
        return PinnedChoice(model, tuple(fallback_models))
    return ClassChoice(names or DEFAULT_CLASS)
