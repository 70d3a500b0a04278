"""Every query of every dashboard and alert finds data in a Prometheus that has scraped a real run."""

from pathlib import Path

import pytest
from prometheus_client import start_http_server

from telemetry import names
from telemetry.http import pages_at
from telemetry.registry import Registry
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.collector import sink
from tests.harness.metrics import free_address
from tests.harness.prometheus import Prometheus, missing, prometheus
from tests.harness.queries import ALERTS, Query, alerts, of_alerts, of_dashboards
from tests.integration.dashboards.mix import Mix, rolling_out, watched_service

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")

TARGETS = 3
TRUE_AFTER_THE_MIX = {"OrchestratorProviderDown", "OrchestratorLeasesLost", "RolloutHalted"}


async def test_every_query_of_dashboards_and_alerts_finds_data_in_a_real_run(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    address, relay = free_address(), free_address()
    async with (
        sink() as collected,
        FakeToolService() as backend,
        watched_service(
            dsn,
            provider,
            backend,
            tmp_path,
            metrics={"address": address},
            traces={"endpoint": collected.endpoint, "batch_seconds": 0.05},
        ) as service,
        rolling_out(service, tmp_path) as world,
        pages_at(relay, Registry(), _lagging, _ready),
    ):
        server, thread = start_http_server(0, "127.0.0.1", world.registry)
        jobs = {
            "llm-orchestrator": [address, relay],
            "backend": [f"127.0.0.1:{server.server_port}"],
        }
        try:
            async with prometheus(tmp_path, jobs, ALERTS) as watching:
                mix = Mix(service, provider, backend, world)
                await mix.round()
                await watching.scraped(TARGETS)
                for _ in range(2):  # of three waits two are on the same side of their estimates
                    await mix.line()
                    await watching.scraped(TARGETS)
                await mix.round()
                await mix.halt()
                await watching.scraped(TARGETS)
                assert await silent([*of_dashboards(), *of_alerts()], watching) == []
                await check_alerts(watching)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


async def _lagging() -> dict[names.Metric, float | None]:
    """What a relay tells; the service of these tests passes no events on."""
    return {names.EVENT_LAG: 3.0}


async def _ready() -> bool:
    return True


async def silent(queries: list[Query], watching: Prometheus) -> list[str]:
    """The queries that find nothing, or one of whose series is not there, with which."""
    found = []
    for query in queries:
        if not await _finds(watching, query.bare):
            found.append(f"{query.where}: nothing for {query.bare}")
        found += [f"{query.where}: no {one}" for one in query.selectors if not await _finds(watching, one)]
    return found


async def _finds(watching: Prometheus, query: str) -> bool:
    if not await watching.values(query):
        await watching.scraped(TARGETS)  # a scrape that came too late leaves a gap
        return bool(await watching.values(query))
    return True


async def check_alerts(watching: Prometheus) -> None:
    """Prometheus evaluates all of them, and those are true that the mix has made true."""
    groups = (await watching.data("rules"))["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert health == {alert["alert"]: "ok" for alert in alerts()}
    for alert in alerts():
        if alert["alert"] in TRUE_AFTER_THE_MIX:
            assert await watching.values(alert["expr"]), alert["alert"]
    assert await watching.values('ALERTS{alertname="RolloutHalted", alertstate="firing"}') == [1.0]
