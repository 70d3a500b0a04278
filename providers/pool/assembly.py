"""Makes tables from configurations; keeps what a new configuration leaves as it was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from providers.base import ChatModel
from providers.file.endpoints import Endpoint, endpoints_of
from providers.file.entries import ProviderConfiguration
from providers.file.reading import ProviderFileError, unusable
from providers.gate.base import Gate
from providers.pool.table import Candidate, Table

AdapterFactory = Callable[[Endpoint], ChatModel]
"""May refuse an entry by a `ProviderFileError`, a ValueError or an ImportError."""

GateFactory = Callable[[Endpoint], Gate]


@dataclass(frozen=True, slots=True)
class Assembly:
    """`adapters`: how models are made, by the kind of their provider; a kind that is missing is refused."""

    adapters: Mapping[str, AdapterFactory]
    make_gate: GateFactory
    environment: Mapping[str, str]
    production: bool

    def table(self, configuration: ProviderConfiguration, before: Table | None = None) -> Table:
        """The table of a configuration. Gates and adapters of `before` stay where nothing of theirs changed.

        Raises:
            ProviderFileError: It cannot be used in this process.
        """
        if lines := self._refusals(configuration):
            raise ProviderFileError(lines)
        old = [] if before is None else list(before.candidates.values())
        made: dict[str, Candidate] = {}
        for name, endpoint in endpoints_of(configuration, self.environment).items():
            # Two names of one model share its gate: the vendor counts them together.
            made[name] = self._candidate(endpoint, [*old, *made.values()])
        return Table(made, configuration.classes)

    def _refusals(self, configuration: ProviderConfiguration) -> list[str]:
        kinds = [
            f"[providers.{name}] kind: this process was started without the means for it"
            for name, provider in configuration.providers.items()
            if provider.kind not in self.adapters
        ]
        return unusable(configuration, self.environment, production=self.production) or kinds

    def _candidate(self, endpoint: Endpoint, known: list[Candidate]) -> Candidate:
        place = next((c for c in known if c.endpoint.same_place(endpoint)), None)
        adapter = next((c for c in known if c.endpoint.same_adapter(endpoint)), None)
        return Candidate(
            endpoint,
            adapter.model if adapter else self._adapter(endpoint),
            place.gate if place else self.make_gate(endpoint),
        )

    def _adapter(self, endpoint: Endpoint) -> ChatModel:
        try:
            return self.adapters[endpoint.provider.kind](endpoint)
        except (ValueError, ImportError):
            # Without the cause, whose text may quote a key or an address.
            line = f"[models.{endpoint.name}] its provider's entry cannot be used by the adapter"
            raise ProviderFileError([line]) from None
