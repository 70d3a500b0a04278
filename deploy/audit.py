"""Whether a lock file has packages with known vulnerabilities: `python -m deploy.audit FILE...`.

pip-audit leaves out what its service does not answer for, says "No known vulnerabilities found" and exits
with 0, also when that is every package. Here that is another ending: not asked is not clean.

Options of pip-audit (`-s osv`, `--osv-url`) may stand before the files.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from packaging.markers import Marker


class Ending(IntEnum):
    """Exit codes, worst last."""

    CLEAN = 0
    NOT_ASKED = 3
    VULNERABLE = 4


@dataclass(frozen=True)
class Verdict:
    """Of one lock file, and what to say of it."""

    ending: Ending
    lines: Sequence[str]


def verdict(report: Mapping[str, Any], packages: int) -> Verdict:
    """What pip-audit's report comes to, of a lock file with so many packages."""
    answered = [entry for entry in report["dependencies"] if "skip_reason" not in entry]
    found = [
        f"{entry['name']} {entry['version']}: {one['id']}, "
        f"mended in {', '.join(one['fix_versions']) or 'nothing'}"
        for entry in answered
        for one in entry["vulns"]
    ]
    unasked = f"could not ask about {packages - len(answered)} of {packages} packages"
    if found:
        return Verdict(Ending.VULNERABLE, found if len(answered) >= packages else [*found, unasked])
    if not answered or len(answered) < packages:
        return Verdict(Ending.NOT_ASKED, [unasked])
    return Verdict(Ending.CLEAN, [f"{packages} packages, none with a known vulnerability"])


def locked(text: str) -> int:
    """How many packages a lock file has for this machine; pip-audit does not see the others either."""
    lines = [line for line in text.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    return sum(applies(line.partition(";")[2].rstrip(" \\")) for line in lines)


def applies(marker: str) -> bool:
    """Whether a package with this environment marker, empty for none, is for this machine."""
    return not marker.strip() or Marker(marker.strip()).evaluate()


def audit(file: str, options: Sequence[str]) -> Verdict:
    """Ask about every package of a lock file."""
    command = [sys.executable, "-m", "pip_audit", "-r", file, "--disable-pip", "--require-hashes"]
    command += ["--format", "json", "--desc", "off", "--progress-spinner", "off", *options]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        report = json.loads(asked.stdout)
    except ValueError:
        told = asked.stderr.strip().splitlines()[-1:] or ["pip-audit said nothing"]
        return Verdict(Ending.NOT_ASKED, [f"could not ask: {told[0]}"])
    return verdict(report, locked(Path(file).read_text()))


def main(arguments: Sequence[str]) -> int:
    """The worst of all endings."""
    files = [argument for argument in arguments if argument.endswith(".txt")]
    options = [argument for argument in arguments if argument not in files]
    worst = Ending.CLEAN
    for file in files:
        found = audit(file, options)
        worst = max(worst, found.ending)
        for line in found.lines:
            print(f"{file}: {found.ending.name.lower().replace('_', ' ')}: {line}")
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
