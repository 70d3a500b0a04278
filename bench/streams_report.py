"""What `bench.streams` prints, ratios first, and what it writes for others to read."""

from collections.abc import Callable, Mapping
from dataclasses import asdict

from bench.closed_loop import Load
from bench.peers.sides import DIRECT, OURS
from bench.report import milliseconds, say, table
from bench.streams_points import (
    DELIVERED,
    GAP_SECONDS,
    Carried,
    Measured,
    Point,
    Points,
    added,
    point,
    ratios,
)


def show(
    measured: Measured,
    load: Callable[[int], Load],
    idle: Mapping[str, int],
    carried: Mapping[str, Carried],
    *,
    apart: bool,
) -> dict[str, object]:
    """Print the ratios first, then what they come from; return both. `idle`: bytes before any load."""
    points: Points = {
        name: {level: point(windows, load(level)) for level, windows in levels.items() if windows}
        for name, levels in measured.items()
    }
    compared = ratios(points, carried)
    if compared:
        say("\nratios, above 1 where we are ahead")
        table(
            ("beside", "", "ours better"),
            [[p, what, f"x {r:.1f}"] for p, of in compared.items() for what, r in of.items()],
        )
    _show_points(points)
    _show_carried(carried)
    where = "the server alone on one processor, all else on the others" if apart else "all on one processor"
    say(f"\n  {where}")
    return {
        "apart": apart,
        "levels": {str(level): asdict(load(level)) for level in measured[OURS]},
        "ratios": compared,
        "sides": {
            name: {str(level): _one(points, name, level) for level in of} for name, of in points.items()
        },
        "memory_of_a_stream": {name: _memory(of, idle[name]) for name, of in points.items() if idle[name]},
        "idle_memory": dict(idle),
        "carried": {
            name: asdict(one) | {"tried": {str(k): asdict(v) for k, v in one.tried.items()}}
            for name, one in carried.items()
        },
    }


def _plain(carried: Carried) -> dict[str, object]:
    tried = {str(level): asdict(one) for level, one in sorted(carried.tried.items())}
    return {"streams": carried.streams, "not_carried": carried.not_carried, "tried": tried}


def _one(points: Points, side: str, level: int) -> dict[str, object]:
    more = {part: added(points, side, level, part) for part in points[side][level].first_token}
    return asdict(points[side][level]) | {"added_first_token": more}


def _memory(of: Mapping[int, Point], idle: int) -> float:
    """Bytes that a stream takes: what the highest level has more than the lowest, by the streams between."""
    low, high = min(of), max(of)
    return (of[high].memory - of[low].memory) / (high - low) if high > low else of[high].memory - idle


def _show_points(points: Points) -> None:
    say()
    rows = []
    for level in points[DIRECT]:
        for name, of in points.items():
            if level not in of:
                rows.append([f"{level}", name, "saturated before", *[""] * 8])
                continue
            one = of[level]
            more = [added(points, name, level, part) for part in ("p50", "p95", "p99")]
            rows.append(
                [
                    f"{level}",
                    name,
                    *("" if value is None else milliseconds(value) for value in more),
                    f"{one.delivered:.0%}",
                    milliseconds(one.gap_p99),
                    f"{one.cpu * 1e6:.0f} us",
                    f"{1 / one.cpu:.0f}" if one.cpu else "",
                    f"{one.failed:.2%}",
                    f"{one.memory / 2**20:.0f} MiB",
                ]
            )
    headers = ("streams", "", "first token added p50", "p95", "p99", "delivered", "gap p99", "CPU of a token")
    table((*headers, "tokens/s of a core", "failed", "memory"), rows)


def _show_carried(carried: Mapping[str, Carried]) -> None:
    if not carried:
        return
    say(f"\nstreams carried: gap p99 under {milliseconds(GAP_SECONDS)}, {DELIVERED:.0%} delivered")
    rows = [
        [name, str(one.streams), "none" if one.not_carried is None else str(one.not_carried)]
        for name, one in carried.items()
    ]
    table(("", "carried", "fewest not carried"), rows)
