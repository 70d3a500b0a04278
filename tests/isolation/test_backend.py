"""The reference backend's REST routes with ids: another user's are answered as ids that never were."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio
from fastapi.routing import APIRoute

from backend.app import known_routers, open_routers
from backend.settings import User
from tests.backend.first.reading import TOKENS, Browser, Browsers
from tests.backend.first.running import Running, running_backend, settings_of
from tests.harness.postgres import fresh_database
from tests.isolation.asking import Asking, open_asking
from tests.isolation.kinds import Kind, ids_of
from tests.isolation.world import STRANGER, VICTIM, canary, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

_TOKENS = {VICTIM: TOKENS[VICTIM], STRANGER: "mallorys-token"}
Route = tuple[str, str]
ROUTES: Mapping[Route, tuple[str, Mapping[str, Kind]]] = {
    ("GET", "/chat/{run_id}/events"): ("ResumeStream", {"run_id": Kind.RUN}),
    ("GET", "/tasks"): ("ListTasks", {"conversation_id": Kind.CONVERSATION, "label": Kind.LABEL}),
    ("GET", "/tasks/{task_id}"): ("GetTaskStatus", {"task_id": Kind.RUN}),
    ("DELETE", "/tasks/{task_id}"): ("CancelTask", {"task_id": Kind.RUN}),
    ("GET", "/tasks/{task_id}/events"): ("WatchTask", {"task_id": Kind.RUN}),
    ("GET", "/permissions"): (
        "GetPendingPermissions",
        {"conversation_id": Kind.CONVERSATION, "run_id": Kind.RUN},
    ),
    ("POST", "/permissions/{permission_id}"): ("ApprovePermission", {"permission_id": Kind.PERMISSION}),
    ("GET", "/conversations/{conversation_id}/checkpoints"): (
        "ListCheckpoints",
        {"conversation_id": Kind.CONVERSATION},
    ),
    ("DELETE", "/conversations/{conversation_id}"): (
        "DeleteConversation",
        {"conversation_id": Kind.CONVERSATION},
    ),
}
"""The routes whose path or query holds an id, and the RPC behind each."""
BODIES = {("POST", "/chat"): "StreamChat", ("POST", "/tasks"): "StartTask"}
"""Those whose body is a request of the contract."""
WITHOUT_IDS = {
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"),
    ("POST", "/session"), ("DELETE", "/session"), ("GET", "/session"),
    ("GET", "/"), ("GET", "/console/session"), ("GET", "/console/{name:path}"),
    ("GET", "/providers"), ("GET", "/rollout"), ("POST", "/rollout/halt"), ("POST", "/rollout/release"),
    ("PUT", "/rollout/percentage"),
}  # fmt: skip
"""`name` is a file of the console. Images, where they are on, are in tests/backend/web/test_images.py."""
_NO_IDS = {"limit", "state", "name", "after", "last-event-id"}


class Rest:
    """The backend in front of the world's service."""

    def __init__(self, asking: Asking, backend: Running, browser: Browser) -> None:
        self.asking = asking
        self.backend = backend
        self._browser = browser

    async def answer(
        self, user: str, route: Route, values: Mapping[str, str], body: Any = None
    ) -> tuple[int, str]:
        """Status and text, in which what was sent is only shown to be there."""
        method, path = route
        asked = {name: value for name, value in values.items() if f"{{{name}}}" not in path}
        query = "&".join(f"{name}={_query(name, value)}" for name, value in asked.items())
        path = f"{path.format(**values)}?{query}"
        if route == ("POST", "/permissions/{permission_id}"):
            body = {"decision": "deny"}
        proof = {"Authorization": f"Bearer {_TOKENS[user]}"}
        status, said, _ = await self._browser.call(method, path, body, **proof)
        text = str(said)
        for value in values.values():
            text = text.replace(value, "<sent>")
        return status, text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(server_dsn: str) -> AsyncIterator[Rest]:
    async with (
        fresh_database(server_dsn) as dsn,
        open_world(dsn) as world,
        open_asking(world) as asking,
        _backend(world.service.port) as backend,
        Browsers() as browsers,
    ):
        yield Rest(asking, backend, browsers.at(backend.address, ""))


@asynccontextmanager
async def _backend(port: int) -> AsyncIterator[Running]:
    stranger = User(tokens=(sha256(_TOKENS[STRANGER].encode()).hexdigest(),))
    async with running_backend(settings_of(f"127.0.0.1:{port}", users={STRANGER: stranger})) as backend:
        yield backend


def _query(name: str, value: str) -> str:
    return f"project:{value}" if name == "label" else value


def _routes(rest: Rest) -> Iterator[tuple[Route, APIRoute]]:
    for router in (*open_routers(rest.backend.parts), *known_routers(rest.backend.parts)):
        for route in router.routes:
            assert isinstance(route, APIRoute)
            for method in route.methods or ():
                yield (method, route.path), route


async def test_every_route_and_each_of_its_parameters_is_in_the_matrix(rest: Rest) -> None:
    found = dict(_routes(rest))
    assert set(found) == {*ROUTES, *BODIES, *WITHOUT_IDS}
    for name, route in found.items():
        parameters = {p.alias for p in (*route.dependant.path_params, *route.dependant.query_params)}
        ids = set(ROUTES[name][1]) if name in ROUTES else set()
        assert parameters - _NO_IDS == ids, name


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_a_route_finds_nothing_of_another_users(rest: Rest, route: Route) -> None:
    belongings, shadow = rest.asking.world.belongings, rest.asking.shadow
    rpc, parameters = ROUTES[route]
    for name, kind in parameters.items():
        victims = [*belongings[VICTIM].has[kind], *belongings[VICTIM].deleted[kind]]
        gone = belongings[STRANGER].deleted[kind]
        for value in {*victims, *gone} - {*belongings[STRANGER].has[kind]}:
            before = await rest.asking.rows(VICTIM)
            answer = await rest.answer(STRANGER, route, {name: value})
            assert answer == await rest.answer(STRANGER, route, {name: shadow(value)})
            assert canary(VICTIM) not in answer[1]
            assert await rest.asking.rows(VICTIM) == before
        own = await rest.asking.world.something(STRANGER, kind, rpc)
        status, _ = await rest.answer(STRANGER, route, {name: own})
        assert status < 300


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
async def test_an_id_in_a_body_finds_nothing_of_another_users(rest: Rest, route: Route) -> None:
    belongings, shadow = rest.asking.world.belongings, rest.asking.shadow
    for path, kind in ids_of(BODIES[route]).items():
        if "." in path or kind in (Kind.USER, Kind.NOTHING):
            continue
        for value in set(belongings[VICTIM].has[kind]) - set(belongings[STRANGER].has[kind]):
            before = await rest.asking.rows(VICTIM)
            status, said = await rest.answer(STRANGER, route, {}, {"query": "hello", path: value})
            never, _ = await rest.answer(STRANGER, route, {}, {"query": "hello", path: shadow(value)})
            assert status == never
            assert canary(VICTIM) not in said
            assert await rest.asking.rows(VICTIM) == before
