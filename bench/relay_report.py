"""What `bench.relay` has measured, as ratios, goals and figures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TypedDict

from bench.closed_loop import Load, Window
from bench.peers.sides import AFTERNOON, DIRECT, LITELLM, OURS
from bench.report import milliseconds, percentile, say, table, verdict
from bench.usage import Spent

Rounds = dict[str, list[Window]]
"""The windows of each side, one for each round."""

CPU, FIRST_TOKEN = "CPU for a token", "added time to the first token, p50"
_LEAST_SECONDS = 1e-4
"""Less added time than this is noise, and no divisor."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A peer's value is at least `times` ours."""

    value: str
    peer: str
    times: float

    @property
    def name(self) -> str:
        return f"{self.value}, {self.peer} / {OURS}"


GOALS = (
    Goal(CPU, LITELLM, 4.0),
    Goal(CPU, AFTERNOON, 2.5),
    Goal(FIRST_TOKEN, LITELLM, 5.0),
    Goal(FIRST_TOKEN, AFTERNOON, 1.0),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """One side, in one round or in all. Times in seconds; `delivered` is a share of what was paced."""

    cpu: float
    postgres_cpu: float
    first_token_p50: float
    first_token_p95: float
    delivered: float
    message_tokens: float
    gap_p99: float
    client_share: float
    provider_share: float
    calls: int


def figures(windows: Sequence[Window], load: Load) -> Figures:
    """What windows of one side say together."""
    spent = sum((window.spent for window in windows), Spent())
    seconds = sum(window.seconds for window in windows)
    tokens = sum(window.characters() for window in windows) / load.token_characters
    first_tokens = list(chain.from_iterable(window.first_tokens() for window in windows))
    return Figures(
        cpu=spent.server / tokens,
        postgres_cpu=spent.postgres / tokens,
        first_token_p50=percentile(first_tokens, 50),
        first_token_p95=percentile(first_tokens, 95),
        delivered=tokens * load.token_seconds / (seconds * load.streams),
        message_tokens=tokens / sum(window.messages() for window in windows),
        gap_p99=percentile(list(chain.from_iterable(window.gaps() for window in windows)), 99),
        client_share=spent.client / seconds,
        provider_share=spent.provider / seconds,
        calls=sum(len(window.calls) for window in windows),
    )


class Reached(TypedDict):
    """A goal and what became of it: its ratio in all rounds together and in each."""

    name: str
    at_least: float
    ratio: float
    ratios_of_rounds: list[float]
    verdict: str


Found = dict[str, Figures]
"""By side."""


def found(measured: Rounds, load: Load, number: int | None = None) -> Found:
    """The figures of one round, of all of them without a number."""
    chosen = slice(None) if number is None else slice(number, number + 1)
    return {name: figures(windows[chosen], load) for name, windows in measured.items()}


def ratio(goal: Goal, of: Found) -> float:
    """How many times our value the peer's is."""
    peer, ours = of[goal.peer], of[OURS]
    if goal.value == CPU:
        return peer.cpu / ours.cpu
    direct = of[DIRECT].first_token_p50
    return (peer.first_token_p50 - direct) / max(ours.first_token_p50 - direct, _LEAST_SECONDS)


def show(measured: Rounds, load: Load, *, apart: bool) -> dict[str, object]:
    """Print the ratios first, then what they come from; return both for JSON."""
    rounds = [found(measured, load, number) for number in range(len(measured[OURS]))]
    together = found(measured, load)
    goals = [_goal(goal, together, rounds) for goal in GOALS if goal.peer in measured]
    say(f"\n{load.streams} streams of {load.tokens} tokens, {1 / load.token_seconds:.0f} a second each")
    _show_goals(goals, len(rounds))
    _show_figures(together)
    where = "the server alone on one processor, all else on the others" if apart else "all on one processor"
    busiest = max(figure.provider_share for figure in together.values())
    asking = max(figure.client_share for figure in together.values())
    say(f"\n  {where}; the provider took at most {busiest:.0%} of one, who asked {asking:.0%}")
    sides = {name: [asdict(one[name]) for one in (together, *rounds)] for name in measured}
    return {"load": asdict(load), "apart": apart, "goals": goals, "all_then_each_round": sides}


def _goal(goal: Goal, together: Found, rounds: Sequence[Found]) -> Reached:
    reached = ratio(goal, together)
    return {
        "name": goal.name,
        "at_least": goal.times,
        "ratio": reached,
        "ratios_of_rounds": [ratio(goal, one) for one in rounds],
        "verdict": verdict(goal.times, reached),
    }


def _show_goals(goals: Sequence[Reached], rounds: int) -> None:
    headers = ["ratios", "goal", "reached", *(f"round {number + 1}" for number in range(rounds)), ""]
    rows = [
        [
            goal["name"],
            *(f"{value:.1f}" for value in (goal["at_least"], goal["ratio"], *goal["ratios_of_rounds"])),
            goal["verdict"],
        ]
        for goal in goals
    ]
    if rows:
        table(headers, rows)


def _show_figures(together: Found) -> None:
    direct = together[DIRECT]
    headers = ("", CPU, "of its Postgres", "first token added p50", "p95", "delivered", "tokens a message")
    rows = [
        [
            name,
            _microseconds(one.cpu),
            _microseconds(one.postgres_cpu),
            milliseconds(one.first_token_p50 - direct.first_token_p50),
            milliseconds(one.first_token_p95 - direct.first_token_p95),
            f"{one.delivered:.1%}",
            f"{one.message_tokens:.2f}",
            milliseconds(one.gap_p99),
            str(one.calls),
        ]
        for name, one in together.items()
    ]
    say()
    table((*headers, "gap p99", "calls"), rows)


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us"
