"""A fake service elsewhere, and a service of ours with an agent there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.orchestrator.service import FakeOrchestrator
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.service import Service
from tests.integration.remote.places import with_remote


@pytest.fixture
async def farm() -> AsyncIterator[FakeOrchestrator]:
    async with FakeOrchestrator() as farm:
        yield farm


@pytest.fixture
async def here(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, farm: FakeOrchestrator
) -> AsyncIterator[Service]:
    async with with_remote(dsn, provider, tmp_path, farm.address) as service:
        yield service
