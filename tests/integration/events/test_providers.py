"""Which states of a provider the outside is told of."""

from orchestrator.provider_edges import ProviderEdges
from providers.gate.base import GateSnapshot, GateState
from providers.pool.status import ModelState, PoolStatus, ProviderState
from state.postgres.database import Database
from state.postgres.providers_down import PostgresProvidersDown
from tests.harness.retention import connected
from tests.harness.runs import REPLICA


async def told(dsn: str, database: Database, *states: GateState) -> list[str]:
    """The events of a provider that is in these states, one look after the other."""
    looks = iter(states)
    edges = ProviderEdges(PostgresProvidersDown(database, REPLICA), lambda: standing(next(looks)))
    for _ in states:
        await edges.look()
    async with connected(dsn) as connection:
        rows = await connection.fetch("SELECT type FROM outbox ORDER BY event_id")
    return [row["type"].removeprefix("provider.") for row in rows]


def standing(state: GateState) -> PoolStatus:
    gate = GateSnapshot("acme", "m", state, 0, 1, None, 0.0, None)
    return PoolStatus((ProviderState("acme", state, 0, 1, (ModelState("m", gate),)),), {})


async def test_a_provider_that_may_be_probed_has_not_recovered(dsn: str, database: Database) -> None:
    down, probing, up = GateState.UNAVAILABLE, GateState.PROBING, GateState.AVAILABLE
    events = await told(dsn, database, up, down, probing, down, probing, up, up)
    assert events == ["unavailable", "recovered"]


async def test_a_saturated_provider_is_not_down(dsn: str, database: Database) -> None:
    full, down = GateState.SATURATED, GateState.UNAVAILABLE
    assert await told(dsn, database, full, full) == []
    assert await told(dsn, database, down, full) == ["unavailable", "recovered"]
