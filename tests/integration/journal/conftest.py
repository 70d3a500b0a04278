"""A service whose database a test may take away, with an outage journal."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.journal import Outage, journalled, lasting_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with lasting_folder() as folder:
        yield folder


@pytest.fixture
async def outage(dsn: str, provider: ScriptedProvider, folder: Path) -> AsyncIterator[Outage]:
    """Its provider takes one call at a time, and its database is there until the test cuts it off."""
    async with journalled(dsn, provider, folder, calls=1) as outage:
        yield outage
