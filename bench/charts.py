"""The charts of a run: ratios, the first token and the throughput by streams, and what grows."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.goals import Results, at
from bench.peers.sides import AFTERNOON, DIRECT, LITELLM, OURS

_COLOURS = {OURS: "#0b6e4f", AFTERNOON: "#c8553d", LITELLM: "#3d5a80", DIRECT: "#8a8a8a"}
_OTHERS = ("#0b6e4f", "#c8553d", "#3d5a80", "#b08900")
_MARKS = ("o", "s", "^", "D")
_DPI = 110
_STREAMS = "streams at 50 tokens/s each"

Line = tuple[str, Sequence[float], Sequence[float]]
"""A name, and where on both axes."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Write those that there are figures for."""
    charts: dict[str, Callable[[Results], Figure | None]] = {
        "ratios": _ratios,
        "first_token": _first_token,
        "throughput": _throughput,
        "growth": _growth,
    }
    drawn = []
    for name, chart in charts.items():
        figure = chart(results)
        path = folder / f"{name}.png"
        if figure is None:
            path.unlink(missing_ok=True)  # that of an earlier run would be no chart of this one
            continue
        # Without a date, so that the same figures give the same file.
        FigureCanvasAgg(figure).print_figure(path, dpi=_DPI, metadata={"Software": None})
        drawn.append(path)
    return drawn


def _ratios(results: Results) -> Figure | None:
    compared = at(results, "streams", "ratios") or {}
    rows = [(f"{peer}: {what}", value) for peer, of in compared.items() for what, value in of.items()]
    if not rows:
        return None
    figure = Figure(figsize=(8, 0.8 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names, values = [name for name, _ in rows], [max(value, 0.01) for _, value in rows]
    colours = [_COLOURS.get(name.partition(":")[0], "#8a8a8a") for name in names]
    axes.barh(names, [value - 1 for value in values], left=1, color=colours)
    for place, value in enumerate(values):
        axes.annotate(
            f"{value:.1f}", (value, place), (3, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.tick_params(labelsize=8)
    _plain(axes, "x")
    axes.set_title("How many times better than each peer (right of 1: ours is ahead)", fontsize=10)
    return figure


def _first_token(results: Results) -> Figure | None:
    sides = _sides(results)
    if not sides:
        return None
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, part in zip(figure.subplots(1, 2, sharey=True), ("p50", "p99"), strict=True):
        _lines(axes, _by_level(sides, partial(_added, part)))
        _axes(axes, _STREAMS, "ms", f"added time to the first token, {part}")
    _levels(figure.axes, sides)
    return figure


def _added(part: str, one: Any) -> float:
    """Milliseconds, at least what a logarithmic axis has room for; not a number where there is none."""
    seconds = at(one, "added_first_token", part)
    return math.nan if seconds is None else max(1000 * seconds, 0.1)


def _throughput(results: Results) -> Figure | None:
    sides = _sides(results)
    if not sides:
        return None
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _lines(left, _by_level(sides, lambda one: one["cpu"] * 1e6))
    _axes(left, _STREAMS, "us", "CPU of a token")
    _lines(right, _by_level(sides, lambda one: 100 * one["delivered"]))
    _axes(right, _STREAMS, "%", "delivered of what was asked for", linear=True)
    _levels((left, right), sides)
    return figure


def _growth(results: Results) -> Figure | None:
    growth = at(results, "growth")
    if not growth:
        return None
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    titles = {"events": "records of logs", "line": "queued runs", "history": "turns of a conversation"}
    for axes, (what, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        of = growth[what]
        where = of["turns" if what == "history" else "rows"]
        lines = [
            (name, where, [1000 * value for value in seconds]) for name, seconds in of["seconds"].items()
        ]
        _lines(axes, lines)
        measured = "time to the first token" if what == "history" else "a call, median"
        _axes(axes, title, "ms", measured, linear=True)
    return figure


def _sides(results: Results) -> Mapping[str, Any]:
    sides = at(results, "streams", "sides") or {}
    return {name: of for name, of in sides.items() if name != DIRECT}


def _by_level(sides: Mapping[str, Any], value: Callable[[Any], float]) -> list[Line]:
    return [(name, [int(level) for level in of], list(map(value, of.values()))) for name, of in sides.items()]


def _lines(axes: Axes, lines: Sequence[Line]) -> None:
    for (name, across, up), colour, mark in zip(lines, _OTHERS, _MARKS, strict=False):
        axes.plot(across, up, label=name, color=_COLOURS.get(name, colour), marker=mark, markersize=4)
    axes.legend(fontsize=8, frameon=False)


def _levels(every: Sequence[Axes], sides: Mapping[str, Any]) -> None:
    """Ticks where something was measured."""
    levels = sorted({int(level) for of in sides.values() for level in of})
    for axes in every:
        axes.set_xticks(levels, [str(level) for level in levels])
        axes.xaxis.set_minor_locator(NullLocator())


def _axes(axes: Axes, across: str, up: str, title: str, *, linear: bool = False) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(up, fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if linear:
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
        _plain(axes, "y")


def _plain(axes: Axes, which: str) -> None:
    """Numbers as people write them, at 1, 2 and 5 of each power of ten."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
