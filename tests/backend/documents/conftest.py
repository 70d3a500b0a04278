"""An empty backend, and one that knows what words mean."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from backend.endpoint import EndpointOptions
from tests.backend.documents.backend import Backend, running
from tests.fakes.embeddings import EmbeddingsServer
from tests.harness.postgres import fresh_database


@pytest.fixture(scope="session")
def backend_dsn(server_dsn: str) -> Iterator[str]:
    """A database for all of them: to copy one for each would take longer than the tests."""
    with asyncio.Runner() as runner:
        database = fresh_database(server_dsn, migrated=False)
        yield runner.run(database.__aenter__())
        runner.run(database.__aexit__(None, None, None))


@pytest.fixture
def schema() -> str:
    """A name for the schema of one test."""
    return f"backend_{uuid4().hex}"


@pytest.fixture
async def backend(backend_dsn: str, schema: str) -> AsyncIterator[Backend]:
    async with running(backend_dsn, schema=schema) as backend:
        yield backend


@pytest.fixture
async def embeddings() -> AsyncIterator[EmbeddingsServer]:
    async with EmbeddingsServer() as server:
        yield server


@pytest.fixture
async def hybrid(backend_dsn: str, schema: str, embeddings: EmbeddingsServer) -> AsyncIterator[Backend]:
    options = EndpointOptions(embeddings.base_url, "meanings")
    async with running(backend_dsn, schema=schema, embeddings=options) as backend:
        yield backend
