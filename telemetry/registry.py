"""Everything that is counted in this process, and what is only read when somebody asks."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping

from prometheus_client.core import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from telemetry.families import Counts, Distribution, Labels, family_of
from telemetry.names import Kind, Metric

OTHER = "other"
"""Stands for every value of a label that is not among those we know."""

Reading = Callable[[], Iterable[tuple[Labels, float]]]
"""The values of a metric as they are now."""


class Registry(Collector):
    """The metrics of one service. A metric that nobody has asked for or read from is not shown."""

    def __init__(self) -> None:
        self._families: dict[str, Counts | Distribution] = {}
        self._readings: dict[str, tuple[Metric, Reading]] = {}
        self._told: dict[str, tuple[Metric, float]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def counts(self, metric: Metric) -> Counts:
        """The one of this metric."""
        family = self._families.setdefault(metric.name, Counts(metric))
        assert isinstance(family, Counts)
        return family

    def distribution(self, metric: Metric) -> Distribution:
        """The one of this metric."""
        assert metric.kind is Kind.HISTOGRAM
        family = self._families.setdefault(metric.name, Distribution(metric))
        assert isinstance(family, Distribution)
        return family

    def read(self, metric: Metric, reading: Reading) -> None:
        """Ask `reading` at each scrape."""
        self._readings[metric.name] = (metric, reading)

    def tell(self, values: Mapping[Metric, float | None]) -> None:
        """Values without labels that were looked up for the scrape to come; None = unknown, and not shown."""
        self._told = {metric.name: (metric, value) for metric, value in values.items() if value is not None}

    def collect(self) -> Iterator[Family]:
        """As prometheus_client wants it."""
        for family in self._families.values():
            yield from family.collect()
        for metric, reading in self._readings.values():
            yield family_of(metric, reading())
        for metric, value in self._told.values():
            yield family_of(metric, [((), value)])

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)


class Known:
    """Lets pass what is known, and makes all else one value: what callers invent becomes no label."""

    def __init__(self, *values: Callable[[], Container[str]]) -> None:
        self._values = list(values)

    def also(self, values: Callable[[], Container[str]]) -> None:
        """Know these too."""
        self._values.append(values)

    def __call__(self, value: str) -> str:
        return value if any(value in values() for values in self._values) else OTHER
