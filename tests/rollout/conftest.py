"""An orchestrator that is scripted, and a flag file that sends everybody there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rollout.rolling import flags_on
from tests.rollout.scripted_orchestrator import ScriptedOrchestrator, scripted_orchestrator


@pytest.fixture
def everybody(tmp_path: Path) -> Path:
    """A flag file: on, 100 %."""
    return flags_on(tmp_path / "flags.json")


@pytest.fixture
async def orchestrator() -> AsyncIterator[ScriptedOrchestrator]:
    async with scripted_orchestrator() as orchestrator:
        yield orchestrator
