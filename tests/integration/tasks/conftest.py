"""A service with room for one call at a time, and one with room for many."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.narrow import narrow
from tests.harness.service import Service


@pytest.fixture
async def small(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Service]:
    async with narrow(dsn, provider, tmp_path) as service:
        yield service


@pytest.fixture
async def roomy(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Service]:
    async with narrow(dsn, provider, tmp_path, calls=50) as service:
        yield service
