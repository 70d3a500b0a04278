"""What a run is worth: the goals, each passed or not, and the figures."""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.checker import CHECKS, DUPLICATED, LOST, STALE, problems
from tests.chaos.evidence import Evidence
from tests.chaos.session import Figures, Plan

ERROR_SHARE = 0.001
_SHOWN = 20
_WANTED = ("CANCELLED", "WRONG_STATE")
"""What callers bring upon themselves: they cancel what they watch, and contradict what they decided."""


class Verdict:
    """Of one run. `lines` is what is printed; `passed`: whether every goal was reached."""

    def __init__(self, plan: Plan, figures: Figures, evidence: Evidence) -> None:
        self._plan = plan
        self._figures = figures
        self._evidence = evidence
        self.problems = problems(evidence)
        self._of = Counter(problem.invariant for problem in self.problems)
        quiet = [line for line in evidence.history if line["at"] <= figures.quiet_end]
        self.quiet = sum(line["what"] in ("ok", "fail") for line in quiet)
        self.quiet_errors = sum(line["what"] == "fail" and line["reason"] not in _WANTED for line in quiet)

    @property
    def goals(self) -> dict[str, bool]:
        """By name."""
        others = [name for name in CHECKS if name not in (*LOST, *DUPLICATED, *STALE)]
        return {
            f"0 lost: {self._count(LOST)}": not self._count(LOST),
            f"0 duplicated: {self._count(DUPLICATED)}": not self._count(DUPLICATED),
            f"0 stale: {self._count(STALE)}": not self._count(STALE),
            f"the other invariants hold: {self._count(others)} violations": not self._count(others),
            f"0 processes ended by themselves: {len(self._figures.deaths)}": not self._figures.deaths,
            f"under 0.1 % errors without faults: {self.quiet_errors} of {self.quiet}": (
                self.quiet > 0 and self.quiet_errors < ERROR_SHARE * self.quiet
            ),
        }

    @property
    def passed(self) -> bool:
        return all(self.goals.values())

    def lines(self) -> Iterator[str]:
        history, rows = self._evidence.history, self._evidence.tables.rows
        ends = Counter(line["kind"] for line in history if line["what"] == "ok")
        failed = Counter(
            line["reason"] or line["code"]
            for line in history
            if line["what"] == "fail" and line["kind"] != "try"
        )
        figures, facts = self._figures, self._evidence.facts
        yield f"seed {self._plan.seed}: {figures.live_seconds:.0f} s of the liveness clock"
        yield f"faults {figures.played}, {sum(figures.played.values())} in all"
        if figures.skipped:
            yield f"not possible on this machine: {figures.skipped}"
        yield f"operations that ended well {dict(ends)}; failed {dict(failed)}"
        yield (
            f"{len(rows)} runs {dict(Counter(row.state for row in rows.values()))}, "
            f"{sum(row.attempt for row in rows.values())} attempts, "
            f"{sum(row.losses for row in rows.values())} of them lost"
        )
        yield (
            f"{len(self._evidence.model_calls)} calls of the provider, "
            f"{len(self._evidence.tool_calls)} of tools; "
            f"{figures.failed_starts} starts of processes that failed"
        )
        yield f"at rest {facts['recovery_seconds']:.1f} s after the last fault was mended"
        for death in figures.deaths:
            yield "a process ended by itself: " + " / ".join(death)
        yield from map(str, self.problems[:_SHOWN])
        if len(self.problems) > _SHOWN:
            yield f"and {len(self.problems) - _SHOWN} more: {dict(self._of)}"
        for goal, reached in self.goals.items():
            yield f"{'pass' if reached else 'FAIL'}  {goal}"

    def _count(self, names: tuple[str, ...] | list[str]) -> int:
        return sum(self._of[name] for name in names)
