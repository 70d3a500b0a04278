"""The image's health check where the service has TLS."""

import asyncio
import sys
from collections.abc import Mapping

import pytest

from deploy.healthcheck import TLS
from telemetry.http import pages_at
from telemetry.names import Metric
from telemetry.registry import Registry
from tests.unit.deploy.shipped import ROOT


async def nothing() -> Mapping[Metric, float | None]:
    return {}


async def check() -> int:
    """Its exit code."""
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", "deploy.healthcheck", cwd=ROOT)
    async with asyncio.timeout(60):
        return await started.wait()


async def test_with_tls_the_health_check_asks_for_readiness_on_the_port_of_the_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready = asyncio.Event()

    async def is_ready() -> bool:
        return ready.is_set()

    monkeypatch.setenv(TLS, "tls.crt")
    async with pages_at("127.0.0.1:0", Registry(), nothing, is_ready) as port:
        monkeypatch.setenv("ORCHESTRATOR_METRICS__ADDRESS", f"0.0.0.0:{port}")
        assert await check() == 1
        ready.set()
        assert await check() == 0
    assert await check() == 1
