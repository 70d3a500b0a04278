"""Browsers of people who use a backend."""

from collections.abc import AsyncIterator

import pytest

from tests.backend.first.reading import Browsers


@pytest.fixture
async def browsers() -> AsyncIterator[Browsers]:
    async with Browsers() as browsers:
        yield browsers
