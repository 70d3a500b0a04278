"""Try chaos on code that is broken on purpose: `python -m tests.chaos.mutants [name ...] [--seeds N]`.

For each seed a line tells which invariants found the defect. Exit code 1: some run found nothing.
"""

import argparse
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic

from tests.chaos.checker import problems
from tests.chaos.evidence import Evidence
from tests.mutants.catalogue import Mutant, MutantError
from tests.mutants.trial import copy_of_the_tree

FILE = Path(__file__).parent / "mutants.toml"
_RUN_SECONDS = 600.0
"""Beyond the load: start, rest, and a machine that is busy otherwise."""


def load() -> list[Mutant]:
    """Those of the file; no test belongs to them."""
    entries = tomllib.loads(FILE.read_text())["mutant"]
    return [Mutant(group="chaos", tests=(), **entry) for entry in entries]


def chosen(names: Sequence[str]) -> Iterator[Mutant]:
    """Those of these names, all without any; raises MutantError for a name of none."""
    known = {mutant.name: mutant for mutant in load()}
    for name in names or known:
        if name not in known:
            raise MutantError(f"no mutant is called {name}")
        yield known[name]


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos-mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="all without any")
    parser.add_argument("--seeds", type=int, default=1, help="so many")
    parser.add_argument("--first", type=int, default=1, help="seed")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], help="as `python -m tests.chaos` has it")
    given = parser.parse_args()
    options = [
        f"--seconds={given.seconds}",
        f"--replicas={given.replicas}",
        *(f"--only={kind}" for kind in given.only),
    ]
    unfound = 0
    for mutant in chosen(given.names):
        for seed in range(given.first, given.first + given.seeds):
            began = monotonic()
            found = _tried(mutant, [f"--seed={seed}", *options], given.seconds)
            unfound += not found
            told = ", ".join(found) or "NOT FOUND"
            sys.stdout.write(f"{mutant.name}, seed {seed}: {told} ({monotonic() - began:.0f} s)\n")
            sys.stdout.flush()
    return 1 if unfound else 0


def _tried(mutant: Mutant, options: Sequence[str], seconds: float) -> list[str]:
    """What one run said: the invariants, with how often and one of the problems, and the goals missed."""
    with copy_of_the_tree() as folder:
        file = folder / "tree" / mutant.file
        file.write_text(mutant.applied(file.read_text()))
        evidence = folder / "evidence"
        output = _output(folder, [*options, f"--folder={evidence}"], seconds)
        try:
            found = problems(Evidence.read(evidence))
        except FileNotFoundError:
            return [f"it did not run to its end: {output[-300:]}"]
    by_invariant = Counter(problem.invariant for problem in found)
    first = [f"e.g. {problem}" for problem in found[:1]]
    deaths = [line for line in output.splitlines() if line.startswith("FAIL  0 processes")]
    return [*(f"{name} {count} times" for name, count in by_invariant.items()), *deaths, *first]


def _output(folder: Path, options: Sequence[str], seconds: float) -> str:
    process = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *options],
        check=False,
        cwd=folder / "tree",
        # What it starts inherits TMPDIR, and is known by it.
        env={
            **os.environ,
            "GRPC_VERBOSITY": "NONE",
            "PYTHONPATH": "client",
            "TMPDIR": str(folder / "tmp"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds + _RUN_SECONDS,
    )
    return process.stdout


if __name__ == "__main__":
    sys.exit(main())
