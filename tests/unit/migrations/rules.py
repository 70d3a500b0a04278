"""What a migration may do beside the release before it: expand, and contract only what that one has left.

Reads the text of a file; what a function or a trigger does, and whether a new constraint suits what older
releases write, is for the tests that run them (tests/upgrade).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from state.postgres.migration import Migration

_UNUSED = re.compile(r"^-- Unused since (\d{4}): (.+)$", re.MULTILINE)
_RUNS_WITH = re.compile(r"^-- Runs with: \d{4}$", re.MULTILINE)
_QUOTED = re.compile(r"--[^\n]*|(\$\w*\$)(.*?)\1|'(?:[^']|'')*'", re.DOTALL)
_NAME = r"(?:IF (?:NOT )?EXISTS )?(?:ONLY )?([\w.\"]+)"

# Nothing that a release at work could notice, but for new objects.
_HARMLESS = re.compile(
    r"(CREATE (OR REPLACE )?(FUNCTION|VIEW)"
    r"|CREATE (TYPE|SEQUENCE|ROLE|POLICY|TRIGGER|SCHEMA|STATISTICS|TABLE)"
    r"|INSERT INTO|GRANT|COMMENT ON|SELECT|ALTER FUNCTION [\w.]+ ?\([^)]*\) SET|SET LOCAL)\b"
)
_CONTRACTS = re.compile(r"(DROP|REVOKE|ALTER POLICY|ALTER TYPE)\b")
_IN_A_BLOCK = re.compile(
    r"\b(DROP|RENAME|TRUNCATE|SET NOT NULL|FORCE ROW|DELETE FROM|UPDATE)\b|\bALTER COLUMN\b.* TYPE\b"
)
_REWRITES = re.compile(
    r"\bGENERATED\b|\bSERIAL|\b(RANDOM|CLOCK_TIMESTAMP|GEN_RANDOM_UUID|NEXTVAL|UUIDV7)\b ?\("
)
_CHECKED_AT_ONCE = re.compile(r"\b(CHECK|REFERENCES|UNIQUE|PRIMARY KEY)\b")
_COLUMN_HARMLESS = re.compile(r"ALTER (COLUMN )?[\w\"]+ SET (DEFAULT|STATISTICS|STORAGE|COMPRESSION)\b")
_TABLE_HARMLESS = re.compile(r"(SET \(|RESET \(|ENABLE ROW LEVEL SECURITY$)")


def problems(migration: Migration) -> list[str]:
    """What is wrong with it, a line for each; empty when it may be applied in front of a running service."""
    unused = {_upper(name): int(since) for since, name in _UNUSED.findall(migration.sql)}
    found = [] if _RUNS_WITH.search(migration.sql) else ["it does not say which releases run with it"]
    if migration.runs_with >= migration.version:
        found.append("no release before it runs with it")
    for name, since in unused.items():
        if not since <= migration.runs_with < migration.version:
            found.append(
                f"{name} is unused since {since:04}, but releases of {migration.runs_with:04} are to run"
            )
    used, file = set[str](), _File.of(migration)
    for statement in file.statements:
        for problem, about in _of_statement(statement, file):
            if about in unused:
                used.add(about)
            else:
                found.append(problem)
    found += [f"{name} is said to be unused, but nothing is done to it" for name in unused.keys() - used]
    return found + [
        f"{name}: drop it CONCURRENTLY IF EXISTS first: a start that was broken off leaves half of it"
        for name in file.indexes
        if f"DROP INDEX CONCURRENTLY IF EXISTS {name}" not in file.statements
    ]


@dataclass(frozen=True, slots=True)
class _File:
    """A migration's statements, and the tables and indexes that it makes. `alone`: not in a transaction."""

    statements: Sequence[str]
    tables: frozenset[str]
    indexes: frozenset[str]
    alone: bool

    @classmethod
    def of(cls, migration: Migration) -> Self:
        statements = _statements(migration.sql)
        text = "\n".join(statements)
        tables = re.findall(rf"^CREATE TABLE {_NAME}", text, re.MULTILINE)
        indexes = re.findall(rf"^CREATE (?:UNIQUE )?INDEX CONCURRENTLY {_NAME}", text, re.MULTILINE)
        return cls(statements, frozenset(tables), frozenset(indexes), migration.alone)


def _statements(sql: str) -> list[str]:
    """In upper case, in one line each; of quoted text only what is in dollars, with `;` as a comma, stays."""

    def plain(match: re.Match[str]) -> str:
        body = match[2]
        return "''" if body is None and match[0].startswith("'") else (body or "").replace(";", " ,")

    return [_upper(part) for part in _QUOTED.sub(plain, sql).split(";") if part.strip()]


def _upper(text: str) -> str:
    return " ".join(text.upper().split())


def _of_statement(statement: str, file: _File) -> Iterator[tuple[str, str]]:
    """What is wrong with one, each with the object that it would have to say is unused."""
    if table := re.match(rf"ALTER TABLE {_NAME} (.+)", statement):
        for action in _actions(table[2]):
            if problem := _of_action(action, alone=file.alone):
                yield f"{table[1]}: {action[:60]}: {problem}", f"{table[1]} {action}"
    elif not _HARMLESS.match(statement) and (problem := _of_other(statement, file)):
        yield f"{statement[:60]}: {problem}", statement


def _of_other(statement: str, file: _File) -> str:
    if index := re.match(rf"CREATE (?:UNIQUE )?INDEX (CONCURRENTLY )?.*?\bON {_NAME}", statement):
        harmless = index[2] in file.tables or (index[1] and file.alone)
        return "" if harmless else "locks the table; build it CONCURRENTLY, in a file of its own"
    if change := re.match(rf"(UPDATE|DELETE FROM) {_NAME}", statement):
        return "" if change[2] in file.tables else "changes rows that others write, all in one transaction"
    if half := re.match(rf"DROP INDEX CONCURRENTLY {_NAME}", statement):
        return "" if half[1] in file.indexes else "the release before may use it"
    if statement.startswith("DO "):
        within = _IN_A_BLOCK.search(statement)
        return f"{within[0]} cannot be judged inside a block" if within else ""
    return "the release before may use it" if _CONTRACTS.match(statement) else "is not known to be harmless"


def _actions(text: str) -> list[str]:
    """Of ALTER TABLE, parted at the commas outside parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _of_action(action: str, *, alone: bool) -> str:
    """Why an action is not to be, or nothing."""
    if re.match(r"ADD (CONSTRAINT|CHECK|FOREIGN KEY|UNIQUE|PRIMARY KEY|EXCLUDE)\b", action):
        harmless = action.endswith("NOT VALID") or " USING INDEX " in action
        return "" if harmless else "reads the whole table under a lock: add it NOT VALID"
    if action.startswith("VALIDATE CONSTRAINT"):
        return "" if alone else "holds the lock of what is before it: validate in a file of its own"
    if action.startswith("ADD "):
        return _of_new_column(action)
    if _COLUMN_HARMLESS.match(action) or _TABLE_HARMLESS.match(action):
        return ""
    return "the release before may rely on what was"


def _of_new_column(action: str) -> str:
    if "NOT NULL" in action and "DEFAULT" not in action:
        return "the release before leaves it out: NOT NULL needs a DEFAULT"
    if _REWRITES.search(action):
        return "writes the whole table anew under a lock"
    if _CHECKED_AT_ONCE.search(action):
        return "reads the whole table under a lock: add the constraint NOT VALID"
    return ""
