"""All parts of the backend's tools as one: what is not configured is not there, and answers UNIMPLEMENTED.

A part is a class with whatever it needs in its constructor. Its methods that are named as those of
ToolHandlers serve these RPCs; with `describe` it adds tools of its own. `opened_tools` makes the parts.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from backend.store.calls import PostgresCallStore
from backend.store.database import Database
from backend.store.migrate import migrate
from llm_orchestrator_client.tool_service import CallStore, DescribedTools, ToolHandlers

Handler = Callable[..., Awaitable[Any]]

HANDLERS = tuple(sorted(name for name in dir(ToolHandlers) if not name.startswith("_")))
"""What a part may write: the 29 tools, `find_feeds` and `is_administrator`."""


class TwoPartsError(ValueError):
    """Two parts serve the same RPC."""


@runtime_checkable
class Describing(Protocol):
    """A part with tools beyond the typed ones."""

    def describe(self, tools: DescribedTools) -> None:
        """Add them."""
        ...


@dataclass(frozen=True, slots=True)
class ServedTools:
    """What ToolServiceServer serves."""

    handlers: ToolHandlers
    described: DescribedTools
    calls: CallStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOptions:
    """What the parts are made with. A group that is None leaves its part out."""

    dsn: str


def composed(parts: Iterable[object]) -> ToolHandlers:
    """One ToolHandlers that hands each call to the part that has it.

    Raises:
        TwoPartsError: More than one has it.
    """
    written: dict[str, Handler] = {}
    for part in parts:
        for name in HANDLERS:
            method = getattr(part, name, None)
            if method is None:
                continue
            if name in written:
                raise TwoPartsError(f"two parts serve {name}")
            written[name] = _delegating(method)
    # A class, since the server asks the class which handlers are written.
    handlers: ToolHandlers = type("ComposedHandlers", (ToolHandlers,), dict(written))()
    return handlers


def described(parts: Iterable[object]) -> DescribedTools:
    """The tools that the parts describe themselves."""
    tools = DescribedTools()
    for part in parts:
        if isinstance(part, Describing):
            part.describe(tools)
    return tools


@asynccontextmanager
async def opened_tools(options: ToolOptions) -> AsyncIterator[ServedTools]:
    """The schema up to date, the parts made, and all that they need open while the block runs.

    Raises:
        StoreUnavailableError: Postgres is out of reach.
        MigrationError: The schema is not of this release.
    """
    await migrate(options.dsn)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(options.dsn))
        calls = await stack.enter_async_context(PostgresCallStore(options.dsn))
        parts = await _parts(options, database, stack)
        yield ServedTools(composed(parts), described(parts), calls)


async def _parts(options: ToolOptions, database: Database, stack: AsyncExitStack) -> list[object]:
    # One line, or one `if` of its group of options, for each part; what it must close goes to the stack.
    return []


def _delegating(method: Handler) -> Handler:
    async def handle(_self: ToolHandlers, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - of any
        return await method(*arguments, **named)

    return handle
