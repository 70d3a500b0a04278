"""The samples of a soak as a picture."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tests.soak.record import LEAVING, REST, RESTED
from tests.soak.verdict import MIB

_PANELS: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("memory, MiB", MIB, ("rss", "uss")),
    ("descriptors, threads, tasks", 1, ("descriptors", "threads", "tasks")),
    (
        "connections",
        1,
        ("postgres", "sockets_grpc", "sockets_provider", "sockets_tools", "sockets_close_wait"),
    ),
    ("rows that retention bounds", 1, ("rows_runs", "rows_run_events", "rows_outbox")),
    ("Postgres, MiB", MIB, ("postgres_memory", "database")),
    ("visits at once", 1, ("visits", "active_runs")),
)


def draw(samples: Sequence[Mapping[str, Any]], file: Path) -> None:
    """One panel for each kind; the rests are grey."""
    figure = Figure(figsize=(11, 12), layout="constrained")
    minutes = [sample["at"] / 60 for sample in samples]
    panels = figure.subplots(len(_PANELS) // 2, 2, sharex=True)
    for panel, (title, scale, names) in zip(panels.flat, _PANELS, strict=True):
        for name in names:
            label = name.removeprefix("sockets_").removeprefix("rows_")
            panel.plot(minutes, [sample[name] / scale for sample in samples], label=label, linewidth=1)
        for begin, end in _rests(samples):
            panel.axvspan(begin / 60, end / 60, color="0.85")
        panel.set_title(title, fontsize=10)
        panel.set_ylim(bottom=0)
        panel.legend(fontsize=8, loc="best")
    for panel in panels[-1]:
        panel.set_xlabel("minutes")
    figure.savefig(file, dpi=110)


def _rests(samples: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    quiet = (LEAVING, RESTED, REST)
    found: list[tuple[float, float]] = []
    for before, sample in pairwise(samples):
        if sample["phase"] in quiet:
            joined = found and found[-1][1] == before["at"]
            begin = found.pop()[0] if joined else sample["at"]
            found.append((begin, sample["at"]))
    return found
