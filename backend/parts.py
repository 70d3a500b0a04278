"""All that the backend stands on, opened once and closed in the reverse order."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

from prometheus_client import CollectorRegistry

from backend.cookies import CookieSigner
from backend.kept_turns import Keeper
from backend.local import LocalChat, local_session
from backend.passwords import PasswordCheck
from backend.sessions import Sessions
from backend.settings import OrchestratorSettings, RolloutGroup, Settings, ToolServiceSettings
from backend.tools.images.store import ImageStore
from llm_orchestrator_client import TLS, Options, OrchestratorClient
from llm_orchestrator_client.channel import Connection
from llm_orchestrator_client.options import addresses
from llm_orchestrator_client.rollout import (
    BudgetSettings,
    ConnectedOrchestrator,
    FileHalt,
    Halt,
    MemoryConversations,
    MemoryHalt,
    Refusals,
    Rollout,
    RolloutMetrics,
    RolloutSettings,
    RouterSettings,
    flag_source,
    open_rollout,
)
from llm_orchestrator_client.rollout.breaker import BreakerSettings
from llm_orchestrator_client.rollout.loading import VARIABLE
from llm_orchestrator_client.rollout.targets import FlagFileTarget, PercentageTarget
from llm_orchestrator_client.tool_service import (
    BearerTokens,
    CallStore,
    DescribedTools,
    ServerOptions,
    ToolHandlers,
    ToolServiceServer,
)


class ConfigurationError(Exception):
    """Settings that do not fit together; the message says which."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the backend offers to the orchestrator."""

    handlers: ToolHandlers
    described: DescribedTools | None = None
    calls: CallStore | None = None
    conversations: Keeper | None = None
    images: ImageStore | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What routers are made with. `tool_address` is empty where no tools are served, `conversations`
    and `images` are None where what is said, or made, is kept nowhere, `dial` where the percentage cannot
    be set.
    """

    settings: Settings
    sessions: Sessions
    client: OrchestratorClient
    rollout: Rollout
    halt: Halt
    dial: PercentageTarget | None
    local: LocalChat
    registry: CollectorRegistry
    tool_address: str
    conversations: Keeper | None
    images: ImageStore | None


@asynccontextmanager
async def opened(
    settings: Settings, environment: Mapping[str, str], *, tools: Tools | None = None
) -> AsyncIterator[Parts]:
    """The parts, ready. `environment` has the rollout's flags, or says where they are.

    Raises:
        ConfigurationError, FlagSourceError, AddressInUseError, UnsafeAddressError
        OSError: a file cannot be read
    """
    options, registry = options_of(settings.orchestrator), CollectorRegistry()
    halt = halt_of(settings.rollout)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(Connection(options))
        client = await stack.enter_async_context(OrchestratorClient(options))
        local = LocalChat(await stack.enter_async_context(local_session()), settings.local)
        rollout = await stack.enter_async_context(
            rolled_out(settings.rollout, connection, environment, registry, halt)
        )
        address = await stack.enter_async_context(
            served(tools, settings.tool_service, rollout.flags.uses_tool_service)
        )
        own = tools or Tools(ToolHandlers())
        yield Parts(
            settings,
            sessions_of(settings),
            client,
            rollout,
            halt,
            dial_of(environment),
            local,
            registry,
            tool_address=address,
            conversations=own.conversations,
            images=own.images,
        )


def rolled_out(
    settings: RolloutGroup,
    connection: Connection,
    environment: Mapping[str, str],
    registry: CollectorRegistry,
    halt: Halt,
) -> AbstractAsyncContextManager[Rollout]:
    """The rollout over this connection, as its flags say."""
    metrics = RolloutMetrics(registry)
    refusals = Refusals(metrics.flag_refused)
    return open_rollout(
        ConnectedOrchestrator(connection),
        flag_source(environment, refusals),
        metrics,
        refusals,
        conversations=MemoryConversations(),
        halt=halt,
        settings=rollout_settings_of(settings),
    )


@asynccontextmanager
async def served(
    tools: Tools | None, settings: ToolServiceSettings, switched_on: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """The address of the backend's ToolService; empty without tools. `USE_GRPC_TOOL_SERVICE` switches it."""
    if tools is None:
        yield ""
        return
    token = settings.token.get_secret_value()
    try:
        tokens = BearerTokens.of(token) if token else None
    except ValueError as error:
        raise ConfigurationError(f"BACKEND_TOOL_SERVICE__TOKEN: {error}") from error
    options = ServerOptions(settings.address, allow_plaintext=settings.allow_plaintext)
    server = ToolServiceServer(
        tools.handlers,
        options,
        authenticator=tokens,
        described=tools.described,
        calls=tools.calls,
        switched_on=switched_on,
    )
    async with server:
        yield server.address


def options_of(settings: OrchestratorSettings) -> Options:
    """How the client reaches the orchestrator."""
    ca = settings.tls_ca.read_bytes() if settings.tls_ca else None
    try:
        return Options(
            target=addresses(settings.target),
            tls=TLS(ca=ca) if settings.tls or ca else None,
            token=settings.token.get_secret_value() if settings.token else None,
        )
    except ValueError as error:
        raise ConfigurationError(f"BACKEND_ORCHESTRATOR: {error}") from error


def sessions_of(settings: Settings) -> Sessions:
    """Who may call."""
    key = settings.session.key.get_secret_value() or token_urlsafe(32)
    signer = CookieSigner(key, seconds=settings.session.seconds)
    return Sessions(settings.users, signer, PasswordCheck(), settings.session)


def halt_of(settings: RolloutGroup) -> Halt:
    """Where a halt is kept."""
    return MemoryHalt() if settings.halt_file is None else FileHalt(settings.halt_file)


def dial_of(environment: Mapping[str, str]) -> PercentageTarget | None:
    """Where the percentage can be set: the flag file, where the flags come from one."""
    kind, _, path = environment.get(VARIABLE, "").strip().partition(":")
    return FlagFileTarget(Path(path)) if kind == "file" else None


def rollout_settings_of(settings: RolloutGroup) -> RolloutSettings:
    """The client's own form of them."""
    return RolloutSettings(
        salt=settings.salt,
        router=RouterSettings(settings.first_event_seconds, settings.first_byte_seconds),
        breaker=BreakerSettings(
            reset_seconds=settings.breaker_seconds, reset_cap_seconds=settings.breaker_cap_seconds
        ),
        budget=BudgetSettings(
            minimum_samples=settings.minimum_samples,
            error_ratio=settings.error_ratio,
            latency_seconds=settings.latency_seconds,
        ),
    )
