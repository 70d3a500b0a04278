"""Trees of code to run: the previous version's, out of git, and one that is a release further."""

import os
import shutil
import subprocess
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path

import pytest

from tests.harness.process import ROOT

_PREVIOUS = Path(__file__).parent / "previous.toml"
_LEFT_OUT = shutil.ignore_patterns(".*", "tests", "docs", "bench", "__pycache__")


def previous_commit() -> str:
    """What previous.toml names."""
    return str(tomllib.loads(_PREVIOUS.read_text())["commit"])


def tree_of(commit: str, folder: Path) -> Path:
    """The code of a commit, in a folder of its own. Without git's history: skipped, in CI a failure."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        _missing(commit, archive.stderr.decode(errors="replace").strip())
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def _missing(commit: str, cause: str) -> None:
    said = (
        f"the previous version cannot be tried: git does not have {commit} ({cause}). "
        f"In a shallow clone: git fetch --depth 1 origin {commit}"
    )
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


def next_release(folder: Path, migrations: dict[str, str]) -> Path:
    """Today's code with more migrations, by file name."""
    shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
    for name, sql in migrations.items():
        (folder / "state" / "postgres" / "migrations" / name).write_text(sql)
    return folder
