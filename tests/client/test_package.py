"""The package as callers install it: the wheel has everything, and needs nothing of its extras."""

import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from tests.client.processes import environment
from tests.harness.process import ROOT

BUILDER = ROOT / ".venv-protos" / "bin" / "python"
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
# What the extras bring is not there.
WITHOUT = """
import sys
for name in ("openfeature", "prometheus_client", "rich", "openfeature_provider_flagd"):
    sys.modules[name] = None
import llm_orchestrator_client, llm_orchestrator_client.sync
from llm_orchestrator_client.cli.main import main
print(llm_orchestrator_client.__file__)
main(["--help"])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sources alone, as pip does."""
    if not BUILDER.exists():
        pytest.fail("There is no .venv-protos: `make test` creates it from requirements-protos.txt.")
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT / "client", folder / "client", ignore=left_out)
    subprocess.run([BUILDER, "-c", BUILD, folder], cwd=folder / "client", check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_all_modules_and_their_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.endswith(("METADATA", "RECORD", "WHEEL"))}
    sources = ROOT / "client" / "llm_orchestrator_client"
    wanted = {
        str(path.relative_to(ROOT / "client"))
        for pattern in ("*.py", "*.pyi", "py.typed")
        for path in sources.rglob(pattern)
    }
    assert wanted <= packed
    assert {name.split("/")[0] for name in packed - wanted} == {"llm_orchestrator_client-0.1.0.dist-info"}


def test_the_wheel_names_what_it_needs_and_its_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = "llm_orchestrator_client-0.1.0.dist-info"
        metadata = message_from_string(archive.read(f"{info}/METADATA").decode())
        commands = archive.read(f"{info}/entry_points.txt").decode()
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(line.partition(">")[0] for line in needed) == [
        "googleapis-common-protos",
        "grpcio",
        "protobuf",
    ]
    assert sorted(metadata.get_all("Provides-Extra", [])) == ["cli", "rollout", "tool-service"]
    assert "orchestrator = llm_orchestrator_client.cli.main:main" in commands


def test_the_installed_package_runs_without_its_extras(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")
    origin, usage = said.stdout.split("\n", 1)
    assert origin.startswith(str(tmp_path))
    assert usage.startswith("usage: orchestrator")
