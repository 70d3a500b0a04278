"""Try mutants one after the other: `python -m tests.mutants [name or group ...]`. Exit code 1: some lived."""

import sys
from collections.abc import Sequence

from tests.mutants.catalogue import Mutant, MutantError, load
from tests.mutants.trial import Trial, Verdict, tried

_LINES_SHOWN = 40


def main(names: Sequence[str]) -> int:
    try:
        mutants = load().chosen(names)
        trials = [_one(mutant, f"{number}/{len(mutants)}") for number, mutant in enumerate(mutants, 1)]
    except MutantError as error:
        print(error, file=sys.stderr)
        return 2
    alive = [trial for trial in trials if trial.verdict is not Verdict.KILLED]
    _tell(trials)
    return 1 if alive else 0


def _one(mutant: Mutant, position: str) -> Trial:
    print(f"[{position}] {mutant.group}: {mutant.name} ...", end=" ", flush=True)
    trial = tried(mutant)
    print(f"{trial.verdict} ({trial.seconds:.0f} s)", flush=True)
    for test in trial.passed:
        print(f"    did not fail: {test}")
    if trial.verdict is not Verdict.KILLED:
        print("\n".join(f"    | {line}" for line in trial.output.splitlines()[-_LINES_SHOWN:]), flush=True)
    return trial


def _tell(trials: Sequence[Trial]) -> None:
    """A row for each mutant."""
    width = max((len(trial.mutant.name) for trial in trials), default=0)
    print()
    for trial in trials:
        mutant = trial.mutant
        tests = f"{len(mutant.tests)} test{'s' if len(mutant.tests) > 1 else ''}"
        print(f"{trial.verdict:<8}  {mutant.name:<{width}}  {tests:<8}  {mutant.trap}")
    killed = sum(trial.verdict is Verdict.KILLED for trial in trials)
    print(f"\n{killed} of {len(trials)} killed, in {sum(trial.seconds for trial in trials):.0f} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
