"""What is a traceparent, and the scope that carries it."""

import asyncio

import pytest

from telemetry.scope import enter, scope, within
from telemetry.traceparent import checked, parts, written

GOOD = f"00-{'ab' * 16}-{'cd' * 8}-01"


def test_a_traceparent_is_read_as_it_was_written() -> None:
    found = parts(GOOD)
    assert found is not None
    assert written(*found) == checked(GOOD) == GOOD


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        GOOD + "\n",
        GOOD.upper(),
        GOOD.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-{'cd' * 8}-01",
        f"00-{'ab' * 16}-{'0' * 16}-01",
        GOOD + "-more",
    ],
)
def test_what_is_none_begins_a_new_trace(bad: str) -> None:
    assert (checked(bad), parts(bad)) == ("", None)


async def test_a_task_begins_with_the_scope_of_its_maker_and_changes_only_its_own() -> None:
    async def child() -> str:
        before = scope().run_id
        enter(run_id="inner")
        return before

    with within(run_id="outer", user="ann"):
        assert await asyncio.create_task(child()) == "outer"
        assert (scope().run_id, scope().user) == ("outer", "ann")
    assert scope().run_id == ""
