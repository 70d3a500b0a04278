"""Folders of an embedded Postgres: made already, and not yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.embedded_postgres import (
    copy_of,
    kill_all,
    made_folder,
    passable_folder,
)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    with made_folder() as made:
        yield made


@pytest.fixture
def place() -> Iterator[Path]:
    with passable_folder() as place:
        yield place


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    yield made
    kill_all(made)


@pytest.fixture
def copied(made: Path, place: Path) -> Path:
    return copy_of(made, place / "data")
