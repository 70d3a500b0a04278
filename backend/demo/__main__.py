"""`python -m backend.demo --dsn postgresql://... [--org FOLDER]` stores the demo data."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from backend.demo.seed import copy_org_files, seed
from backend.shelf import Shelf
from backend.store.database import Database
from backend.store.documents import DocumentStore
from backend.store.errors import MigrationError, StoreUnavailableError
from backend.store.migrate import migrate

DSN = "BACKEND_STORE__DSN"


async def run(dsn: str, org: Path | None) -> str:
    """What is there now, as a line. Raises: StoreUnavailableError, MigrationError, OSError."""
    await migrate(dsn)
    async with Database(dsn, pool_size=2) as database:
        counts = dict(await seed(database, Shelf(DocumentStore(database))))
    if org is not None:
        counts["new org files"] = copy_org_files(org)
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 it is there, 1 the database or a folder does not let us, 2 the command line is wrong."""
    parser = argparse.ArgumentParser(prog="python -m backend.demo", description="Stores the demo data.")
    parser.add_argument("--dsn", default=os.environ.get(DSN, ""), help=f"the database, else {DSN}")
    parser.add_argument("--org", type=Path, help="the folder of the users' org files")
    given = parser.parse_args(arguments)
    if not given.dsn:
        parser.error(f"say which database: --dsn, or {DSN}")
    try:
        told = asyncio.run(run(given.dsn, given.org))
    except (StoreUnavailableError, MigrationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
