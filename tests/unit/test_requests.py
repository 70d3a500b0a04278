"""What of a request goes on to the run."""

import asyncio

import pytest

from orchestrator.codec.requests import chat_command
from protos import orchestrator_pb2 as pb
from state.errors import InvalidRequestError
from tests.harness.service import chat_request


async def test_what_is_left_of_the_deadline_goes_on() -> None:
    now = asyncio.get_running_loop().time()
    deadline = chat_command(chat_request(), 5.0).assignment.turn.deadline
    assert deadline == pytest.approx(now + 5.0, abs=1.0)


async def test_without_a_deadline_none_goes_on() -> None:
    assert chat_command(chat_request(), None).assignment.turn.deadline is None


async def test_a_run_that_outlives_its_caller_has_no_part_of_the_deadline() -> None:
    options = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)
    assert chat_command(chat_request(run_options=options), 5.0).assignment.turn.deadline is None


async def test_the_request_is_kept_as_it_came() -> None:
    request = chat_request(metadata={"a": "b"})
    assert pb.ChatRequest.FromString(chat_command(request, None).assignment.request) == request


def test_what_is_wrong_with_the_entries_of_a_map_is_told_in_the_order_of_their_keys() -> None:
    names = [f"hint-{number:02}" for number in range(20)]
    with pytest.raises(InvalidRequestError) as raised:
        chat_command(chat_request(metadata=dict.fromkeys(names, "\0")), None)
    assert [violation.field for violation in raised.value.violations] == [f"metadata.{n}" for n in names]
