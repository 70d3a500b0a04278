"""The previous version's code, and a provider whose answers take a while."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.postgres import fresh_database
from tests.upgrade.load import SPOKEN
from tests.upgrade.versions import previous_commit, tree_of


@pytest.fixture(scope="session")
def previous_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code that an upgrade comes from."""
    return tree_of(previous_commit(), tmp_path_factory.mktemp("previous"))


@pytest.fixture
async def empty_dsn(server_dsn: str) -> AsyncIterator[str]:
    """A database whose schema the first process makes that comes: the previous version's, where it does."""
    async with fresh_database(server_dsn, migrated=False) as dsn:
        yield dsn


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider(default=SPOKEN) as provider:
        yield provider
