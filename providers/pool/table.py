"""The models of one state of the configuration. It never changes: a call keeps the table it began with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from providers.base import ChatModel
from providers.file.endpoints import Endpoint
from providers.gate.base import Gate
from providers.pool.choice import ClassChoice, ModelChoice, PinnedChoice
from providers.pool.needs import Needs
from state.errors import InvalidRequestError
from state.violations import FieldViolation


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may be called, and the gate that has to be asked first."""

    endpoint: Endpoint
    model: ChatModel
    gate: Gate

    @property
    def name(self) -> str:
        return self.endpoint.name


@dataclass(frozen=True, slots=True)
class Table:
    """All candidates by name, and the names of each class."""

    candidates: Mapping[str, Candidate]
    classes: Mapping[str, Sequence[str]]

    @property
    def gates(self) -> set[Gate]:
        """Each once, also where models share one."""
        return {candidate.gate for candidate in self.candidates.values()}

    def chosen(self, wanted: ModelChoice) -> tuple[Candidate, ...]:
        """The candidates in order, each once.

        Raises:
            InvalidRequestError: A model or a class of that name does not exist.
        """
        match wanted:
            case ClassChoice():
                if wanted.name not in self.classes:
                    raise InvalidRequestError(FieldViolation("model", "no class of models has this name"))
                names = self.classes[wanted.name]
            case PinnedChoice():
                names = (wanted.model, *wanted.fallback_models)
                self._check(wanted)
            case _:
                assert_never(wanted)
        return tuple(self.candidates[name] for name in dict.fromkeys(names))

    def fitting(self, wanted: ModelChoice, needs: Needs) -> tuple[Candidate, ...]:
        """Those of `chosen` that can do what is asked.

        Raises:
            InvalidRequestError: There is none, or a name does not exist.
        """
        able = [c for c in self.chosen(wanted) if needs.met_by(c.endpoint.info)]
        if not able:
            what = "none of the models asked for has all that the request needs (tools, images, JSON schema)"
            raise InvalidRequestError(FieldViolation("model", what))
        # A length is only estimated: where it seems too much for all, the largest has to say so itself.
        roomy = [c for c in able if needs.fit_into(c.endpoint.info)]
        return tuple(roomy or [max(able, key=lambda c: c.endpoint.info.context_tokens)])

    def _check(self, wanted: PinnedChoice) -> None:
        fields = {"model.model": wanted.model}
        fields |= {f"model.fallback_models[{i}]": name for i, name in enumerate(wanted.fallback_models)}
        unknown = [field for field, name in fields.items() if name not in self.candidates]
        if unknown:
            raise InvalidRequestError(*(FieldViolation(f, "no model has this name") for f in unknown))
