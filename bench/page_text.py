"""The words and tables of a run, as Markdown. All of it comes from the run's JSON."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from bench.goals import GOALS, Results, at
from bench.peers.sides import DIRECT, OURS
from bench.report import milliseconds

_PERCENTILES = ("p50", "p95", "p99")
Rows = list[list[str]]


def results_of(run: dict[str, Any]) -> Results:
    """By part, of those that have any."""
    return {name: one["results"] for name, one in run["parts"].items() if "results" in one}


def markdown(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; nothing without rows."""
    lines = [list(headers), ["---"] * len(headers), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines) if len(lines) > 2 else ""


def machine_line(run: dict[str, Any]) -> str:
    """Date, commit, machine and its load, in one sentence."""
    on = run["machine"]
    changed = ", with changes," if on["changed"] else ""
    load = " and ".join(f"{run[when][0]:.1f} {said}" for when, said in _LOADS.items())
    return (
        f"{on['date'][:16].replace('T', ' ')} UTC, commit {on['commit'] or 'unknown'}{changed} "
        f"on {on['processors']} processors ({on['processor']}), {on['memory_bytes'] / 2**30:.0f} GiB, "
        f"{on['kernel']}, Python {on['python']}; size {run['size']}; load average {load}."
    )


_LOADS = {"load_before": "before", "load_after": "after"}


def goal_table(run: dict[str, Any]) -> str:
    results = results_of(run)
    return markdown(("goal, per processor", "", "reached", ""), [goal.row(results) for goal in GOALS])


def ratio_rows(results: Results) -> Rows:
    """Everything that was compared in the run: above 1 where we are ahead."""
    streams = at(results, "streams", "ratios") or {}
    rows = [[f"{peer}: {what}", value] for peer, of in streams.items() for what, value in of.items()]
    tasks = at(results, "tasks", "ratios_of_all_then_each_round") or {}
    rows += [[f"{peer}: {what}", values[0]] for peer, of in tasks.items() for what, values in of.items()]
    rows += [
        [f"{name}: checkpoint operations a second, 64 at once", value] for name, value in _saver(results)
    ]
    return [[name, f"x {value:.2f}" if value < 10 else f"x {value:.0f}"] for name, value in rows]


def _saver(results: Results) -> list[tuple[str, float]]:
    series = at(results, "saver", "series") or ()
    rates: dict[str, Any] = next((one["rates"] for one in series if one["title"].startswith("64 at")), {})
    fast = {name: median(one[0] for one in of) for name, of in rates.items()}
    return [(name, fast[OURS] / value) for name, value in fast.items() if name != OURS]


def stream_rows(results: Results) -> Rows:
    """Each side at each number of streams."""
    sides = at(results, "streams", "sides") or {}
    return [
        [
            level,
            name,
            *(_ms(at(of, level, "added_first_token", part)) for part in _PERCENTILES),
            f"{of[level]['delivered']:.0%}",
            milliseconds(of[level]["gap_p99"]),
            f"{of[level]['cpu'] * 1e6:.0f} us",
            f"{1 / of[level]['cpu']:.0f}" if of[level]["cpu"] else "-",
            f"{of[level]['failed']:.2%}",
        ]
        if level in of
        else [level, name, "saturated before", *[""] * 7]
        for level in sides.get(DIRECT, {})
        for name, of in sides.items()
        if name != DIRECT
    ]


def carried_rows(results: Results) -> Rows:
    """The most streams that each side carried, and what one takes up."""
    carried = at(results, "streams", "carried") or {}
    memory = at(results, "streams", "memory_of_a_stream") or {}
    idle = at(results, "streams", "idle_memory") or {}
    return [
        [
            name,
            str(one["streams"]),
            "-" if one["not_carried"] is None else str(one["not_carried"]),
            f"{idle[name] / 2**20:.0f} MiB",
            f"{memory[name] / 1024:.0f} KiB",
        ]
        for name, one in carried.items()
    ]


def task_rows(results: Results) -> Rows:
    sides = at(results, "tasks", "all_then_each_round") or {}
    return [
        [
            name,
            *(_ms(one[value]) for value in ("accepted_p50", "accepted_p95", "begun_p50", "in_a_row_p50")),
            f"{one['rate']:.0f}",
        ]
        for name, (one, *_) in sides.items()
    ]


def saver_rows(results: Results) -> Rows:
    return [
        [
            one["title"],
            name,
            f"{median(r[0] for r in rates):.0f}",
            f"{median(r[1] for r in rates) * 1e6:.0f} us",
        ]
        for one in at(results, "saver", "series") or ()
        for name, rates in one["rates"].items()
    ]


def growth_table(results: Results, what: str) -> str:
    """Medians of each statement by rows."""
    of = at(results, "growth", what)
    if not of:
        return ""
    rows = [
        [name, *map(milliseconds, seconds), f"{of['times'][name]:.2f}" if of["times"].get(name) else "-"]
        for name, seconds in of["seconds"].items()
    ]
    return markdown((_GROWN[what], *(f"{size:,}" for size in of["rows"]), "last to 10^4"), rows)


_GROWN = {"events": "records of logs", "line": "queued runs"}


def history_table(results: Results) -> str:
    of = at(results, "growth", "history")
    if not of:
        return ""
    rows = [[name, *map(milliseconds, seconds)] for name, seconds in of["seconds"].items()]
    return markdown(("turns of a conversation", *map(str, of["turns"])), rows)


def small_rows(results: Results) -> Rows:
    """What is one figure each."""
    startup, tools = at(results, "startup") or {}, at(results, "tools", "seconds") or {}
    found = [
        ("from start to ready, empty folder", at(startup, "cold_seconds"), "{:.2f} s"),
        ("from start to ready, again", median(startup["warm_seconds"]) if startup else None, "{:.2f} s"),
        ("a call of a tool by a plain stub, p50", _p50(at(tools, "plain stub")), "{:.4f} s"),
        ("a call of a tool through the gateway, p50", _p50(at(tools, "gateway")), "{:.4f} s"),
        (
            "CPU of a token with metrics and traces, to without",
            at(results, "instrumentation", "ratio"),
            "{:.3f}",
        ),
    ]
    for one in at(results, "backend", "series") or ():
        name = f"first content through the reference backend, added to its local path, p50, {one['name']}"
        found.append((name, one["added_seconds"]["p50"], "{:.4f} s"))
    return [[name, spoken.format(value)] for name, value, spoken in found if value is not None]


def _p50(values: Any) -> float | None:
    """Of a list of numbers, or of what is left of a long one."""
    found: float | None = median(values) if isinstance(values, list) else at(values, "p50")
    return found


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else milliseconds(seconds)
