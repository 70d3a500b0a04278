"""What windows of `bench.streams` say: figures of a side at so many streams, ratios between sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from bench.closed_loop import Load, Window
from bench.peers.sides import DIRECT, OURS
from bench.report import percentile
from bench.usage import Spent

GAP_SECONDS = 0.1
DELIVERED = 0.9
FAILED = 0.001
"""Carried is a load with less than that p99 between messages, so much delivered, no greater share failed."""
_LEAST_SECONDS = 1e-4
"""Less added time than this is noise, and no divisor."""

Measured = dict[str, dict[int, list[Window]]]
"""By side and streams, a window for each round; fewer where the side was saturated before."""


@dataclass(frozen=True, slots=True)
class Point:
    """A side at one number of streams, in all rounds. Seconds; `delivered` and `failed` are shares.

    `offered`: tokens a second that were asked for. `cpu` and `postgres_cpu`: of a token. `memory`: bytes.
    """

    offered: float
    calls: int
    failed: float
    first_token: dict[str, float]
    delivered: float
    tokens_a_second: float
    gap_p99: float
    cpu: float
    postgres_cpu: float
    message_tokens: float
    memory: int
    client_share: float
    provider_share: float

    @property
    def is_carried(self) -> bool:
        return self.gap_p99 < GAP_SECONDS and self.delivered >= DELIVERED and self.failed <= FAILED


@dataclass(frozen=True, slots=True)
class Carried:
    """The most streams that were carried, the fewest that were not (None: all were), and every load tried."""

    streams: int
    not_carried: int | None
    tried: Mapping[int, Point]


def point(windows: Sequence[Window], load: Load) -> Point:
    """What windows of one side and load say together."""
    seconds = sum(window.seconds for window in windows)
    tokens = sum(window.characters() for window in windows) / load.token_characters
    spent = sum((window.spent for window in windows), Spent())
    firsts = list(chain.from_iterable(window.first_tokens() for window in windows))
    gaps = list(chain.from_iterable(window.gaps() for window in windows))
    failed = sum(window.failed for window in windows)
    calls = failed + sum(len(window.calls) for window in windows)
    offered = load.streams / load.token_seconds
    return Point(
        offered=offered,
        calls=calls,
        failed=failed / max(calls, 1),
        first_token={f"p{part}": percentile(firsts, part) for part in (50, 95, 99)} if firsts else {},
        delivered=tokens / (seconds * offered),
        tokens_a_second=tokens / seconds,
        # Where nothing came there is no gap to measure, and nothing is carried.
        gap_p99=percentile(gaps, 99) if gaps else seconds,
        cpu=spent.server / max(tokens, 1.0),
        postgres_cpu=spent.postgres / max(tokens, 1.0),
        message_tokens=tokens / max(sum(window.messages() for window in windows), 1),
        memory=max(window.memory for window in windows),
        client_share=spent.client / seconds,
        provider_share=spent.provider / seconds,
    )


Points = dict[str, dict[int, Point]]


def added(points: Points, side: str, level: int, part: str) -> float | None:
    """Seconds that a side adds to the first token; None where it was not measured."""
    if level not in points[side] or level not in points[DIRECT]:
        return None
    mine, directly = points[side][level].first_token, points[DIRECT][level].first_token
    return mine[part] - directly[part] if mine and directly else None


def ratios(points: Points, carried: Mapping[str, Carried]) -> dict[str, dict[str, float]]:
    """By peer: how many times better ours is, at each level that both were measured at."""
    found: dict[str, dict[str, float]] = {}
    for peer in points.keys() - {DIRECT, OURS}:
        of_peer = found.setdefault(peer, {})
        for level in sorted(points[peer].keys() & points[OURS].keys()):
            theirs, mine = added(points, peer, level, "p50"), added(points, OURS, level, "p50")
            if theirs is not None and mine is not None:
                of_peer[f"added first token p50 at {level}"] = theirs / max(mine, _LEAST_SECONDS)
            if level > 1:
                of_peer[f"CPU of a token at {level}"] = points[peer][level].cpu / points[OURS][level].cpu
        if peer in carried and carried[peer].streams:
            of_peer["streams carried"] = carried[OURS].streams / carried[peer].streams
    return dict(sorted(found.items()))
