"""Services whose models are made from the settings, as `python main.py` makes them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from config.settings import Settings
from main import assembled
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.postgres import logins_to
from tests.harness.service import Service, settings_for_tests
from wiring.models import models_of

_TWO = """
[providers.first]
kind = "openai"
base_url = "{first}"
[providers.second]
kind = "openai"
base_url = "{second}"
[models.big]
provider = "first"
context_tokens = 8192
[models.small]
provider = "second"
context_tokens = 8192
routing = false
[classes]
chat = ["big", "small"]
fast = ["small"]
"""


def two_models(first: str, second: str) -> str:
    """A provider file: model `big` at one address, `small` at another, which also is the class `fast`."""
    return _TWO.format(first=first, second=second)


@asynccontextmanager
async def configured(
    settings: Settings, dsn: str, provider: ScriptedProvider, *, catalog: Path | None = None
) -> AsyncIterator[Service]:
    """A service with these settings; `provider` is what tests find in it, whatever the settings name."""
    if catalog is not None:
        folder = settings.agents.model_copy(update={"folder": catalog})
        settings = settings.model_copy(update={"agents": folder})
    logins = logins_to(dsn)
    async with (
        models_of(settings, {}) as models,
        assembled(settings, logins.work, models, callers=logins.callers) as (port, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Service(rpc.OrchestratorServiceStub(channel), channel, port, dsn, provider)


@asynccontextmanager
async def with_file(
    dsn: str, provider: ScriptedProvider, file: Path, /, **groups: Mapping[str, object]
) -> AsyncIterator[Service]:
    """A service with the models of a provider file; `groups` change settings, as in `running_service`."""
    provided = {"file": file, **groups.pop("provider", {})}
    async with configured(settings_for_tests(provider=provided, **groups), dsn, provider) as service:
        yield service
