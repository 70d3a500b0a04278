"""How large the tests are that grow: 1 in CI; TEST_SCALE=10 is the soak."""

import os

VARIABLE = "TEST_SCALE"
SCALE = int(os.environ.get(VARIABLE, "1"))
SOAK = SCALE > 1


def scaled(size: int) -> int:
    """A size that is right for CI, as large as it was asked for."""
    return size * SCALE
