"""What every bench prints: percentiles, tables, the machine's load, and whether a goal is reached."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import orjson

PERCENTILES = (50, 95, 99)
_MOST_CALLS = 1000


def say(line: str = "") -> None:
    """Print a line now, also when nobody's terminal is at the other end."""
    print(line, flush=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear between the two nearest values."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def verdict(value: float, limit: float) -> str:
    return "pass" if value <= limit else "MISSED"


def load_line(before: Sequence[float], after: Sequence[float]) -> str:
    """The machine's load averages: what else ran while we measured."""
    spoken = [" ".join(f"{value:.2f}" for value in averages) for averages in (before, after)]
    return f"load average: {spoken[0]} before, {spoken[1]} after, {os.cpu_count()} processors"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headers: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for row in (headers, *rows):
        first, *rest = (
            text.ljust(width) if index == 0 else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        say("  " + "  ".join([first, *rest]).rstrip())


def count(text: str) -> int:
    """A number on a command line, bounded so that no bench runs for hours."""
    value = int(text)
    if not 1 <= value <= _MOST_CALLS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {_MOST_CALLS}")
    return value


def write_json(path: Path | None, results: object) -> None:
    """Write the results where they are wanted."""
    if path is not None:
        path.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
