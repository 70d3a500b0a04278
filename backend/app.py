"""The HTTP application. Every router is included here and nowhere else."""

from collections.abc import Iterator

from fastapi import APIRouter, Depends, FastAPI

from backend.api.chat import ChatRoutes
from backend.api.conversations import ConversationRoutes
from backend.api.health import HealthRoutes
from backend.api.permissions import PermissionRoutes
from backend.api.providers import ProviderRoutes
from backend.api.rollout import RolloutRoutes
from backend.api.session import SessionRoutes
from backend.api.tasks import TaskRoutes
from backend.body_limit import BodyLimit
from backend.console.routes import ConsoleRoutes
from backend.edge import Edge
from backend.parts import Parts
from backend.problems import answer_problems
from backend.sessions import Known, Who
from backend.tools.images.router import image_routes

VERSION = "0.1.0"


def create_app(parts: Parts) -> FastAPI:
    """The application on parts that somebody else opens and closes."""
    app = FastAPI(
        title="Reference backend of llm-orchestrator",
        version=VERSION,
        redoc_url=None,
    )
    app.add_middleware(BodyLimit, most=parts.settings.server.max_body_bytes)
    app.add_middleware(Edge)
    answer_problems(app)
    for router in open_routers(parts):
        app.include_router(router)
    known = [Depends(Known(parts.sessions))]
    for router in known_routers(parts):
        app.include_router(router, dependencies=known)
    return app


def open_routers(parts: Parts) -> Iterator[APIRouter]:
    """For everybody."""
    yield HealthRoutes(parts).router()
    yield SessionRoutes(parts).router()
    yield ConsoleRoutes(parts).router()


def known_routers(parts: Parts) -> Iterator[APIRouter]:
    """For who is known: behind `Known`, without which no endpoint here has a caller."""
    yield ChatRoutes(parts).router()
    yield TaskRoutes(parts).router()
    yield PermissionRoutes(parts).router()
    yield ConversationRoutes(parts).router()
    yield ProviderRoutes(parts).router()
    yield RolloutRoutes(parts).router()
    if parts.images is not None:
        yield image_routes(parts.images, caller_id)


async def caller_id(who: Who) -> str:
    """Whose images are shown."""
    return who.user_id
