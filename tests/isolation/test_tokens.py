"""The same with callers who prove who they are: whose token it is decides, and no `user_id` changes that."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from tests.harness.identity import AuthenticatedService, Issuer, authenticated_service
from tests.harness.postgres import fresh_database
from tests.harness.scale import scaled
from tests.isolation.asking import Asking, Metadata, Prove
from tests.isolation.cases import Case, Id, Whose, drawn, whole_matrix
from tests.isolation.kinds import METHODS, Kind, ids_of
from tests.isolation.requests import NEEDS
from tests.isolation.witness import Witness, witnessing
from tests.isolation.world import STRANGER, VICTIM, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CASES = 100
OWNED = sorted(name for name in METHODS if ids_of(name))


class Closed:
    """A second service on the world's database, which wants to know who calls."""

    def __init__(self, world: World, witness: Witness, service: AuthenticatedService, issuer: Issuer) -> None:
        self.world = world
        self._witness = witness
        self._service = service
        self._issuer = issuer

    def asking(self, how: str) -> Asking:
        """Callers who prove who they are in one of the ways of PROOFS."""
        return Asking(self.world, self._witness, self._service.stub, self._proof(how))

    def _proof(self, how: str) -> Prove:
        proofs: dict[str, Prove] = {
            "a user's token": lambda user: ("", self._bearer(self._issuer.token(user))),
            "a user's token and the user": lambda user: (user, self._bearer(self._issuer.token(user))),
            "a service for everybody": lambda user: (user, self._bearer(self._service.tokens["backend"])),
            "a service for others": lambda user: (user, self._bearer(self._service.tokens["batch"])),
            "no token": lambda user: (user, ()),
        }
        return proofs[how]

    def _bearer(self, token: str) -> Metadata:
        return (("authorization", f"Bearer {token}"),)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def closed(server_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Closed]:
    issuer, folder = Issuer(), Path(tmp_path_factory.mktemp("identities"))
    async with (
        fresh_database(server_dsn) as dsn,
        open_world(dsn) as world,
        authenticated_service(dsn, world.service.provider, folder, issuer, **world.alike) as service,
        witnessing(world) as witness,
    ):
        yield Closed(world, witness, service, issuer)


@pytest.mark.parametrize("how", ["a user's token", "a user's token and the user", "a service for everybody"])
async def test_who_is_let_in_finds_nothing_of_another_user(closed: Closed, how: str) -> None:
    asking, belongings = closed.asking(how), closed.world.belongings
    cases = drawn(belongings[STRANGER], belongings[VICTIM], scaled(CASES), seed=len(how))
    found = [line for case in cases for line in await asking.wrong(case)]
    assert not found, "\n".join(found)


async def test_a_token_finds_what_is_its_users(closed: Closed) -> None:
    asking = closed.asking("a user's token")
    for method in OWNED:
        if method in ("StreamChat", "StartTask", "ListTasks", "GetUsage", "GetPendingPermissions"):
            continue
        path = NEEDS[method][0]
        own = Case(method, {path: Id(Whose.OWN, ids_of(method)[path])})
        assert (await asking.answer(own, shadowed=False))[0].ok, method


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("a user's token", grpc.StatusCode.PERMISSION_DENIED),
        ("no token", grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_another_users_name_is_refused_whatever_is_named_beside(
    closed: Closed, how: str, code: grpc.StatusCode
) -> None:
    asking, belongings = closed.asking(how), closed.world.belongings
    for method in OWNED:
        as_victim = Id(Whose.OTHERS, Kind.USER, VICTIM)
        for case in [Case(method, {}), *whole_matrix(method, belongings[STRANGER], belongings[VICTIM])[:20]]:
            named = Case(method, {**case.ids, "user_id": as_victim}, STRANGER)
            assert (await asking.answer(named, shadowed=False))[0].code is code, named
            assert await asking.wrong(named) == []


async def test_a_service_acts_for_none_but_its_users(closed: Closed) -> None:
    asking, victim = closed.asking("a service for others"), closed.world.belongings[VICTIM]
    for method in OWNED:
        ids = {path: Id(Whose.OTHERS, kind, victim.has[kind][0]) for path, kind in ids_of(method).items()
               if kind not in (Kind.USER, Kind.NOTHING)}  # fmt: skip
        answer, _ = await asking.answer(Case(method, ids), shadowed=False)
        assert answer.code is grpc.StatusCode.PERMISSION_DENIED, method
        assert await asking.wrong(Case(method, ids)) == []
