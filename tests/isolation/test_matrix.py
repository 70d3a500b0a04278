"""Someone else's id is answered as one that never was, and so is what was deleted: every call, every id."""

import grpc
import pytest

from tests.harness.scale import report, scaled
from tests.isolation.asking import Asking
from tests.isolation.cases import CONFUSABLE, KEPT, RELATIONS, Case, Id, Whose, drawn, whole_matrix
from tests.isolation.kinds import METHODS, Kind, ids_of
from tests.isolation.world import STRANGER, VICTIM

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED = 20_261_122
CASES = 1000
_MAKING = ("StreamChat", "StartTask")
OWNED = sorted((name for name in METHODS if ids_of(name)), key=lambda name: (name in _MAKING, name))
"""Those that make conversations last: a name that a stranger has used is the stranger's too."""


def cases_of(asking: Asking, method: str) -> list[Case]:
    belongings = asking.world.belongings
    return whole_matrix(method, belongings[STRANGER], belongings[VICTIM])


async def check(asking: Asking, cases: list[Case]) -> None:
    """Ask all, and say all that is wrong at once."""
    found = [line for case in cases for line in await asking.wrong(case)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("method", OWNED)
async def test_no_id_of_a_call_finds_what_is_another_users(asking: Asking, method: str) -> None:
    await check(asking, cases_of(asking, method))


@pytest.mark.parametrize("method", OWNED)
async def test_every_id_is_in_the_matrix_in_every_relation(asking: Asking, method: str) -> None:
    there = {(path, one.whose) for case in cases_of(asking, method) for path, one in case.ids.items()}
    wanted = {(path, whose) for path in ids_of(method) for whose in RELATIONS}
    # Without authentication a name is as good as its proof; test_tokens.py has the rest.
    without = {Whose.OTHERS, Whose.DELETED} if method == KEPT else {Whose.OTHERS}
    assert wanted - there == {("user_id", whose) for whose in without}


@pytest.mark.parametrize("method", OWNED)
async def test_what_is_ones_own_is_found(asking: Asking, method: str) -> None:
    for path, kind in ids_of(method).items():
        answer, _ = await asking.answer(Case(method, {path: Id(Whose.OWN, kind)}), shadowed=False)
        # The key was used for another request, which shows that it was found.
        used = (grpc.StatusCode.ALREADY_EXISTS,) if kind is Kind.KEY else ()
        not_built = (grpc.StatusCode.UNIMPLEMENTED,) if path == "attachments.document_id" else ()
        assert answer.code in (grpc.StatusCode.OK, *used, *not_built), (path, answer.error)


@pytest.mark.parametrize("method", ["ListTasks", "GetPendingPermissions", "GetUsage"])
async def test_whoever_is_called_nearly_as_another_has_nothing_of_the_others(
    asking: Asking, method: str
) -> None:
    nobody, _ = await asking.answer(Case(method, {}, "nobody-at-all"), shadowed=False)
    victim, _ = await asking.answer(Case(method, {}, VICTIM), shadowed=False)
    assert victim.messages != nobody.messages
    for user in CONFUSABLE:
        answer, _ = await asking.answer(Case(method, {}, user), shadowed=False)
        assert (user, answer.messages) == (user, nobody.messages)


async def test_ids_in_pairs_and_crowds_find_nothing_either(asking: Asking) -> None:
    belongings = asking.world.belongings
    each = sum(len(cases_of(asking, method)) for method in OWNED)
    number = scaled(CASES) - each
    await check(asking, list(drawn(belongings[STRANGER], belongings[VICTIM], number, SEED)))
    report(f"isolation: {each} cases of one id, {number} of several")
