"""Where `make peers` has installed those that we are measured beside."""

from pathlib import Path

from tests.harness.process import ROOT

_FOLDER = ROOT / ".venv-peers"


def python_of(environment: str) -> Path:
    """Its interpreter, whether or not it is there."""
    return _FOLDER / environment / "bin" / "python"


def installed(environment: str) -> bool:
    return python_of(environment).exists()
