"""One mutant tried: a copy of the tree with the one defect in it, and pytest over the tests it names."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic

import psutil

from tests.mutants.catalogue import ROOT, Mutant

TEST_SECONDS = 60
MUTANT_SECONDS = 300
_TESTS_FAILED = 1
"""pytest's exit code; 0 is that none did, and all others that it could not run them."""


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"
    BROKEN = "BROKEN"


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went. `passed` are the tests that did not fail; `output` is what pytest said."""

    mutant: Mutant
    verdict: Verdict
    passed: tuple[str, ...]
    seconds: float
    output: str


def tried(mutant: Mutant) -> Trial:
    """Try a mutant.

    Raises:
        MutantError: Its old text does not stand just once in its file.
    """
    began = monotonic()
    with copy_of_the_tree() as folder:
        file = folder / "tree" / mutant.file
        file.write_text(mutant.applied(file.read_text()))
        notes = folder / "failed"
        notes.touch()
        exit_code, output = _run(folder, notes, mutant.tests)
        passed = tuple(test for test in mutant.tests if test not in notes.read_text().splitlines())
    return Trial(mutant, judged(exit_code, passed), passed, monotonic() - began, output)


def judged(exit_code: int | None, passed: tuple[str, ...]) -> Verdict:
    """A mutant is killed when pytest ran to its end and every test failed. No exit code: it took too long."""
    if exit_code not in (0, _TESTS_FAILED):
        return Verdict.BROKEN
    return Verdict.SURVIVED if passed else Verdict.KILLED


@contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """A folder whose `tree` holds every file that is or would be tracked, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, Postgres runs under another account, and must come through
        (folder / "tmp").mkdir(mode=0o711)
        for path in filter(None, listed.stdout.split("\0")):
            if (ROOT / path).is_file():
                (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, folder / "tree" / path)
        (folder / "tree" / ".venv").symlink_to(ROOT / ".venv")
        try:
            yield folder
        finally:
            _end_what_is_left(folder)


def _run(folder: Path, notes: Path, tests: tuple[str, ...]) -> tuple[int | None, str]:
    """pytest's exit code, None when it took too long, and its output."""
    options = ("-q", "-p", "no:cacheprovider", "-p", "tests.mutants.witness", f"--witness={notes}")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, f"--timeout={TEST_SECONDS}", *tests],
        cwd=folder / "tree",
        # What the tests start inherits TMPDIR, and is known by it.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=MUTANT_SECONDS)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return None, f"pytest was still at work after {MUTANT_SECONDS} s\n"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end_what_is_left(folder: Path) -> None:
    """Kill what has left pytest's process group: a server of a mutant that does not end, its Postgres."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if (
                process.environ().get("TMPDIR") == str(folder / "tmp")
                or folder in Path(process.cwd()).parents
            ):
                process.kill()
