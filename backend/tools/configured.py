"""The tools that the settings ask for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.parts import Tools
from backend.settings import StoreSettings
from backend.tools.all import ToolOptions, opened_tools


@asynccontextmanager
async def configured_tools(settings: StoreSettings) -> AsyncIterator[Tools | None]:
    """None without a database. Raises: StoreUnavailableError, MigrationError."""
    dsn = settings.dsn.get_secret_value()
    if not dsn:
        yield None
        return
    org = settings.org_folder
    async with opened_tools(ToolOptions(dsn=dsn, org_root=None if org is None else str(org))) as served:
        yield Tools(served.handlers, served.described, served.calls)
