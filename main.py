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

import uvloop

from agents.loader import CatalogError, load_catalog
from agents.runner import AgentRunner
from config.command_line import complain, parse, say, storage_report
from config.load import SettingsError, environment, load, picked
from config.settings import ServerSettings, Settings
from orchestrator.admission import Admission, AdmissionLimits
from orchestrator.again import RetryPolicy
from orchestrator.application import Application, Codec, Limits
from orchestrator.budgets import DailyBudget
from orchestrator.chat_service import ChatTimes
from orchestrator.codec.chunks import encode, left_off
from orchestrator.codec.requests import kept_assignment
from orchestrator.draining import DrainTimes
from orchestrator.health import HealthService
from orchestrator.interceptors import EdgeLimits, GuardInterceptor
from orchestrator.lifecycle import PartDiedError, StoppedError, interruptible, stop_signals, until_stopped
from orchestrator.line_limits import LineLimits
from orchestrator.replica import LeaseTimes
from orchestrator.retention import RetentionTimes
from orchestrator.server import AddressInUseError, ServerOptions, listening
from orchestrator.servicer import OrchestratorServicer, ServerInfo
from orchestrator.supervisor import RunLimits
from orchestrator.task import TaskTimes
from providers.anthropic.model import ANTHROPIC_URL, AnthropicModel
from providers.file.defaults import KeyedModel
from providers.file.entries import DEFAULT_CLASS, ProviderConfiguration
from providers.file.reading import ProviderFileError
from providers.file.watching import ProviderFile, ProviderFileWatch
from providers.gate.factory import gate_of
from providers.gemini.model import GEMINI_URL, GeminiModel
from providers.http.factory import HTTPAdapterFactory
from providers.http.session import open_session
from providers.langchain.factory import langchain_model
from providers.local.alone import local_alone
from providers.local.factory import LocalModelFactory
from providers.local.server import LocalModelServer
from providers.openai_compatible.model import OPENAI_URL, OpenAICompatibleModel
from providers.pool.assembly import AdapterFactory, Assembly
from providers.pool.choice import ClassChoice
from providers.pool.model import PooledModel
from providers.pool.pool import ModelPool
from providers.pool.retry_budget import RetryBudget
from providers.pool.run_budget import RunCaps
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.server import EmbeddedPostgres
from state.errors import DatabaseUnavailableError
from state.models import ReplicaId
from state.postgres.listener import CANCELS, EVENTS, QUEUED, Listener
from state.postgres.migrate import MigrationError, migrate_when_reachable
from state.postgres.stores import PostgresStores, storage_at
from state.spool.errors import SpoolError
from state.spool.spool import SpoolLimits, spool_in
from telemetry import logs
from tools.gateway.channel import ChannelOptions
from tools.gateway.gateway import GatewayOptions, ToolGateway
from tools.registry import ToolRegistry

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
    ProviderFileError,
    SpoolError,
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
async def models_of(settings: Settings, deaths: Deaths) -> AsyncIterator[ModelPool]:
    """The models of the provider file, else the one that the keys in the environment name, else our own."""
    provider, production = settings.provider, settings.environment == "production"
    known = environment(settings)
    file = ProviderFile(provider.file, known, production=production) if provider.file else None
    configuration = file.read() if file else default_models(settings)
    async with AsyncExitStack() as stack:
        # A call that had to wait for a connection would look like a slow provider.
        session = await stack.enter_async_context(open_session(connections=2 * settings.server.max_streams))
        openai = HTTPAdapterFactory(OpenAICompatibleModel, session, OPENAI_URL)
        adapters: dict[str, AdapterFactory] = {
            "openai": openai,
            "scripted": openai,
            "anthropic": HTTPAdapterFactory(AnthropicModel, session, ANTHROPIC_URL),
            "gemini": HTTPAdapterFactory(GeminiModel, session, GEMINI_URL),
            "langchain": langchain_model,
        }
        if any(entry.kind == "local" for entry in configuration.providers.values()):
            say("model: loading SmolLM2-135M")
            local = settings.local_model
            shape = local.model_dump(include={"threads", "slots", "context_tokens", "start_seconds"})
            server = await stack.enter_async_context(LocalModelServer(settings.embedded.folder, **shape))
            deaths["the local model"] = server.died
            adapters["local"] = LocalModelFactory(server, openai, ready_seconds=local.start_seconds)
        budget = RetryBudget(share=provider.retry_share)
        assembly = Assembly(adapters, gate_of, known, production)
        pool = await stack.enter_async_context(ModelPool(assembly, configuration, retry_budget=budget))
        deaths["a background probe"] = pool.died
        if file:
            watch = ProviderFileWatch(file, pool.exchange, reload_seconds=provider.reload_seconds)
            await stack.enter_async_context(watch)
            deaths["the provider file"] = watch.died
        yield pool


def default_models(settings: Settings) -> ProviderConfiguration:
    """What a provider file would say, had it been written from the other settings."""
    keys = {"openai_key": settings.openai_api_key, "anthropic_key": settings.anthropic_api_key}
    given = {name: key is not None for name, key in keys.items()}
    keyed = picked(KeyedModel, settings.provider, settings, **given)
    tokens = settings.local_model.model_dump(include={"context_tokens", "max_output_tokens"})
    return keyed.configuration() or local_alone(timeouts=keyed.timeouts, **tokens)


@asynccontextmanager
async def tools_of(settings: Settings) -> AsyncIterator[ToolRegistry]:
    """The tools that runs may be offered."""
    channel = ChannelOptions(address=settings.tools.address)
    async with ToolGateway(GatewayOptions(settings.tools.enabled, channel)) as gateway:
        yield ToolRegistry({"backend": gateway})


@asynccontextmanager
async def assembled(
    settings: Settings, dsn: str, models: ModelPool, *, hurried: asyncio.Event | None = None
) -> AsyncIterator[tuple[int, Deaths]]:
    """The whole service on a database that is up to date: its port, and what must not die."""
    catalog, replica_id = load_catalog(CATALOG), ReplicaId(uuid4().hex)
    codec = Codec(encode, kept_assignment, left_off)
    async with AsyncExitStack() as stack:
        room = picked(SpoolLimits, settings.journal)
        spool = await stack.enter_async_context(spool_in(settings.journal.folder, room))
        stores = await stack.enter_async_context(stores_at(settings, dsn, replica_id, hurried))
        tools = await stack.enter_async_context(tools_of(settings))
        runner, limits = AgentRunner(stores.checkpoints, stores.permissions), limits_of(settings)
        app = Application(
            stores, catalog, runner, models, tools, codec=codec, limits=limits, spool=spool, hurried=hurried
        )
        hear = {EVENTS: app.log.wake, CANCELS: app.supervisor.cancel, QUEUED: app.line.wake}
        listener = await stack.enter_async_context(Listener(dsn, hear))
        await stack.enter_async_context(app)
        server, kept = settings.server, settings.retention
        about = ServerInfo(VERSION, catalog.names, server.max_receive_bytes, kept.events_seconds)
        health = HealthService(
            stores.database, PooledModel(models, ClassChoice(DEFAULT_CLASS)), app.supervisor, spool
        )
        servicer = OrchestratorServicer(app, models, health, about)
        guard, options = edge_of(server)
        served = await stack.enter_async_context(listening(servicer, health, app.supervisor, guard, options))
        yield served.port, {"readiness": served.died, "the listener": listener.died, **app.deaths}


def limits_of(settings: Settings) -> Limits:
    """What the settings say of runs, their readers and what is left of them."""
    run, stream, waits = settings.run, settings.stream, settings.queue.timeout_seconds
    return picked(
        Limits,
        stream,
        settings.database,
        runs=picked(
            RunLimits,
            stream,
            settings.server,
            run,
            permission_seconds=settings.tools.permission_seconds,
            retries=picked(RetryPolicy, run),
        ),
        caps=picked(RunCaps, run, max_seconds=run.max_duration_seconds, max_tool_calls=None),
        budget=picked(DailyBudget, settings.budget),
        leases=picked(LeaseTimes, run),
        retention=picked(RetentionTimes, settings.retention),
        chat=picked(ChatTimes, stream, run, queue_seconds=waits),
        tasks=picked(TaskTimes, run, queue_seconds=waits),
        line=picked(LineLimits, settings.queue),
        tool_policy={},
        drain=picked(DrainTimes, settings.journal),
    )


def stores_at(
    settings: Settings, dsn: str, replica_id: ReplicaId, hurried: asyncio.Event | None
) -> PostgresStores:
    """What this process keeps, in the schema and within the limits that the settings name."""
    schema, limits = settings.database.schema_name, settings.database.model_dump()
    del limits["schema_name"], limits["connect_seconds"]
    return PostgresStores(dsn, replica_id, version=VERSION, schema=schema, hurried=hurried, **limits)


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
            models = await stack.enter_async_context(models_of(settings, deaths))
            dsn = await stack.enter_async_context(database_of(settings, deaths))
            await bring_up_to_date(settings, dsn)
            port, parts = await stack.enter_async_context(
                assembled(settings, dsn, models, hurried=stop.hurried)
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
