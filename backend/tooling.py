"""The backend's own tools, as its settings say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.endpoint import EndpointOptions
from backend.parts import Tools
from backend.settings import ModelSettings, Settings
from backend.tools.all import ToolOptions, opened_tools
from backend.web_settings import options_of


@asynccontextmanager
async def configured_tools(settings: Settings) -> AsyncIterator[Tools | None]:
    """The tools, open while the block runs; None without a database.

    Raises:
        StoreUnavailableError: Postgres is out of reach.
        MigrationError: The schema is not of this release.
    """
    dsn = settings.store.dsn.get_secret_value()
    if not dsn:
        yield None
        return
    administrators = [name for name, user in settings.users.items() if user.administrator]
    options = ToolOptions(
        dsn=dsn,
        embeddings=endpoint_of(settings.embeddings),
        expansion=endpoint_of(settings.expansion),
        org_root=str(settings.org.root) if settings.org.root else None,
        web=options_of(settings.web, administrators),
    )
    async with opened_tools(options) as served:
        yield Tools(served.handlers, served.described, served.calls, served.conversations, served.images)


def endpoint_of(settings: ModelSettings) -> EndpointOptions | None:
    """A model's endpoint; None = none is configured."""
    if not settings.base_url:
        return None
    key = settings.api_key.get_secret_value()
    return EndpointOptions(settings.base_url, settings.model, api_key=key, seconds=settings.seconds)
