"""The counting behind admission, by itself: exact at the limits, and never off by what went on before."""

import asyncio
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.admission import Admission, AdmissionLimits, CallKind
from state.errors import OverloadedError, QuotaExceededError
from state.violations import QuotaViolation

LIMITS = AdmissionLimits(max_streams=4, max_streams_per_user=2, max_calls=3, max_calls_per_user=1)
MOST = {CallKind.STREAM: (4, 2), CallKind.CALL: (3, 1)}
KINDS = pytest.mark.parametrize("kind", list(CallKind))


def fill(admission: Admission, kind: CallKind, *, places: ExitStack) -> None:
    """Take every place of a kind, each by a user of its own."""
    for number in range(MOST[kind][0]):
        places.enter_context(admission.admit(kind, f"user-{number}"))


@KINDS
async def test_a_user_gets_as_many_places_as_the_limit_and_not_one_more(kind: CallKind) -> None:
    admission, per_user = Admission(LIMITS), MOST[kind][1]
    with ExitStack() as places:
        for _ in range(per_user):
            places.enter_context(admission.admit(kind, "ann"))
        with pytest.raises(QuotaExceededError) as raised, admission.admit(kind, "ann"):
            pass
        with admission.admit(kind, "bob"):
            pass
    (violation,) = raised.value.details
    assert isinstance(violation, QuotaViolation)
    assert violation.subject == "user:ann"
    assert raised.value.metadata == {"limit": str(per_user)}
    assert raised.value.retry_after


@KINDS
async def test_all_users_together_get_as_many_places_as_the_limit(kind: CallKind) -> None:
    admission = Admission(LIMITS)
    with ExitStack() as places:
        fill(admission, kind, places=places)
        with pytest.raises(OverloadedError) as raised, admission.admit(kind, "one more"):
            pass
    assert raised.value.metadata == {"limit": str(MOST[kind][0])}
    assert raised.value.retry_after


@KINDS
async def test_a_user_at_the_limit_hears_of_it_also_when_the_server_is_full(kind: CallKind) -> None:
    admission = Admission(AdmissionLimits(1, 1, 1, 1))
    with (
        admission.admit(kind, "ann"),
        pytest.raises(QuotaExceededError),
        admission.admit(kind, "ann"),
    ):
        pass


async def test_streams_and_calls_take_nothing_from_each_other() -> None:
    admission = Admission(LIMITS)
    with ExitStack() as places:
        fill(admission, CallKind.STREAM, places=places)
        fill(admission, CallKind.CALL, places=places)


@KINDS
async def test_a_refusal_takes_no_place(kind: CallKind) -> None:
    admission = Admission(LIMITS)
    with ExitStack() as places:
        fill(admission, kind, places=places)
        for user in ("user-0", "one more"):
            with pytest.raises((QuotaExceededError, OverloadedError)), admission.admit(kind, user):
                pass
    with ExitStack() as places:
        fill(admission, kind, places=places)


async def test_it_is_idle_only_while_nothing_goes_on() -> None:
    admission = Admission(LIMITS)
    await asyncio.wait_for(admission.idle(), 1)
    with admission.admit(CallKind.STREAM, "ann"):
        with admission.admit(CallKind.CALL, "bob"):
            pass
        waiting = asyncio.create_task(admission.idle())
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)


class BrokenError(Exception):
    """How some blocks end."""


KIND = st.sampled_from(list(CallKind))
USER = st.sampled_from(["ann", "bob", "cy", ""])
ENDING = st.sampled_from([None, BrokenError(), asyncio.CancelledError()])
STEPS = st.lists(st.tuples(st.booleans(), KIND, USER, ENDING, st.integers(0, 100)), max_size=60)


@given(steps=STEPS)
def test_counts_never_drift(
    steps: list[tuple[bool, CallKind, str, BaseException | None, int]],
) -> None:
    """Blocks that begin and end in any order, well or badly, against a plain list of those that are open."""
    admission = Admission(LIMITS)
    taken: list[tuple[CallKind, str, ExitStack]] = []
    for begins, kind, user, ending, which in steps:
        if not begins:
            if taken:
                end(taken.pop(which % len(taken))[2], ending)
            continue
        in_all = sum(kind is other for other, _, _ in taken)
        of_user = sum((kind, user) == (other, name) for other, name, _ in taken)
        fits = in_all < MOST[kind][0] and of_user < MOST[kind][1]
        place = ExitStack()
        with suppress(QuotaExceededError, OverloadedError):
            place.enter_context(admission.admit(kind, user))
            taken.append((kind, user, place))
            assert fits
            continue
        assert not fits
    for _, _, place in taken:
        place.close()
    for kind in CallKind:
        with ExitStack() as places:
            fill(admission, kind, places=places)


def end(place: ExitStack, ending: BaseException | None) -> None:
    with suppress(BrokenError, asyncio.CancelledError), place:
        if ending is not None:
            raise ending
