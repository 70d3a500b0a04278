"""`python -m bench.report_page FILE.json`: page, charts and the README's numbers of a run, made again.

Everything is written beside the file, except the README's block between two markers.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from bench import page_text as text
from bench.charts import draw
from bench.goals import Results
from bench.report import say
from tests.harness.process import ROOT

FOLDER = ROOT / "docs/benchmarks"
README = ROOT / "README.md"
RESULTS, PAGE = "results.json", "results.md"
BEGIN, END = "<!-- numbers: written by bench.report_page -->", "<!-- end of numbers -->"

_ABOUT = "Written by `make bench`; [README.md](README.md) says how each is measured."


def write_pages(results: Path, readme: Path) -> None:
    """Make all that is read of a run's JSON."""
    run = orjson.loads(results.read_bytes())
    drawn = draw(text.results_of(run), results.parent)
    results.with_name(PAGE).write_text(page(run, drawn))
    readme.write_text(with_numbers(readme.read_text(), numbers(run)))


def with_numbers(document: str, block: str) -> str:
    """A document with this between its markers.

    Raises:
        ValueError: It has not both.
    """
    before, found, rest = document.partition(BEGIN)
    _, ends, after = rest.partition(END)
    if not (found and ends):
        raise ValueError(f"the numbers have no place: {BEGIN} or {END} is missing")
    return f"{before}{BEGIN}\n{block}{END}{after}"


def numbers(run: dict[str, Any]) -> str:
    """What the README says: where and when, and the goals."""
    return f"{text.machine_line(run)}\n\n{text.goal_table(run)}"


def page(run: dict[str, Any], drawn: list[Path]) -> str:
    """All of a run as Markdown."""
    results = text.results_of(run)
    charts = "".join(f"![{one.stem.replace('_', ' ')}]({one.name})\n" for one in drawn)
    parts = [
        f"# Results\n\n{_ABOUT}\n\n{text.machine_line(run)}",
        "## Goals\n\n" + text.goal_table(run),
        "## Ratios\n\nAbove 1 where we are ahead.\n\n"
        + text.markdown(("", "ours better"), text.ratio_rows(results)),
        charts,
        *_figures(results),
        _took(run),
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _figures(results: Results) -> list[str]:
    """Each table under its heading; nothing of what was not measured."""
    added = ("first token added p50", "p95", "p99")
    more = ("delivered", "gap p99", "CPU of a token", "tokens/s of a processor", "failed")
    growth = "\n".join(
        [
            text.growth_table(results, "events"),
            text.growth_table(results, "line"),
            text.history_table(results),
        ]
    )
    tables = {
        "Streams": text.markdown(("streams", "", *added, *more), text.stream_rows(results)),
        "Streams carried": text.markdown(
            ("", "carried", "fewest not carried", "idle", "memory of a stream"), text.carried_rows(results)
        ),
        "Growth": growth.strip(),
        "Tasks": text.markdown(
            ("", "accepted p50", "p95", "begun p50", "accepted in a row p50", "runs a second"),
            text.task_rows(results),
        ),
        "Checkpoints": text.markdown(("", "", "a second", "CPU of the client"), text.saver_rows(results)),
        "And": text.markdown(("", ""), text.small_rows(results)),
    }
    return [f"## {heading}\n\n{table}" for heading, table in tables.items() if table]


def _took(run: dict[str, Any]) -> str:
    rows = [[name, f"{one['seconds']:.0f} s", one.get("error", "")] for name, one in run["parts"].items()]
    skipped = (run["parts"].get("streams", {}).get("results") or {}).get("skipped", {})
    left_out = "".join(f"\n{name} was left out: {reason}." for name, reason in skipped.items())
    return "## Parts\n\n" + text.markdown(("", "took", ""), rows) + left_out


def main() -> int:
    """Exit code 0."""
    parser = argparse.ArgumentParser(prog="bench.report_page", description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=FOLDER / RESULTS)
    parser.add_argument("--readme", type=Path, default=README)
    arguments = parser.parse_args()
    write_pages(arguments.results, arguments.readme)
    say(f"written: {arguments.results.with_name(PAGE)} and {arguments.readme}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
