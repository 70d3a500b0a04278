"""What a soak leaves, and how it stands in a file: a list for each series."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

WARMING, RESTED, LOADED, REST = "warming", "rested", "loaded", "rest"
LEAVING = "leaving"
"""The phases of a sample: leaving is the time in which nobody comes any more, before a rest is over."""
_DIGITS = 3


@dataclass
class Record:
    """What a soak has left: the plan, the ramp, the samples, and what visitors met."""

    plan: dict[str, Any]
    steps: list[dict[str, float]] = field(default_factory=list)
    capacity: float = 0.0
    rate: float = 0.0
    samples: list[dict[str, Any]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    offered: int = 0
    refused: int = 0
    not_ended: int = 0

    def write(self, file: Path) -> None:
        """For `read`."""
        names = self.samples[0].keys() if self.samples else ()
        series = {name: [_short(sample[name]) for sample in self.samples] for name in names}
        file.write_bytes(orjson.dumps({**asdict(self), "samples": series}, option=orjson.OPT_APPEND_NEWLINE))


def read(file: Path) -> dict[str, Any]:
    """The fields of a record."""
    kept: dict[str, Any] = orjson.loads(file.read_bytes())
    series = kept["samples"]
    kept["samples"] = [dict(zip(series, row, strict=True)) for row in zip(*series.values(), strict=True)]
    return kept


def _short(value: Any) -> Any:
    """Without digits that mean nothing."""
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() else round(value, _DIGITS)
