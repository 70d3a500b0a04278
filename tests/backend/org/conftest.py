"""A server of the org tools over a directory of the test's own, and a bare channel to it."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import grpc
import pytest

from backend.tools.all import composed
from backend.tools.org.documents import OrgDocuments
from backend.tools.org.handlers import OrgTools
from backend.tools.org.store import OrgStore
from llm_orchestrator_client.tool_service import BearerTokens, ToolServiceServer
from tests.backend.org.asking import Person
from tests.toolserver.backend import ANYWHERE, TOKEN

NOON = datetime(2026, 3, 4, 12, 0)  # noqa: DTZ001 - org has no zones


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Not made yet, as when a backend starts for the first time."""
    return tmp_path / "below" / "org"


@pytest.fixture
async def channel(root: Path) -> AsyncIterator[grpc.aio.Channel]:
    store = OrgStore(str(root))
    handlers = composed([OrgTools(store, now=lambda: NOON), OrgDocuments(store)])
    async with (
        ToolServiceServer(handlers, ANYWHERE, authenticator=BearerTokens.of(TOKEN)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield channel


@pytest.fixture
def ann(channel: grpc.aio.Channel, root: Path) -> Person:
    return Person(channel, "ann", root)


@pytest.fixture
def bob(channel: grpc.aio.Channel, root: Path) -> Person:
    return Person(channel, "bob", root)
