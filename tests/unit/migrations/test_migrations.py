"""Migrations expand, so that the release before goes on, and can be gone back to: docs/upgrades.md."""

import pytest

from state.postgres.migration import Migration, shipped
from tests.unit.migrations.rules import problems

BEFORE_THE_RULE = 23
"""The last migration that nobody had to upgrade over while the service was at work."""
FOUND_BEFORE = {3: 2, 4: 2, 5: 1, 6: 3, 7: 1, 8: 4, 10: 1, 12: 1, 13: 6, 16: 1, 17: 1, 18: 1}
"""How much in them, but that they do not say what runs with them."""
RUNS = "-- Runs with: 0030\n"
ALONE = RUNS + "-- Outside a transaction\n"


def made(sql: str) -> Migration:
    return Migration(31, "0031_made", sql)


def test_a_migration_leaves_the_release_before_it_at_work() -> None:
    found = {m.name: problems(m) for m in shipped() if m.version > BEFORE_THE_RULE}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_those_before_the_rule_would_not_all_pass() -> None:
    """They stay as they are; that shows on real files what is found."""
    found = {m.version: len(problems(m)) - 2 for m in shipped() if m.version <= BEFORE_THE_RULE}
    assert {version: count for version, count in found.items() if count} == FOUND_BEFORE


def test_migrations_are_numbered_one_after_the_other() -> None:
    assert [m.version for m in shipped()] == list(range(1, len(shipped()) + 1))


@pytest.mark.parametrize(
    "sql",
    [
        RUNS + "CREATE TABLE notes (note text NOT NULL CHECK (note <> '')); CREATE INDEX n ON notes (note);",
        RUNS + "ALTER TABLE runs ADD COLUMN a text, ADD COLUMN b numeric(4, 2) NOT NULL DEFAULT 0;",
        RUNS + "ALTER TABLE runs ADD COLUMN seen timestamptz NOT NULL DEFAULT now();",
        RUNS + "ALTER TABLE runs ADD CONSTRAINT positive CHECK (tries >= 0) NOT VALID;",
        RUNS
        + "ALTER TABLE runs ALTER COLUMN wants SET DEFAULT 'any'; ALTER TABLE runs SET (fillfactor = 80);",
        RUNS
        + "ALTER TABLE runs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON runs USING (owner = 'x; DROP');",
        RUNS + "INSERT INTO run_transitions SELECT 'queued', 'paused'; -- DROP TABLE runs;",
        RUNS + "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2 $$;",
        RUNS + "DO $$ BEGIN EXECUTE 'ALTER TABLE runs ENABLE ROW LEVEL SECURITY'; END $$;",
        ALONE + "DROP INDEX CONCURRENTLY IF EXISTS i;\nCREATE INDEX CONCURRENTLY i ON runs (wants);",
        ALONE + "ALTER TABLE runs VALIDATE CONSTRAINT positive;",
        RUNS + "-- Unused since 0029: ALTER TABLE\nSELECT 1;",
        RUNS + "-- Unused since 0029: runs DROP COLUMN labels\nALTER TABLE runs DROP COLUMN labels;",
        RUNS + "-- Unused since 0030: DROP TABLE effects\nDROP TABLE effects;",
    ],
)
def test_what_expands_is_allowed_and_what_was_left_may_go(sql: str) -> None:
    if "ALTER TABLE\nSELECT" in sql:
        assert problems(made(sql)) == ["ALTER TABLE is said to be unused, but nothing is done to it"]
    else:
        assert problems(made(sql)) == []


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE effects",
        "DROP INDEX runs_in_line",
        "DROP FUNCTION last_sequence(uuid)",
        "DROP TRIGGER runs_are_accounted_for ON runs",
        "ALTER TABLE runs DROP COLUMN labels",
        "ALTER TABLE runs ADD COLUMN a text, DROP COLUMN labels",
        "ALTER TABLE runs RENAME TO work",
        "ALTER TABLE runs RENAME COLUMN labels TO tags",
        "ALTER TABLE runs ADD COLUMN a text NOT NULL",
        "ALTER TABLE runs ADD a text NOT NULL",
        "ALTER TABLE runs ADD COLUMN a uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE runs ADD COLUMN a bigint GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE runs ADD COLUMN a int DEFAULT 0 CHECK (a >= 0)",
        "ALTER TABLE runs ADD COLUMN a uuid REFERENCES runs",
        "ALTER TABLE runs ALTER COLUMN tries TYPE bigint",
        "ALTER TABLE runs ALTER COLUMN tries SET DATA TYPE bigint",
        "ALTER TABLE runs ALTER COLUMN result SET NOT NULL",
        "ALTER TABLE runs ALTER COLUMN labels DROP NOT NULL",
        "ALTER TABLE runs ALTER COLUMN labels DROP DEFAULT",
        "ALTER TABLE runs ADD CONSTRAINT c CHECK (tries >= 0)",
        "ALTER TABLE runs ADD CONSTRAINT c UNIQUE (result)",
        "ALTER TABLE runs ADD FOREIGN KEY (retry_of) REFERENCES runs",
        "ALTER TABLE runs VALIDATE CONSTRAINT c",
        "ALTER TABLE runs FORCE ROW LEVEL SECURITY",
        "ALTER TABLE runs DISABLE TRIGGER ALL",
        "CREATE INDEX i ON runs (wants)",
        "CREATE UNIQUE INDEX IF NOT EXISTS i ON runs (wants)",
        "DROP INDEX CONCURRENTLY runs_in_line",
        "UPDATE runs SET wants = 'x'",
        "DELETE FROM run_events",
        "TRUNCATE outbox",
        "LOCK TABLE runs",
        "REVOKE ALL ON runs FROM somebody",
        "DO $$ BEGIN EXECUTE 'DROP TABLE runs'; END $$",
        "drop   table\n effects",
    ],
)
def test_what_breaks_or_stops_a_running_release_is_refused(statement: str) -> None:
    assert len(problems(made(RUNS + statement))) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1;",
        "-- Runs with: 0031\nSELECT 1;",
        RUNS + "-- Unused since 0031: DROP TABLE effects\nDROP TABLE effects;",
        RUNS + "-- Unused since 0029: DROP TABLE effects\nDROP TABLE runs;",
        ALONE + "CREATE INDEX CONCURRENTLY i ON runs (wants);",
        ALONE + "CREATE INDEX i ON runs (wants);",
        ALONE + "DROP INDEX CONCURRENTLY IF EXISTS runs_in_line;",
        RUNS + "CREATE INDEX CONCURRENTLY i ON runs (wants);",
    ],
)
def test_a_file_must_say_what_runs_with_it_and_say_it_rightly(sql: str) -> None:
    assert problems(made(sql)) != []
