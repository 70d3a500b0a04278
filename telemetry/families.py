"""Metric families for one event loop: no locks, and a fraction of a microsecond for each observation."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from telemetry.names import Kind, Metric

Labels = tuple[str, ...]
Sample = tuple[Labels, float]


class Counts:
    """A counter, or with negative amounts a gauge. One without labels is there from the beginning, as 0."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._values: defaultdict[Labels, float] = defaultdict(float)
        if not metric.labels:
            self._values[()] = 0.0  # Prometheus sees no increase in a first sample

    def add(self, *labels: str, by: float = 1) -> None:
        self._values[labels] += by

    def collect(self) -> Iterable[Family]:
        """As Prometheus wants it."""
        yield family_of(self.metric, self._values.items())


class Bins:
    """The observations of one set of labels."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Distribution:
    """A histogram."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._bins: dict[Labels, Bins] = {}

    def of(self, *labels: str) -> Bins:
        """Where observations with these labels go. Keep it, where there are many."""
        bins = self._bins.get(labels)
        if bins is None:
            bins = self._bins[labels] = Bins(self.metric.buckets)
        return bins

    def collect(self) -> Iterable[Family]:
        """As Prometheus wants it."""
        family = HistogramMetricFamily(self.metric.name, self.metric.text, labels=self.metric.labels)
        for labels, bins in self._bins.items():
            family.add_metric(labels, *_cumulative(bins))
        yield family


def family_of(metric: Metric, samples: Iterable[Sample]) -> Family:
    """A counter or a gauge with these values."""
    make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = make(metric.name, metric.text, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _cumulative(bins: Bins) -> tuple[list[tuple[str, float]], float]:
    buckets: list[tuple[str, float]] = []
    so_far = 0
    for bound, count in zip([*map(float, bins.bounds), None], bins.counts, strict=True):
        so_far += count
        buckets.append(("+Inf" if bound is None else repr(bound), so_far))
    return buckets, bins.total
