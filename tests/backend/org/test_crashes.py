"""Whenever a process dies in an edit, each file is the old or the new one; nothing is lost or there twice."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.backend.org.crashing import APPENDED, ARCHIVE_BEFORE, INBOX_BEFORE

NEW = {
    "append": (INBOX_BEFORE + APPENDED, ARCHIVE_BEFORE),
    "archive": ("* TODO open\n", ARCHIVE_BEFORE + INBOX_BEFORE.removeprefix("* TODO open\n")),
}


def deaths(directory: Path, kind: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.backend.org.crashing", str(directory), kind]
    environment = {"PYTHONPATH": ".:client"}
    output = subprocess.run(command, check=True, capture_output=True, env=environment, timeout=100).stdout
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("kind", NEW)
def test_a_file_is_the_old_or_the_new_one_whenever_its_writer_dies(tmp_path: Path, kind: str) -> None:
    seen = deaths(tmp_path, kind)
    old, new = (INBOX_BEFORE, ARCHIVE_BEFORE), NEW[kind]
    assert len(seen) >= 12
    assert [death["over"] for death in seen].count(True) == 2
    states: Counter[tuple[bool, bool]] = Counter()
    assert any(name.startswith(".new-") for death in seen for name in death["left"])
    for death in seen:
        left = (death["left"]["inbox.org"], death["left"]["inbox.org_archive"])
        assert left[0] in (old[0], new[0])
        assert left[1] in (old[1], new[1])
        then = tuple(death["next"])
        assert then in (old, new)
        if death["over"]:
            assert left == then == new
            assert set(death["left"]) == {"inbox.org", "inbox.org_archive"}
        if left == new:
            assert then == new
        states[left == old, then == old] += 1
    assert states[True, True]
    assert states[False, False]
    # A journal that is there is a change that has happened, though no file shows it yet.
    assert bool(states[True, False]) == (kind == "archive")
