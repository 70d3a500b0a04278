"""How large the tests are that grow: 1 in CI; TEST_SCALE=10 is the soak."""

import os
import sys

VARIABLE = "TEST_SCALE"
SCALE = int(os.environ.get(VARIABLE, "1"))
SOAK = SCALE > 1


def scaled(size: int) -> int:
    """A size that is right for CI, as large as it was asked for."""
    return size * SCALE


def report(line: str) -> None:
    """Say what was measured, past pytest's capture."""
    assert sys.__stderr__ is not None
    sys.__stderr__.write(f"\n{line}\n")
