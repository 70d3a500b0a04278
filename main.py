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
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import uvloop

from agents.files import AgentFiles
from agents.loader import CatalogError
from agents.remote.file import RemoteFileError
from agents.runner import AgentRunner
from config.command_line import complain, parse, say, storage_report
from config.load import SettingsError, load, picked
from config.settings import Settings
from orchestrator.application import Application
from orchestrator.codec.chunks import encode, left_off
from orchestrator.codec.requests import kept_assignment
from orchestrator.health import HealthService
from orchestrator.identity.errors import IdentityFileError
from orchestrator.lifecycle import PartDiedError, StoppedError, interruptible, stop_signals, until_stopped
from orchestrator.parts import Codec
from orchestrator.relay.relay import BrokerError
from orchestrator.server import AddressInUseError, listening
from orchestrator.servicer import OrchestratorServicer, ServerInfo
from providers.file.entries import DEFAULT_CLASS
from providers.file.reading import ProviderFileError
from providers.pool.choice import ClassChoice
from providers.pool.model import PooledModel
from providers.pool.pool import ModelPool
from state.embedded.errors import EmbeddedPostgresError
from state.errors import DatabaseUnavailableError
from state.models import ReplicaId
from state.postgres.listener import CANCELS, EVENTS, QUEUED, Listener
from state.postgres.migrate import MigrationError
from state.postgres.roles import Logins, RolesError
from state.postgres.stores import PostgresStores, storage_at
from state.spool.errors import SpoolError
from state.spool.spool import SpoolLimits, SqliteSpool, spool_in
from telemetry import logs
from telemetry.http import MetricsAddressError
from telemetry.instruments import Instruments
from telemetry.registry import Known
from tools.gateway.channel import TLSFileError
from tools.mcp.file import McpFileError
from wiring.agents import agents_of, check, graphs_of
from wiring.database import bring_up_to_date, database_of, logins_of
from wiring.deaths import Deaths
from wiring.events import EventSettingsError, lag_of, relay_alone, relayed, tail_outbox, tail_topic
from wiring.identity import entrance_of, make_token
from wiring.limits import edge_of, limits_of
from wiring.models import models_of
from wiring.remotes import remotes_of
from wiring.sealing import sealing_of
from wiring.stores import stores_at
from wiring.telemetry import metrics_served, watched, watching_of
from wiring.tools import tools_of

VERSION = "0.1.0"

EXPECTED = (
    AddressInUseError,
    BrokerError,
    DatabaseUnavailableError,
    EmbeddedPostgresError,
    EventSettingsError,
    IdentityFileError,
    McpFileError,
    MetricsAddressError,
    MigrationError,
    PartDiedError,
    ProviderFileError,
    RemoteFileError,
    RolesError,
    SpoolError,
    TLSFileError,
)
"""What an operator can mend: one line, no traceback."""


@asynccontextmanager
async def assembled(
    settings: Settings,
    dsn: str,
    models: ModelPool,
    *,
    callers: str | None = None,
    hurried: asyncio.Event | None = None,
) -> AsyncIterator[tuple[int, Deaths]]:
    """The whole service on a database that is up to date: its port, and what must not die.

    `callers`: a second login, by which callers see what is theirs.
    """
    async with AsyncExitStack() as stack:
        agent_names, replica_id = Known(), ReplicaId(uuid4().hex)
        seen = watched(settings, models, agent_names, about_process(replica_id))
        made = await stack.enter_async_context(seen)
        room = picked(SpoolLimits, settings.journal)
        spool = await stack.enter_async_context(spool_in(settings.journal.folder, room, sealing_of(settings)))
        flushed, logins = made.log.flushed if made else None, Logins(dsn, callers)
        kept = stores_at(settings, logins, replica_id, version=VERSION, hurried=hurried, flushed=flushed)
        stores = await stack.enter_async_context(kept)
        graphs = graphs_of(settings)
        read = agents_of(settings, stores.agent_versions, models.classes, graphs)
        agents = await stack.enter_async_context(read)
        agent_names.also(lambda: agents.current.names)
        app = Application(
            stores,
            agents,
            AgentRunner(stores.checkpoints, stores.permissions, graphs, spans=made.spans if made else None),
            models,
            await stack.enter_async_context(tools_of(settings)),
            remotes=await stack.enter_async_context(remotes_of(settings)),
            codec=Codec(encode, kept_assignment, left_off),
            limits=limits_of(settings),
            spool=spool,
            watching=watching_of(made),
            hurried=hurried,
        )
        built = Built(stores, agents, app, made, spool)
        yield await stack.enter_async_context(serving(settings, dsn, models, built))


@dataclass(frozen=True, slots=True)
class Built:
    """What is served."""

    stores: PostgresStores
    agents: AgentFiles
    app: Application
    made: Instruments | None
    spool: SqliteSpool | None


@asynccontextmanager
async def serving(
    settings: Settings, dsn: str, models: ModelPool, built: Built
) -> AsyncIterator[tuple[int, Deaths]]:
    """Run the application, answer, and pass events on; as `assembled`."""
    stores, app, made, lag = built.stores, built.app, built.made, lag_of(settings, built.stores.readings)
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(relayed(settings, stores.outbox, lag))
        hear = {EVENTS: app.log.wake, CANCELS: app.supervisor.cancel, QUEUED: app.line.wake}
        listener = await stack.enter_async_context(Listener(dsn, hear))
        await stack.enter_async_context(app)
        default = PooledModel(models, ClassChoice(DEFAULT_CLASS))
        health = HealthService(stores.database, default, app.supervisor, built.spool)
        servicer = OrchestratorServicer(app, models, health, about(settings, built.agents))
        pages = metrics_served(settings, made, app, stores, health, models=models, spool=built.spool, lag=lag)
        await stack.enter_async_context(pages)
        entrance = await stack.enter_async_context(entrance_of(settings, made))
        served = await stack.enter_async_context(
            listening(servicer, health, app.supervisor, *edge_of(settings.server), entrance=entrance)
        )
        deaths = {
            "readiness": served.died,
            "the listener": listener.died,
            "the agents' files": built.agents.died,
        }
        yield served.port, {**deaths, **relay, **app.deaths, **entrance.deaths}


def about_process(replica_id: ReplicaId) -> dict[str, str]:
    """What spans say of where they come from, by OpenTelemetry's names."""
    return {
        "service.name": "llm-orchestrator",
        "service.version": VERSION,
        "service.instance.id": replica_id,
    }


def about(settings: Settings, agents: AgentFiles) -> ServerInfo:
    """What the server tells of itself."""
    return ServerInfo(
        VERSION,
        lambda: agents.current.names,
        settings.server.max_receive_bytes,
        settings.retention.events_seconds,
    )


async def serve(settings: Settings) -> None:
    """Everything, until a signal or the death of a part."""
    stop = stop_signals()
    deaths: Deaths = {}
    async with AsyncExitStack() as stack:
        async with interruptible(stop.requested):
            models = await stack.enter_async_context(models_of(settings, deaths))
            dsn = await stack.enter_async_context(database_of(settings, deaths))
            dsn, callers = await logins_of(settings, dsn)
            port, parts = await stack.enter_async_context(
                assembled(settings, dsn, models, callers=callers, hurried=stop.hurried)
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


async def check_agents(settings: Settings) -> None:
    """Say whether the agents' files are in order, and end."""
    say(f"the agents are in order: {check(settings)}")


async def show_storage(settings: Settings, largest: int) -> None:
    """Say which tables and which conversations take up how many bytes, and end."""
    schema = settings.database.schema_name
    async with database_of(settings, {}) as dsn, storage_at(dsn, schema=schema) as storage:
        say(storage_report(await storage.tables(), await storage.largest(largest)))


async def follow_events(settings: Settings, action: str, *, everything: bool) -> None:
    """Print the events, or pass them on, until a signal."""
    stop = stop_signals().requested
    if action == "tail" and settings.events.brokers:
        await tail_topic(settings, stop, say, everything=everything)
        return
    async with database_of(settings, {}) as dsn:
        if action == "relay":
            await relay_alone(settings, dsn, stop, say)
        else:
            await tail_outbox(settings, dsn, stop, say, everything=everything)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 stopped as told, 1 no start or a part died, 2 the command line or a setting is wrong."""
    parsed = parse(arguments, VERSION)
    commands: dict[str, Callable[[Settings], Coroutine[None, None, None]]] = {
        "agents": check_agents,
        "events": partial(follow_events, action=parsed.action, everything=parsed.all),
        "migrate": migrate_only,
        "storage": partial(show_storage, largest=parsed.largest),
    }
    try:
        if parsed.command == "token":  # made anywhere: it needs none of the server's settings
            make_token(parsed)
            return 0
        settings = load()
        logs.configure(settings.log_level, user_key=settings.logs.user_key.get_secret_value())
        uvloop.run(commands.get(parsed.command, serve)(settings))
    except StoppedError:
        return 0
    except SettingsError as error:
        return complain(error.lines, 2)
    except CatalogError as error:
        return complain(error.lines, 1)
    except EXPECTED as error:
        return complain([str(error)], 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
