"""The alarm: a time that mostly moves on, for which one timer is enough."""

import asyncio
from collections.abc import Callable

from state.alarm import Alarm


async def rung(set_up: Callable[[Alarm, Callable[[], object]], None], seconds: float = 5.0) -> float | None:
    """How long it took the alarm to ring; None when it has not within `seconds`."""
    loop, rang = asyncio.get_running_loop(), asyncio.Event()
    began = loop.time()
    set_up(Alarm(), rang.set)
    try:
        await asyncio.wait_for(rang.wait(), seconds)
    except TimeoutError:
        return None
    return loop.time() - began


async def test_it_rings_in_time() -> None:
    took = await rung(lambda alarm, ring: alarm.ring_in(0.05, ring))
    assert took is not None
    assert took >= 0.05


async def test_a_time_that_moves_on_is_rung_at_and_the_first_is_not() -> None:
    def moved(alarm: Alarm, ring: Callable[[], object]) -> None:
        alarm.ring_in(0.02, ring)
        alarm.ring_in(0.1, ring)

    took = await rung(moved)
    assert took is not None
    assert took >= 0.1


async def test_a_time_that_moves_back_is_rung_at() -> None:
    def moved(alarm: Alarm, ring: Callable[[], object]) -> None:
        alarm.ring_in(60, ring)
        alarm.ring_in(0.02, ring)

    assert await rung(moved) is not None


async def test_what_is_off_or_closed_does_not_ring_until_it_is_set_again() -> None:
    def off(alarm: Alarm, ring: Callable[[], object]) -> None:
        alarm.ring_in(0.02, ring)
        alarm.off()

    def closed(alarm: Alarm, ring: Callable[[], object]) -> None:
        alarm.ring_in(0.02, ring)
        alarm.close()

    def again(alarm: Alarm, ring: Callable[[], object]) -> None:
        closed(alarm, ring)
        alarm.ring_in(0.03, ring)

    assert await rung(off, 0.1) is None
    assert await rung(closed, 0.1) is None
    assert await rung(again) is not None


async def test_it_rings_once() -> None:
    rings: list[float] = []
    alarm = Alarm()
    alarm.ring_in(0.01, lambda: rings.append(0.01))
    await asyncio.sleep(0.05)
    assert rings == [0.01]


async def test_a_thousand_settings_take_one_timer() -> None:
    """As the tokens of a stream do, each of which moves the time on."""
    alarm = Alarm()
    alarm.ring_in(60, lambda: None)
    timer = alarm._timer
    for _ in range(1000):
        alarm.off()
        alarm.ring_in(60, lambda: None)
    assert alarm._timer is timer
    alarm.close()
