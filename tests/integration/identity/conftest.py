"""One closed service, and who makes its tokens."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.identity import AuthenticatedService, Issuer, authenticated_service


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def closed(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, issuer: Issuer
) -> AsyncIterator[AuthenticatedService]:
    async with authenticated_service(dsn, provider, tmp_path, issuer) as service:
        yield service
