"""Backups: `python -m deploy.backup dump FILE`, `python -m deploy.backup restore FILE [--replace]`.

Of the database that the settings name, the embedded one too, by the pg_dump and pg_restore of the wheel. A
dump may be made while the service is at work; before a restore every replica is to be stopped. See
docs/operations-backup.md.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from config.command_line import complain, say
from config.load import SettingsError, load
from config.settings import Settings
from state.embedded.binaries import installed
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.server import EmbeddedPostgres
from state.errors import DatabaseUnavailableError
from state.postgres.restoring import RestoreError, begin_anew, make_room

_MADE_AT_START = "all_for_the_worker"
"""Policies that name a role, which another cluster may not have; each start makes those that are missing."""


class BackupError(Exception):
    """A program has failed; the message is its own."""


async def dump(dsn: str, schema: str, file: Path) -> None:
    """Write the schema as it is at this moment, for its user alone; the file is there when it is complete.

    Raises:
        BackupError: pg_dump says why.
        OSError: The file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as work:
        made = Path(work) / "dump"
        made.touch(mode=0o600)  # as private as the database; pg_dump writes into it
        options = ("--format=custom", "--no-owner", "--no-privileges", f'--schema="{schema}"')
        await _run("pg_dump", dsn, *options, f"--file={made}")
        made.rename(file)


async def restore(dsn: str, schema: str, file: Path, *, replace: bool) -> None:
    """Put a dump back: all of it or nothing, but that with `replace` what was there is gone before.

    Raises:
        BackupError: pg_restore says why.
        RestoreError: The schema is there, and is to stay or in use.
        DatabaseUnavailableError: Postgres is out of reach.
    """
    entries = (await _run("pg_restore", None, "--list", str(file))).splitlines()
    await make_room(dsn, schema, replace=replace)
    with tempfile.TemporaryDirectory() as work:
        wanted = Path(work) / "list"
        kept = [line for line in entries if not (" POLICY " in line and _MADE_AT_START in line)]
        wanted.write_text("\n".join(kept))
        options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        await _run("pg_restore", dsn, *options, f"--use-list={wanted}", str(file))
    await begin_anew(dsn, schema)


async def _run(name: str, dsn: str | None, *options: str) -> str:
    """A program of the wheel's, with the password where others do not see it; what it printed."""
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    if dsn is not None:
        parts = urlsplit(dsn)
        environment["PGPASSWORD"] = unquote(parts.password or "")
        user, _, host = parts.netloc.rpartition("@")
        plain = urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}" if user else host))
        options = (f"--dbname={plain}", *options)
    process = await asyncio.create_subprocess_exec(
        str(installed().program(name)),
        *options,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode:
        raise BackupError(errors.decode(errors="replace").strip().splitlines()[-1])
    return output.decode()


@asynccontextmanager
async def database_of(settings: Settings) -> AsyncIterator[str]:
    """The configured Postgres, or our own: of a service that runs, or started for this."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with EmbeddedPostgres(settings.embedded.folder, on_progress=say) as postgres:
        yield postgres.dsn


async def run(settings: Settings, action: str, file: Path, *, replace: bool) -> None:
    """One of the two."""
    schema = settings.database.schema_name
    async with database_of(settings) as dsn:
        if action == "dump":
            await dump(dsn, schema, file)
            say(f"{schema}: dumped to {file}")
        else:
            await restore(dsn, schema, file, replace=replace)
            say(f"{schema}: restored from {file}; the service may start")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 not done, 2 the command line or a setting is wrong."""
    parser = argparse.ArgumentParser(prog="python -m deploy.backup", description=__doc__)
    parser.add_argument("action", choices=["dump", "restore"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--replace", action="store_true", help="drop what is there before restoring")
    given = parser.parse_args(arguments)
    try:
        asyncio.run(run(load(), given.action, given.file.absolute(), replace=given.replace))
    except SettingsError as error:
        return complain(error.lines, 2)
    except (BackupError, RestoreError, DatabaseUnavailableError, EmbeddedPostgresError, OSError) as error:
        return complain([str(error)], 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
