"""SPIN on the models beside this file: a property holds in all interleavings, or one breaks it."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).parent
TOOLS = ("spin", "cc")
_SECONDS = 1800
_DEPTH = 200_000
_TRANSITION = re.compile(r"^transition (\d+) (\d+)$", re.MULTILINE)

LIVENESS = frozenset({"every_run_ends", "both_runs_end", "the_run_that_asks_ends"})
"""Properties of endless executions; all others break in a finite one, which is cheaper to look for."""


def missing() -> str:
    """Why no model can be checked here; empty when it can. With CI set nothing may be missing."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if not absent:
        return ""
    reason = f"{' and '.join(absent)} not found: deploy/install_spin.sh installs them on Debian, as root"
    if os.environ.get("CI"):
        raise RuntimeError(reason)
    return reason


@dataclass(frozen=True, slots=True)
class Result:
    """What SPIN found. `transitions` are pairs of states that a run went through, by number."""

    errors: int
    states: int
    depth: int
    truncated: bool
    transitions: frozenset[tuple[int, int]]
    output: str

    def __str__(self) -> str:
        return f"{self.errors} errors, {self.states} states, depth {self.depth}"


class Model:
    """One model, with sizes and mutants as `defines`; it is compiled when first checked."""

    def __init__(self, name: str, defines: Mapping[str, int], folder: Path, *, fast: bool = False) -> None:
        self._source = FOLDER / f"{name}.pml"
        self._defines = [f"-D{key}={value}" for key, value in defines.items()]
        self._folder = folder
        self._optimise = "-O1" if fast else "-O0"

    def check(self, prop: str) -> Result:
        """Look at every state within the depth, or as far as the first that breaks `prop`."""
        if prop in LIVENESS:
            output = _run([self._for_endless, f"-m{_DEPTH}", "-a", "-f", "-N", prop], self._folder)
        else:
            output = _run([self._for_finite, f"-m{_DEPTH}", "-N", prop], self._folder)
        return _result(output)

    @cached_property
    def _for_finite(self) -> str:
        return self._compiled("finite", "-DSAFETY", "-DNOFAIR")

    @cached_property
    def _for_endless(self) -> str:
        return self._compiled("endless", "-DNFAIR=3")

    @cached_property
    def _verifier(self) -> Path:
        _run(["spin", "-a", *self._defines, str(self._source)], self._folder)
        return self._folder / "pan.c"

    def _compiled(self, name: str, *options: str) -> str:
        program = self._folder / name
        source = str(self._verifier)
        _run(["cc", self._optimise, "-w", "-DCOLLAPSE", *options, "-o", str(program), source], self._folder)
        return str(program)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def _result(output: str) -> Result:
    return Result(
        errors=_number(r"errors: (\d+)", output),
        states=_number(r"^\s*(\d+) states, stored", output),
        depth=_number(r"depth reached (\d+)", output),
        truncated="max search depth too small" in output or "not completed" in output,
        transitions=frozenset((int(a), int(b)) for a, b in _TRANSITION.findall(output)),
        output=output,
    )


def _number(pattern: str, output: str) -> int:
    found = re.search(pattern, output, re.MULTILINE)
    assert found is not None, output[-2000:]
    return int(found[1])
