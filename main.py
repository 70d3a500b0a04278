"""Read the settings, build the objects, serve. The only place that names concrete classes."""

import os
import signal
import sys

if __name__ == "__main__":
    # Importing takes a second, in which process 1 of a container would not hear SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # The child processes are no forks of ours, so gRPC need not prepare for any.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it has to say, an error of ours says

    from state.postgres.checkpoints.strict import force_strict_msgpack

    force_strict_msgpack()  # LangGraph reads the variable once, when it is imported

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import aiohttp
import uvloop

from agents.loader import CatalogError, load_catalog
from agents.runner import AgentRunner
from config.command_line import complain, parse, say, storage_report
from config.load import SettingsError, load, picked
from config.settings import ServerSettings, Settings
from orchestrator.admission import Admission, AdmissionLimits
from orchestrator.application import Application, Codec, Limits
from orchestrator.codec.chunks import encode, unfinished_text
from orchestrator.codec.requests import kept_command
from orchestrator.health import HealthService
from orchestrator.interceptors import EdgeLimits, GuardInterceptor
from orchestrator.lifecycle import PartDiedError, StoppedError, interruptible, stop_signals, until_stopped
from orchestrator.replica import LeaseTimes
from orchestrator.retention import RetentionTimes
from orchestrator.server import AddressInUseError, ServerOptions, listening
from orchestrator.servicer import OrchestratorServicer, ServerInfo
from orchestrator.supervisor import RunLimits
from providers.anthropic.model import AnthropicModel
from providers.base import ChatModel
from providers.http.session import open_session
from providers.http.timeouts import ProviderTimeouts
from providers.local.model import CONNECTION_HEADERS, PROVIDER_NAME, LocalModel
from providers.local.server import LocalModelServer
from providers.openai_compatible.model import OpenAICompatibleModel
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.server import EmbeddedPostgres
from state.errors import DatabaseUnavailableError
from state.models import ReplicaId
from state.postgres.listener import CANCELS, EVENTS, Listener
from state.postgres.migrate import MigrationError, migrate_when_reachable
from state.postgres.stores import PostgresStores, storage_at
from telemetry import logs

VERSION = "0.1.0"
CATALOG = Path(__file__).parent / "agents" / "catalog"

Deaths = dict[str, Callable[[], Awaitable[object]]]
"""What ends the process when it ends, by name; filled as the parts start."""

EXPECTED = (
    AddressInUseError,
    CatalogError,
    DatabaseUnavailableError,
    EmbeddedPostgresError,
    MigrationError,
    PartDiedError,
)
"""What an operator can mend: one line, no traceback."""


@asynccontextmanager
async def database_of(settings: Settings, deaths: Deaths) -> AsyncIterator[str]:
    """The address of the configured Postgres, or of our own, which runs inside the block."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    say(f"postgres: starting our own in {settings.embedded.folder}")
    async with EmbeddedPostgres(settings.embedded.folder, on_progress=say) as postgres:
        deaths["the embedded Postgres"] = postgres.died
        yield postgres.dsn


async def bring_up_to_date(settings: Settings, dsn: str) -> int:
    """Apply missing migrations, once the database can be reached."""
    seconds = settings.database.connect_seconds
    return await migrate_when_reachable(dsn, settings.database.schema_name, seconds, report=say)


@asynccontextmanager
async def model_of(settings: Settings, deaths: Deaths) -> AsyncIterator[ChatModel]:
    """The model that the keys in the environment name, or our own, which runs inside the block."""
    timeouts = ProviderTimeouts(
        connect=settings.provider.connect_seconds,
        first_token=settings.provider.first_token_seconds,
        between_tokens=settings.provider.between_tokens_seconds,
        total=settings.provider.total_seconds,
    )
    async with open_session() as session:
        connect = partial(
            OpenAICompatibleModel, session, timeouts=timeouts, context_tokens=settings.provider.context_tokens
        )
        connect_anthropic = partial(AnthropicModel, *connect.args, **connect.keywords)
        if settings.openai_api_key or settings.openai_base_url:
            yield connect(
                provider="openai",
                base_url=settings.openai_base_url or "https://api.openai.com/v1",
                model=settings.provider.model or "gpt-5-mini",
                api_key=settings.openai_api_key,
            )
        elif settings.anthropic_api_key:
            yield connect_anthropic(
                provider="anthropic",
                base_url=settings.anthropic_base_url or "https://api.anthropic.com/v1",
                model=settings.provider.model or "claude-haiku-4-5",
                api_key=settings.anthropic_api_key,
            )
        else:
            async with local_model(session, settings, timeouts, deaths) as model:
                yield model


@asynccontextmanager
async def local_model(
    session: aiohttp.ClientSession, settings: Settings, timeouts: ProviderTimeouts, deaths: Deaths
) -> AsyncIterator[ChatModel]:
    """The model of our own, which may still be loading."""
    say("model: no provider key is set, loading SmolLM2-135M")
    local = settings.local_model
    connect = partial(
        OpenAICompatibleModel,
        session,
        provider=PROVIDER_NAME,
        model="smollm2",
        api_key=None,
        context_tokens=local.context_tokens,
        timeouts=timeouts,
        extra_headers=CONNECTION_HEADERS,
    )
    async with LocalModelServer(
        settings.embedded.folder,
        threads=local.threads,
        slots=local.slots,
        context_tokens=local.context_tokens,
        start_seconds=local.start_seconds,
    ) as server:
        deaths["the local model"] = server.died
        yield LocalModel(
            server,
            lambda base_url: connect(base_url=base_url),
            context_tokens=local.context_tokens,
            max_output_tokens=local.max_output_tokens,
            ready_seconds=local.start_seconds,
        )


@asynccontextmanager
async def assembled(
    settings: Settings, dsn: str, model: ChatModel, *, hurried: asyncio.Event | None = None
) -> AsyncIterator[tuple[int, Deaths]]:
    """The whole service on a database that is up to date: its port, and what must not die."""
    catalog, replica_id = load_catalog(CATALOG), ReplicaId(uuid4().hex)
    codec = Codec(encode, kept_command, unfinished_text)
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(stores_at(settings, dsn, replica_id, hurried))
        runner = AgentRunner(model, stores.checkpoints)
        app = Application(stores, catalog, runner, codec, limits_of(settings), hurried=hurried)
        hear = {EVENTS: app.log.wake, CANCELS: app.supervisor.cancel}
        listener = await stack.enter_async_context(Listener(dsn, hear))
        await stack.enter_async_context(app)
        server, kept = settings.server, settings.retention
        about = ServerInfo(VERSION, catalog.names, server.max_receive_bytes, kept.events_seconds)
        health = HealthService(stores.database, model, app.supervisor)
        servicer = OrchestratorServicer(app, health, about)
        guard, options = edge_of(server)
        served = await stack.enter_async_context(listening(servicer, health, app.supervisor, guard, options))
        yield served.port, {"readiness": served.died, "the listener": listener.died, **app.deaths}


def limits_of(settings: Settings) -> Limits:
    """What the settings say of runs, their readers and what is left of them."""
    run, stream = settings.run, settings.stream
    return Limits(
        runs=RunLimits(
            window_seconds=stream.window_seconds,
            buffer_characters=stream.buffer_characters,
            drain_seconds=settings.server.drain_seconds,
            max_seconds=run.max_seconds,
        ),
        leases=picked(LeaseTimes, run),
        retention=picked(RetentionTimes, settings.retention),
        max_wait_seconds=run.max_wait_seconds,
        heartbeat_seconds=stream.heartbeat_seconds,
        tail_records=stream.tail_records,
        outage_seconds=settings.database.outage_seconds,
    )


def stores_at(
    settings: Settings, dsn: str, replica_id: ReplicaId, hurried: asyncio.Event | None
) -> PostgresStores:
    """What this process keeps, in the schema and within the limits that the settings name."""
    database = settings.database
    limits = database.model_dump(exclude={"schema_name", "connect_seconds"})
    return PostgresStores(
        dsn, replica_id, version=VERSION, schema=database.schema_name, hurried=hurried, **limits
    )


def edge_of(server: ServerSettings) -> tuple[GuardInterceptor, ServerOptions]:
    """What the settings say of the transport and its limits."""
    admission = Admission(picked(AdmissionLimits, server))
    options = picked(ServerOptions, server, connection_grace_seconds=server.stream_seconds)
    return GuardInterceptor(admission, picked(EdgeLimits, server)), options


async def serve(settings: Settings) -> None:
    """Everything, until a signal or the death of a part."""
    stop = stop_signals()
    deaths: Deaths = {}
    async with AsyncExitStack() as stack:
        async with interruptible(stop.requested):
            model = await stack.enter_async_context(model_of(settings, deaths))
            dsn = await stack.enter_async_context(database_of(settings, deaths))
            await bring_up_to_date(settings, dsn)
            port, parts = await stack.enter_async_context(
                assembled(settings, dsn, model, hurried=stop.hurried)
            )
        # What start-up made stays for good: the collector need not walk it at every full collection.
        gc.collect()
        gc.freeze()
        say(f"serving on {settings.server.address.rpartition(':')[0]}:{port}")
        try:
            await until_stopped(stop.requested, deaths | parts)
        except PartDiedError:
            stop.hurried.set()  # nothing that still runs could be kept
            raise
        say("stopping")


async def migrate_only(settings: Settings) -> None:
    """Bring the schema up to date and end."""
    async with database_of(settings, {}) as dsn:
        applied = await bring_up_to_date(settings, dsn)
    say(f"the schema is up to date: {applied} migrations applied")


async def show_storage(settings: Settings, largest: int) -> None:
    """Say which tables and which conversations take up how many bytes, and end."""
    schema = settings.database.schema_name
    async with database_of(settings, {}) as dsn, storage_at(dsn, schema=schema) as storage:
        say(storage_report(await storage.tables(), await storage.largest(largest)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 stopped as told, 1 no start or a part died, 2 the command line or a setting is wrong."""
    parsed = parse(arguments, VERSION)
    commands: dict[str, Callable[[Settings], Coroutine[None, None, None]]] = {
        "migrate": migrate_only,
        "storage": partial(show_storage, largest=parsed.largest),
    }
    try:
        settings = load()
        logs.configure(settings.log_level)
        uvloop.run(commands.get(parsed.command, serve)(settings))
    except StoppedError:
        return 0
    except SettingsError as error:
        return complain(error.lines, 2)
    except EXPECTED as error:
        return complain([str(error)], 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
