"""The schedule of faults and the liveness clock."""

from tests.chaos.faults import OF_ONE_REPLICA, WEIGHTS, Kind, schedule
from tests.chaos.liveness import LivenessClock


def test_the_same_seed_gives_the_same_faults() -> None:
    assert schedule(7, 400.0, 3) == schedule(7, 400.0, 3)
    assert schedule(7, 400.0, 3) != schedule(8, 400.0, 3)


def test_a_longer_run_begins_as_the_shorter_one() -> None:
    short = schedule(7, 60.0, 3)
    assert schedule(7, 400.0, 3)[: len(short)] == short


def test_every_kind_of_fault_has_its_share() -> None:
    faults = schedule(7, 4 * 60.0, 3)
    assert {fault.kind for fault in faults} == set(Kind) == set(WEIGHTS)
    assert all((fault.replica >= 0) == (fault.kind in OF_ONE_REPLICA) for fault in faults)
    assert {fault.replica for fault in faults} == {-1, 0, 1, 2}
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)


class _Now:
    """The time, as a test has it."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_the_liveness_clock_stops_while_nobody_can_work() -> None:
    now = _Now()
    clock = LivenessClock(2, now=now)
    now.time += 1
    with clock.during(Kind.POSTGRES_STOP, -1):
        now.time += 10
    now.time += 2
    assert clock.seconds == 3


def test_the_liveness_clock_goes_on_as_long_as_one_replica_is_left_alone() -> None:
    now = _Now()
    clock = LivenessClock(2, now=now)
    with clock.during(Kind.PAUSE, 0):
        now.time += 1
        with clock.during(Kind.KILL, 0):
            now.time += 1
        with clock.during(Kind.KILL, 1):
            now.time += 10
        now.time += 1
    assert clock.seconds == 3


def test_the_liveness_clock_does_not_mind_a_provider_that_fails() -> None:
    now = _Now()
    clock = LivenessClock(2, now=now)
    with clock.during(Kind.PROVIDER_BROKEN, -1):
        now.time += 5
    assert clock.seconds == 5
