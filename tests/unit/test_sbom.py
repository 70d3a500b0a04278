"""The SBOM is the lock file, whole, with the licences of what is installed, and the same each time."""

import json
import re
from pathlib import Path

import pytest

from deploy.sbom import ROOT, licences_of, sbom

LOCK = ROOT / "requirements.txt"


@pytest.fixture(scope="module")
def text() -> str:
    return sbom(LOCK)


def test_it_has_every_package_of_the_lock_file_with_its_hashes(text: str) -> None:
    components = json.loads(text)["components"]
    locked = set(re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK.read_text(), re.MULTILINE))
    assert {(one["name"], one["version"]) for one in components} == locked
    assert all(one["externalReferences"][0]["hashes"] for one in components)


def test_it_is_the_same_each_time_and_tells_nothing_of_the_machine(text: str) -> None:
    assert sbom(LOCK) == text
    assert str(ROOT) not in text
    assert str(Path.home()) not in text


def test_nearly_every_package_has_a_licence(text: str) -> None:
    components = json.loads(text)["components"]
    assert sum("licenses" in one for one in components) > 0.9 * len(components)


def test_a_licence_is_only_told_of_the_version_that_is_installed() -> None:
    assert licences_of("grpcio", "0.0.1") == []
    assert licences_of("no-such-package", "1") == []
