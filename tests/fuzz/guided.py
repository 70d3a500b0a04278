"""One target under libFuzzer: `python -m tests.fuzz.guided TARGET CORPUS [libFuzzer's flags]`."""

import hashlib
import logging
import sys
from pathlib import Path

import atheris

from tests.fuzz.__main__ import INSTRUMENTED

with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.fuzz.planted import planted

    if sys.argv[1:2] != [planted.__name__]:  # which needs nothing of all that
        from tests.fuzz.targets import TARGETS
from tests.fuzz.seeds import SEEDS


def main() -> None:
    """Put the seeds into the corpus, and fuzz until libFuzzer has had enough. Does not return."""
    name, corpus = sys.argv[1], Path(sys.argv[2])
    target = planted if name == planted.__name__ else TARGETS[name]
    for seed in SEEDS.get(name, ()):
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    logging.disable(logging.CRITICAL)  # libraries tell each refusal
    atheris.Setup([sys.argv[0], *sys.argv[3:], str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
