"""A release with migrations is rolled out, back and out again: the release before runs with its schema."""

from pathlib import Path

import pytest

from state.postgres.migration import Migration, shipped
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.process import ROOT
from tests.harness.scale import SCALE, SOAK, report, scaled
from tests.integration.tasks.tables import connected
from tests.unit.migrations.rules import problems
from tests.upgrade.load import steady_load
from tests.upgrade.places import places
from tests.upgrade.versions import next_release

MEANWHILE = scaled(1)
LAST = shipped()[-1].version
NEXT = {
    f"{LAST + 1:04}_trial.sql": f"""-- Runs with: {LAST:04}
ALTER TABLE runs ADD COLUMN trial text NOT NULL DEFAULT '', ADD COLUMN tried timestamptz;
ALTER TABLE runs ADD CONSTRAINT trial_is_short CHECK (length(trial) < 10) NOT VALID;
CREATE TABLE trials (run_id uuid PRIMARY KEY REFERENCES runs ON DELETE CASCADE);
ALTER TABLE permissions ADD COLUMN trial text;
""",
    f"{LAST + 2:04}_trial_index.sql": f"""-- Runs with: {LAST:04}
-- Outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS runs_by_trial;
CREATE INDEX CONCURRENTLY runs_by_trial ON runs (trial) WHERE trial <> '';
ALTER TABLE runs VALIDATE CONSTRAINT trial_is_short;
""",
}
ACCEPTED = f"the schema is at migration {LAST + 2}, newer than this release, which runs with it"

pytestmark = pytest.mark.timeout(120 * SCALE)


async def test_a_release_with_migrations_goes_out_and_back_and_out_under_load(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    assert [problems(Migration(int(name[:4]), name[:-4], sql)) for name, sql in NEXT.items()] == [[], []]
    newer = next_release(tmp_path / "newer", NEXT)
    environment = {"DATABASE_URL": dsn, "OPENAI_BASE_URL": provider.base_url}
    async with (
        places(tmp_path, [ROOT] * 2, environment) as replicas,
        steady_load([replica.address for replica in replicas]) as callers,
    ):
        rolled = replicas if SOAK else replicas[:1]  # else the other one stays what it is, on the new schema
        for tree in (newer, ROOT, newer):
            for replica in rolled:
                await callers.have_done(MEANWHILE)
                assert await replica.roll(tree) == 0
            if tree == ROOT:
                assert all(ACCEPTED in replica.process.output for replica in rolled)
        await callers.have_done(MEANWHILE)
    report(f"out, back and out with migrations: {callers.told}")
    assert callers.told.surfaced == []
    async with connected(dsn) as connection:
        assert (
            await connection.fetchval("SELECT max(version) FROM orchestrator.schema_migrations") == LAST + 2
        )
        assert (
            await connection.fetchval("SELECT count(*) FROM orchestrator.runs WHERE state <> 'succeeded'")
            == 0
        )
