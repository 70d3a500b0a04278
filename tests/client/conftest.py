"""A client of the service under test."""

from collections.abc import AsyncIterator

import pytest

from llm_orchestrator_client import OrchestratorClient
from tests.client.callers import client_of
from tests.harness.service import Service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[OrchestratorClient]:
    """Ann's."""
    async with client_of(f"127.0.0.1:{service.port}") as client:
        yield client
