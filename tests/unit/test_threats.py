"""docs/security.md: each threat has a control, and a test that exists."""

import re
from pathlib import Path

import pytest

from tests.harness.process import ROOT

TEXT = (ROOT / "docs/security.md").read_text()
THREATS: list[tuple[str, str, str, str]] = re.findall(
    r"^\| ([A-Z]\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", TEXT, re.M
)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", TEXT)))


def there_is(test: str) -> bool:
    file, _, name = test.partition("::")
    path: Path = ROOT / file
    return path.exists() and (not name or re.search(rf"def {name}\(", path.read_text()) is not None)


@pytest.mark.parametrize("test", NAMED)
def test_each_test_that_it_names_is_there(test: str) -> None:
    assert there_is(test)


def test_each_threat_has_a_control_and_a_test() -> None:
    assert (
        len(THREATS)
        == len({number for number, *_ in THREATS})
        == len(re.findall(r"^\| [A-Z]\d+ ", TEXT, re.M))
    )
    unnamed = [number for number, _, _, test in THREATS if "`tests/" not in test]
    assert unnamed == ["M1"]


def test_a_test_that_is_not_there_is_found() -> None:
    assert not there_is("tests/unit/test_threats.py::test_nothing")
    assert not there_is("tests/unit/test_no_such_file.py")
