"""Every target of the fuzzers, for a moment: `make fuzz` is the long form. Also that a fault is found."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.planted import PlantedError, planted
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS
from tests.fuzz.trying import tried
from tests.harness.scale import report, scaled

SEED = int(os.environ.get("FUZZ_SEED", "20261122"))
INPUTS = scaled(2000)
DEAR = {"flag_files": 200, "agent_files": 500, "schemas": 1000}
"""Inputs of those that take long."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)  # libraries tell each refusal
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_whatever_comes(name: str) -> None:
    inputs = scaled(DEAR[name]) if name in DEAR else INPUTS
    report(f"{name}: {inputs} inputs of seed {SEED}")
    tried(TARGETS[name], SEEDS.get(name, ()), inputs=inputs, seed=SEED)


def test_every_seed_is_of_a_target() -> None:
    assert SEEDS.keys() <= TARGETS.keys()


def test_a_planted_fault_is_found_by_the_short_form_and_its_input_named() -> None:
    with pytest.raises(AssertionError, match=r"input \d+ of seed 1: b'fu") as failed:
        tried(planted, [b"fuel"], inputs=2000, seed=1)
    assert isinstance(failed.value.__cause__, PlantedError)


def test_the_same_seed_gives_the_same_inputs() -> None:
    seen: list[list[bytes]] = []
    for _ in range(2):
        seen.append([])
        tried(seen[-1].append, [b"seed"], inputs=50, seed=3)
    assert seen[0] == seen[1]


def test_a_planted_fault_is_found_by_the_long_form_and_its_input_kept(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "tests.fuzz", "planted", "--runs", "200000"]
    environment = {**os.environ, "FUZZ_DATA": str(tmp_path), "PYTHONPATH": ".:client"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stderr
    assert "PlantedError" in found.stdout
    (kept,) = (tmp_path / "failed").iterdir()
    with pytest.raises(PlantedError):
        planted(kept.read_bytes())
