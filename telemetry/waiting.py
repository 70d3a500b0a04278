"""Waiting: in line for a provider, for a person, and for the log to be written."""

from collections import OrderedDict

from telemetry import names
from telemetry.registry import Registry

_MOST_REMEMBERED = 10_000


class LineInstrument:
    """Watches who joins the line here and who is taken from it here."""

    def __init__(self, registry: Registry) -> None:
        self._waits = registry.distribution(names.QUEUE_WAIT)
        self._errors = registry.distribution(names.ESTIMATE_ERROR)
        # Those that another replica takes stay until newer ones push them out.
        self._estimates: OrderedDict[str, float] = OrderedDict()

    def joined(self, run_id: str, estimate_seconds: float | None) -> None:
        """A run stands in line, and its caller was told how long for."""
        if estimate_seconds is None:
            return
        self._estimates[run_id] = estimate_seconds
        if len(self._estimates) > _MOST_REMEMBERED:
            self._estimates.popitem(last=False)

    def taken(self, run_id: str, kind: str, waited_seconds: float) -> None:
        """A run was taken from the line."""
        self._waits.of(kind).add(waited_seconds)
        estimate = self._estimates.pop(run_id, None)
        if estimate is not None:
            error = waited_seconds - estimate
            self._errors.of("late" if error > 0 else "early").add(abs(error))


class PermissionInstrument:
    """Watches what people decide."""

    def __init__(self, registry: Registry) -> None:
        self._waits = registry.distribution(names.PERMISSION_WAIT)

    def decided(self, decision: str, waited_seconds: float) -> None:
        """A question has its answer, or none in time."""
        self._waits.of(decision).add(waited_seconds)


class FlushInstrument:
    """Watches the writing of the runs' logs."""

    def __init__(self, registry: Registry) -> None:
        self._seconds = registry.distribution(names.FLUSH).of()
        self._records = registry.distribution(names.FLUSH_RECORDS).of()

    def flushed(self, records: int, seconds: float) -> None:
        """A batch is written."""
        self._seconds.add(seconds)
        self._records.add(records)
