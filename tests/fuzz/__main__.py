"""The long form: `python -m tests.fuzz [--runs N] [--seconds N] [TARGET ...]`, guided by coverage.

Each target has a process of its own, one after the other. What it learns stays in `.data/fuzz/TARGET`, where
the next run goes on; an input that fails lies in `.data/fuzz/failed` afterwards, and is given to the target
again by `python -m tests.fuzz TARGET --input FILE`.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from state.postgres.checkpoints.strict import VARIABLE

RUNS = 1_000_000
INSTRUMENTED = [
    "agents",
    "llm_orchestrator_client",
    "orchestrator",
    "providers",
    "state",
    "telemetry",
    "tests.fuzz.planted",
    "tools",
]
_DATA = Path(os.environ.get("FUZZ_DATA", ".data/fuzz"))
_LONGEST_INPUT = 4096
_FIGURES = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)


def names() -> list[str]:
    """All targets, from a process of their own: here nothing may be imported before it is instrumented."""
    script = "from tests.fuzz.targets import TARGETS; print(*TARGETS)"
    environment = {**os.environ, VARIABLE: "true"}
    return subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment
    ).stdout.split()


def fuzz(target: str, *, runs: int, seconds: int) -> bool:
    """Run one target and print a line of figures; whether it found nothing."""
    corpus, failed = _DATA / target, _DATA / "failed"
    for folder in (corpus, failed):
        folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    process = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.guided", target, str(corpus)),
            *(f"-runs={runs}", f"-max_total_time={seconds}", f"-max_len={_LONGEST_INPUT}"),
            *(f"-artifact_prefix={failed}/{target}-", "-seed=1", "-rss_limit_mb=2048", "-timeout=30"),
        ],
        env={**os.environ, VARIABLE: "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # libFuzzer writes to the one, Python to the other
        text=True,
        errors="replace",
        check=False,
    )
    took = time.monotonic() - began
    figures = _FIGURES.findall(process.stdout) or [("0", "0", "0", "0")]
    done, covered, features, kept = figures[-1]
    passed = process.returncode == 0 and (int(done) >= runs or seconds > 0)
    print(
        f"{target:18} {int(done):>9} runs {int(done) / took:>7.0f}/s "
        f" {covered:>5} edges {features:>6} features "
        f"{kept:>5} inputs {'' if passed else ' FAILED'}",
        flush=True,
    )
    if not passed:
        print(process.stdout[-4000:])
    return passed


def main() -> int:
    """Fuzz what was asked for, or everything; 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each target; the default is a million")
    parser.add_argument("--seconds", type=int, default=0, help="the most for each target; 0: no limit")
    parser.add_argument("--input", type=Path, help="give one input to one target, and nothing else")
    asked = parser.parse_args()
    if asked.input is not None:
        os.environ[VARIABLE] = "true"
        from tests.fuzz.targets import TARGETS

        TARGETS[asked.targets[0]](asked.input.read_bytes())
        return 0
    results = [fuzz(name, runs=asked.runs, seconds=asked.seconds) for name in asked.targets or names()]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
