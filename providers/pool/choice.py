"""Which models a call may go to."""

from dataclasses import dataclass

from providers.file.entries import DEFAULT_CLASS
from providers.pool.needs import Needs


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


_REMOTE = "remote:"
"""Begins the key of who is answered elsewhere."""

_IMAGES, _TOOLS, _ROUTING = "images ", "tools ", "routing "
"""Begin the key of who brings images, uses tools or is to be given an agent. No name holds a space."""


def key_of(choice: ModelChoice, *, images: bool = False, tools: bool = False, routing: bool = False) -> str:
    """A choice as text, as it stands in a run's row: only models are meant that see `images`, use `tools`.

    `routing`: only those that may choose an agent, with a JSON schema for their answer.
    """
    prefix = _IMAGES * images + _TOOLS * tools + _ROUTING * routing
    match choice:
        case ClassChoice():
            return f"{prefix}class:{choice.name}"
        case PinnedChoice():
            return f"{prefix}models:" + ",".join((choice.model, *choice.fallback_models))


def remote_key(name: str) -> str:
    """What a run writes into its row that is done at this remote."""
    return f"{_REMOTE}{name}"


def remote_of(key: str) -> str:
    """The remote that a key is about; empty where it is about models."""
    return key.removeprefix(_REMOTE) if key.startswith(_REMOTE) else ""


def needs_of(key: str) -> Needs:
    """What the models must be able to do."""
    routing = _ROUTING in key
    return Needs(images=_IMAGES in key, tools=_TOOLS in key, json_schema=routing, routing=routing)


def choice_of(key: str) -> ModelChoice:
    """The choice that `key_of` has written; the default class for a run from before there were any."""
    kind, _, names = key.rpartition(" ")[2].partition(":")
    if kind == "models":
        model, *fallback_models = names.split(",")
        return PinnedChoice(model, tuple(fallback_models))
    return ClassChoice(names or DEFAULT_CLASS)
