"""No version of gRPC or protobuf that is known to be vulnerable comes with the service or its client."""

import re
import tomllib
from itertools import product

import grpc
import pytest
from google import protobuf
from packaging.requirements import Requirement
from packaging.version import Version

from tests.harness.process import ROOT

MENDED_IN = {
    ("grpcio", "CVE-2023-33953"): "1.56.2",
    ("grpcio", "CVE-2023-44487"): "1.59.0",
    ("grpcio", "CVE-2024-7246"): "1.65.4",
    ("protobuf", "CVE-2025-4565"): "6.31.1",
}
"""The first version without each: servers that stop, rapid reset, poisoned headers, deep messages."""

PACKAGES = sorted({package for package, _ in MENDED_IN})
CLIENT = tomllib.loads((ROOT / "client/pyproject.toml").read_text())["project"]["dependencies"]
ASKED_FOR = {
    "requirements.in": (ROOT / "requirements.in").read_text().splitlines(),
    "requirements-protos.in": (ROOT / "requirements-protos.in").read_text().splitlines(),
    "client/pyproject.toml": CLIENT,
}
LOCKED = ["requirements.txt", "requirements-backend.txt", "requirements-dev.txt", "requirements-protos.txt"]


def lowest(lines: list[str], package: str) -> Version | None:
    """The least version that a list of requirements lets in."""
    for line in lines:
        text = line.partition("#")[0].strip()
        if text and Requirement(text).name == package:
            floors = [
                Version(one.version) for one in Requirement(text).specifier if one.operator in (">=", "==")
            ]
            assert floors, f"{text} has no floor"
            return max(floors)
    return None


@pytest.mark.parametrize(("package", "advisory"), MENDED_IN, ids=[advisory for _, advisory in MENDED_IN])
def test_no_list_of_requirements_lets_a_vulnerable_version_in(package: str, advisory: str) -> None:
    mended = Version(MENDED_IN[package, advisory])
    floors = {name: lowest(lines, package) for name, lines in ASKED_FOR.items()}
    assert floors["requirements.in"]
    assert floors["client/pyproject.toml"]
    assert {name: floor for name, floor in floors.items() if floor and floor < mended} == {}


@pytest.mark.parametrize(("file", "package"), list(product(LOCKED, PACKAGES)))
def test_no_lock_file_has_a_vulnerable_version(file: str, package: str) -> None:
    locked = re.findall(rf"^{package}==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE)
    least = max(Version(mended) for (name, _), mended in MENDED_IN.items() if name == package)
    assert all(Version(version) >= least for version in locked)


def test_what_runs_here_is_none_of_them() -> None:
    running = {"grpcio": grpc.__version__, "protobuf": protobuf.__version__}
    for (package, _), mended in MENDED_IN.items():
        assert Version(running[package]) >= Version(mended)
