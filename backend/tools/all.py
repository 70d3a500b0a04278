"""All parts of the backend's tools as one: what is not configured is not there, and answers UNIMPLEMENTED.

A part is a class with whatever it needs in its constructor. Its methods that are named as those of
ToolHandlers serve these RPCs; with `describe` it adds tools of its own. `opened_tools` makes the parts.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import aiohttp

from backend.endpoint import Endpoint, EndpointOptions
from backend.shelf import Shelf
from backend.store.calls import PostgresCallStore
from backend.store.conversations import ConversationStore
from backend.store.database import SCHEMA, Database
from backend.store.documents import DocumentStore
from backend.store.entities import EntityStore
from backend.store.migrate import migrate
from backend.store.rooms import RoomStore
from backend.store.search import DocumentSearch
from backend.store.templates import TemplateStore
from backend.store.vectors import PassageVectors
from backend.store.words import Dictionary
from backend.tools.crawl.storing import ShelfPages
from backend.tools.described import RoomTools, TemplateTools
from backend.tools.documents import DocumentTools
from backend.tools.enhance import ConversationTools, QueryTools
from backend.tools.entities import EntityTools
from backend.tools.expansion import Expander, ModelExpander, RuleExpander
from backend.tools.images.store import ImageStore
from backend.tools.org.documents import DocumentsAndOrgFiles, OrgDocuments
from backend.tools.org.handlers import OrgTools
from backend.tools.org.store import OrgStore
from backend.tools.web import WebOptions, web_parts
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
    """The first three are for ToolServiceServer. `shelf` takes documents, `conversations` what is said.

    `images` is what `image_routes` serves.
    """

    handlers: ToolHandlers
    described: DescribedTools
    calls: CallStore
    shelf: Shelf
    conversations: ConversationStore
    images: ImageStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOptions:
    """What the parts are made with. A group that is None leaves its part out.

    `embeddings` None = documents are searched by words only; `expansion` None = queries expanded by rules.
    `org_root` is the directory of the users' org files.
    """

    dsn: str
    schema: str = SCHEMA
    embeddings: EndpointOptions | None = None
    expansion: EndpointOptions | None = None
    org_root: str | None = None
    web: WebOptions | None = None


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
    await migrate(options.dsn, schema=options.schema)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(options.dsn, schema=options.schema))
        calls = await stack.enter_async_context(PostgresCallStore(options.dsn, schema=options.schema))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        vectors = await _vectors(options, database, session)
        shelf = Shelf(DocumentStore(database), vectors)
        # A part of its own is one more entry here, below an `if` of its group of options.
        parts = [*_own_parts(options, database, session, vectors)]
        if options.web is not None:
            outside = web_parts(options.web, database, pages=ShelfPages(shelf))
            parts += await stack.enter_async_context(outside)
        conversations = ConversationStore(database)
        images = ImageStore(database)
        yield ServedTools(composed(parts), described(parts), calls, shelf, conversations, images)


def _own_parts(
    options: ToolOptions,
    database: Database,
    session: aiohttp.ClientSession,
    vectors: PassageVectors | None,
) -> Iterable[object]:
    entities = EntityStore(database)
    store, search = DocumentStore(database), DocumentSearch(database, vectors)
    if options.org_root is None:
        yield DocumentTools(store, search)
    else:
        org = OrgStore(options.org_root)
        yield OrgTools(org)
        yield DocumentsAndOrgFiles(store, search, OrgDocuments(org))
    yield EntityTools(entities)
    yield QueryTools(_expander(options, database, session), entities)
    yield ConversationTools(ConversationStore(database))
    yield RoomTools(RoomStore(database))
    yield TemplateTools(TemplateStore(database))


async def _vectors(
    options: ToolOptions, database: Database, session: aiohttp.ClientSession
) -> PassageVectors | None:
    if options.embeddings is None:
        return None
    vectors = PassageVectors(database, Endpoint(session, options.embeddings))
    return vectors if await vectors.prepared() else None


def _expander(options: ToolOptions, database: Database, session: aiohttp.ClientSession) -> Expander:
    rules = RuleExpander(Dictionary(database))
    if options.expansion is None:
        return rules
    return ModelExpander(Endpoint(session, options.expansion), rules)


def _delegating(method: Handler) -> Handler:
    async def handle(_self: ToolHandlers, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - of any
        return await method(*arguments, **named)

    return handle
