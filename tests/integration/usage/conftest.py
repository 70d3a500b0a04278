"""A service whose model has prices."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.priced import service_with_file
from tests.harness.service import Service


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Service]:
    async with service_with_file(dsn, provider, tmp_path) as service:
        yield service
