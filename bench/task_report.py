"""What `bench.tasks` has measured, as ratios, goals and figures."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

from bench.peers.pace import CALLERS, INTERVAL_SECONDS, Load, Measured
from bench.report import milliseconds, percentile, say, table, verdict
from bench.task_sides import OURS

GOAL_SECONDS = 0.005

Rounds = dict[str, list[Measured]]
"""By side, one for each round."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One side, in one round or in all. Times in seconds; `rate` is runs a second."""

    accepted_p50: float
    accepted_p95: float
    begun_p50: float
    begun_p95: float
    in_a_row_p50: float
    in_a_row_p95: float
    rate: float


def figures(rounds: Sequence[Measured]) -> Figures:
    """What rounds of one side say together."""
    accepted = list(chain.from_iterable(one.accepted for one in rounds))
    begun = list(chain.from_iterable(one.begun for one in rounds))
    in_a_row = list(chain.from_iterable(one.in_a_row for one in rounds))
    return Figures(
        accepted_p50=percentile(accepted, 50),
        accepted_p95=percentile(accepted, 95),
        begun_p50=percentile(begun, 50),
        begun_p95=percentile(begun, 95),
        in_a_row_p50=percentile(in_a_row, 50),
        in_a_row_p95=percentile(in_a_row, 95),
        rate=sum(one.burst for one in rounds) / sum(one.ended for one in rounds),
    )


RATIOS: dict[str, Callable[[Figures, Figures], float]] = {
    "until accepted": lambda peer, us: peer.accepted_p50 / us.accepted_p50,
    "until begun": lambda peer, us: peer.begun_p50 / us.begun_p50,
    "runs a second": lambda peer, us: us.rate / peer.rate,
}
"""Each is above 1 where we are ahead."""


def ratios(measured: Rounds, peer: str) -> dict[str, list[float]]:
    """Of a peer and us: of all rounds together, then of each."""
    pairs = list(zip(measured[peer], measured[OURS], strict=True))
    both = [(figures(measured[peer]), figures(measured[OURS]))]
    both += [(figures([theirs]), figures([us])) for theirs, us in pairs]
    return {name: [ratio(theirs, us) for theirs, us in both] for name, ratio in RATIOS.items()}


def show(measured: Rounds, queued: Sequence[float], load: Load) -> dict[str, object]:
    """Print the ratios first, then what they come from; return both for JSON.

    `queued`: seconds that our runs were queued after there was nothing to wait for.
    """
    compared = {peer: ratios(measured, peer) for peer in measured if peer != OURS}
    together = {name: figures(rounds) for name, rounds in measured.items()}
    _show_ratios(compared)
    _show_figures(together)
    goals = _show_goals(together[OURS], queued)
    sides = {
        name: [asdict(together[name]), *(asdict(figures([one])) for one in rounds)]
        for name, rounds in measured.items()
    }
    return {
        "load": asdict(load),
        "goal_seconds": GOAL_SECONDS,
        "goals": goals,
        "ratios_of_all_then_each_round": compared,
        "all_then_each_round": sides,
        "queued_seconds": list(queued),
    }


def _show_ratios(compared: dict[str, dict[str, list[float]]]) -> None:
    if not compared:
        return
    say("\nratios, above 1 where we are ahead: all rounds (each)")
    rows = [[peer, *(_spoken(values) for values in of_peer.values())] for peer, of_peer in compared.items()]
    table(("beside", *RATIOS), rows)


def _spoken(values: Sequence[float]) -> str:
    together, *each = (f"{value:.2f}" if value < 10 else f"{value:.0f}" for value in values)
    return f"{together} ({' '.join(each)})"


def _show_figures(together: dict[str, Figures]) -> None:
    pace = f"one every {INTERVAL_SECONDS * 1000:.0f} ms"
    say(
        f"\naccepted and begun: p50 and p95 of calls, {pace}, then in a row; runs a second: {CALLERS} callers"
    )
    rows = [
        [
            name,
            *(
                milliseconds(value)
                for value in (one.accepted_p50, one.accepted_p95, one.begun_p50, one.begun_p95)
            ),
            *(milliseconds(value) for value in (one.in_a_row_p50, one.in_a_row_p95)),
            f"{one.rate:.0f}",
        ]
        for name, one in together.items()
    ]
    table(("", "accepted", "p95", "begun", "p95", "in a row", "p95", "runs a second"), rows)


def _show_goals(us: Figures, queued: Sequence[float]) -> dict[str, str]:
    values = {
        "accepted, at a pace": us.accepted_p50,
        "accepted, in a row": us.in_a_row_p50,
        "from queued to running": percentile(queued, 50),
    }
    goals = {name: verdict(value, GOAL_SECONDS) for name, value in values.items()}
    say("\nours, p50")
    limit = milliseconds(GOAL_SECONDS)
    rows = [[name, milliseconds(values[name]), limit, reached] for name, reached in goals.items()]
    table(("", "reached", "goal", ""), rows)
    return goals
