"""The two logins beside the schema's owner: what each may do, and how both come to be.

Both are named after the schema, because roles belong to the whole cluster. The migrations make the tables and
their policies; whoever applies them also gives these roles what they may do, as soon as there are such roles.
"""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from state.postgres.database import translated

if TYPE_CHECKING:
    AnyConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_CONNECT_SECONDS = 5.0
_MOST_CHARACTERS = 63  # of a name in Postgres
_HASHED = 8

CALLERS_MAY: Mapping[str, frozenset[str]] = {
    table: frozenset(privileges.split())
    for table, privileges in {
        "runs": "SELECT INSERT UPDATE DELETE",
        "run_events": "SELECT INSERT",
        "run_transitions": "SELECT",
        "request_keys": "SELECT INSERT UPDATE",
        "usage_sums": "SELECT INSERT UPDATE",
        "outbox": "INSERT",
        "permissions": "SELECT UPDATE",
        "permission_audit": "SELECT INSERT",
        "checkpoints": "SELECT DELETE",
        "checkpoint_blobs": "SELECT DELETE",
        "checkpoint_writes": "SELECT DELETE",
    }.items()
}
"""What callers' queries need, triggers included; row-level security bounds it to rows of their own."""

_WORK = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_LEDGER = "schema_migrations"
_SEES_ALL = "all_for_the_worker"

_EXISTING = "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1::text[])"
_TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(quote_ident($1))"
)
_GRANTED = """
SELECT c.relname, r.rolname, array_agg(a.privilege_type::text) AS privileges
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(quote_ident($1)) AND r.rolname = ANY ($2::text[])
GROUP BY c.relname, r.rolname
"""
_POLICIES = "SELECT tablename FROM pg_policies WHERE schemaname = $1 AND policyname = $2 AND $3 = ANY (roles)"
_USES = "SELECT has_schema_privilege($1, $2, 'USAGE')"
_STANDS = """
SELECT row_security_active(c.oid) AS guarded, has_schema_privilege(n.oid, 'USAGE') AS uses,
    has_table_privilege(c.oid, 'SELECT') AS reads
FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'runs' WHERE n.nspname = $1
"""


class RolesError(Exception):
    """The logins are not as they must be; the message says what to do."""


class Roles(NamedTuple):
    """Names of the two roles."""

    callers: str
    work: str


class Logins(NamedTuple):
    """Two addresses of one database. `callers` is None where `work` serves callers as well, unguarded."""

    work: str
    callers: str | None

    def __repr__(self) -> str:
        return "Logins(...)"  # both have a password in them


def roles_of(schema: str) -> Roles:
    """`orchestrator_rpc` and `orchestrator_worker`, or by the name of another schema; a long one is cut."""
    return Roles(_named(schema, "_rpc"), _named(schema, "_worker"))


def _named(schema: str, end: str) -> str:
    if len(schema) + len(end) > _MOST_CHARACTERS:
        digest = hashlib.sha256(schema.encode()).hexdigest()[:_HASHED]
        schema = f"{schema[: _MOST_CHARACTERS - len(end) - _HASHED - 1]}_{digest}"
    return schema + end


async def make_logins(owner_dsn: str, schema: str) -> Logins:
    """Make both roles where they are missing, as a superuser, with passwords drawn from the superuser's.

    Raises:
        DatabaseUnavailableError: Postgres is out of reach.
    """
    roles = roles_of(schema)
    with translated():
        connection = await asyncpg.connect(owner_dsn, timeout=_CONNECT_SECONDS)
        try:
            there = {row["rolname"] for row in await connection.fetch(_EXISTING, roles)}
            for role in set(roles) - there:
                await connection.execute(_created(role, _password(owner_dsn, role)))
            for role in there:
                await _let_in(connection, owner_dsn, role)
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)
    return logins_beside(owner_dsn, schema)


def logins_beside(owner_dsn: str, schema: str) -> Logins:
    """The logins that `make_logins` makes."""
    roles = roles_of(schema)
    return Logins(_login(owner_dsn, roles.work), _login(owner_dsn, roles.callers))


async def _let_in(connection: "AnyConnection", owner_dsn: str, role: str) -> None:
    """Give the role its password where it has another one: the cluster may have come from a dump."""
    try:
        other = await asyncpg.connect(_login(owner_dsn, role), timeout=_CONNECT_SECONDS)
    except asyncpg.InvalidAuthorizationSpecificationError:
        await connection.execute(f"ALTER ROLE {_quoted(role)} LOGIN PASSWORD '{_password(owner_dsn, role)}'")
    else:
        await other.close(timeout=_CONNECT_SECONDS)


def _created(role: str, password: str) -> str:
    # Another process may be at it, of another database even: a failure would put the password into the log.
    return f"""
    DO $$ BEGIN
        CREATE ROLE {_quoted(role)} LOGIN PASSWORD '{password}'
            NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$
    """


def _password(owner_dsn: str, role: str) -> str:
    secret = unquote(urlsplit(owner_dsn).password or "")
    return hmac.new(secret.encode(), role.encode(), hashlib.sha256).hexdigest()


def _login(owner_dsn: str, role: str) -> str:
    parts = urlsplit(owner_dsn)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{_password(owner_dsn, role)}@{address}"))


async def admit(connection: "AnyConnection", schema: str) -> bool:
    """Give both roles what they may do, and nothing more; false when one of them does not exist.

    The connection is the schema's owner's, and holds the lock of migrations. Each change is a transaction of
    its own, so that nobody waits for more than one table.
    """
    roles = roles_of(schema)
    if len(await connection.fetch(_EXISTING, roles)) < len(roles):
        return False
    place = _quoted(schema)
    for role in roles:
        if not await connection.fetchval(_USES, role, schema):
            await connection.execute(f"GRANT USAGE ON SCHEMA {place} TO {_quoted(role)}")
    tables = [row["relname"] for row in await connection.fetch(_TABLES, schema)]
    await _grant(connection, schema, roles, tables)
    seen = {row["tablename"] for row in await connection.fetch(_POLICIES, schema, _SEES_ALL, roles.work)}
    for table in set(tables) - seen:
        name = f"{place}.{_quoted(table)}"
        await connection.execute(
            f"DROP POLICY IF EXISTS {_SEES_ALL} ON {name};"
            f"CREATE POLICY {_SEES_ALL} ON {name} TO {_quoted(roles.work)} USING (true)"
        )
    return True


async def _grant(connection: "AnyConnection", schema: str, roles: Roles, tables: Collection[str]) -> None:
    rows = await connection.fetch(_GRANTED, schema, roles)
    granted = {(row["relname"], row["rolname"]): frozenset(row["privileges"]) for row in rows}
    for table in tables:
        wanted = {
            roles.work: _WORK if table != _LEDGER else frozenset({"SELECT"}),
            roles.callers: CALLERS_MAY.get(table, frozenset()),
        }
        for role, may in wanted.items():
            if granted.get((table, role), frozenset()) != may:
                name = f"{_quoted(schema)}.{_quoted(table)}"
                grant = f"GRANT {', '.join(sorted(may))} ON {name} TO {_quoted(role)}" if may else ""
                await connection.execute(f"REVOKE ALL ON {name} FROM {_quoted(role)}; {grant}")


async def check_callers(dsn: str, schema: str) -> None:
    """Return when row-level security bounds what this login sees, and it may see something.

    Raises:
        RolesError: It passes row-level security, or may read nothing.
        DatabaseUnavailableError: It is not let in.
    """
    with translated():
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
        try:
            row = await connection.fetchrow(_STANDS, schema)
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)
    if row is None or not (row["uses"] and row["reads"]):
        raise RolesError(
            f"the login of callers may not read the schema {schema}: make it {roles_of(schema).callers}, or "
            f"a member, and apply the migrations as the schema's owner; see docs/database-roles.md"
        )
    if not row["guarded"]:
        raise RolesError(
            "row-level security does not bind the login of callers: it must neither own the tables, nor be "
            "a superuser, nor have BYPASSRLS; see docs/database-roles.md"
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
