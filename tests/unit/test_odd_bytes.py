"""What the fuzzers have found, each once: odd bytes that ended in an error without a name, or in none."""

import base64
import time
from itertools import pairwise
from uuid import UUID

import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from agents.calls import speakable_arguments
from agents.loader import CatalogError, parse_agent
from agents.remote.chunks import heard
from agents.sources import findings
from llm_orchestrator_client.events import PermissionRequested, ToolResult, event_of
from llm_orchestrator_client.protos import orchestrator_pb2 as client_pb
from llm_orchestrator_client.rollout.flag_file import document_of
from orchestrator.codec import approvals, pages, tasks
from protos import orchestrator_pb2 as pb
from providers.gemini.answer import GeminiAnswer
from providers.http.sse import BrokenStreamError, EventParser
from providers.openai_compatible.answer import OpenAIAnswer
from state.errors import InvalidRequestError
from tools.gateway.specs import plain

AFTER_ALL_TIME = Timestamp(seconds=2**62)
SOME_ID = UUID(int=1).hex


def token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 20_000, id="nested without end"),
        pytest.param('["x", "\\ud800"]', id="half of a surrogate pair"),
    ],
)
def test_a_made_up_page_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        pages.page_position("x", token(text))


@pytest.mark.parametrize("moment", ["2026-01-02T03:04:05", "0001-01-01T00:00:00+23:59"])
def test_a_position_without_a_zone_or_before_all_time_is_refused(moment: str) -> None:
    with pytest.raises(InvalidRequestError):
        pages.moment_and_id(f"{moment} {SOME_ID}")


def test_a_time_that_is_none_is_a_field_that_is_wrong() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        tasks.listing(pb.ListTasksRequest(user_id="u", created_after=AFTER_ALL_TIME))
    assert refused.value.violations[0].field == "created_after"
    with pytest.raises(InvalidRequestError) as refused:
        tasks.start_command(pb.TaskRequest(user_id="u", query="q", not_before=AFTER_ALL_TIME))
    assert refused.value.violations[0].field == "not_before"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_edited_arguments_hold_no_number_that_json_has_not(number: float) -> None:
    request = pb.PermissionApproval(user_id="u", permission_id="p", approval_decision="approved")
    request.edited_arguments["n"] = number
    with pytest.raises(InvalidRequestError) as refused:
        approvals.approval_command(request)
    assert refused.value.violations[0].field == "edited_arguments"


@pytest.mark.parametrize(
    "value", ["2001-99-99", "!!int x", "!!bool x", "!!timestamp x", "!!float x", "[" * 500, "1" * 5000]
)
def test_a_value_that_its_tag_does_not_fit_is_a_wrong_agent_file(value: str) -> None:
    with pytest.raises(CatalogError, match=r"^a\.md: "):
        parse_agent("a.md", f"---\nname: {value}\n---\nprompt".encode())


def test_arguments_of_gemini_that_are_nested_too_deeply_break_the_stream() -> None:
    deep = b'{"functionCall":{"name":"a","args":{"a":' + b"[" * 400 + b"]" * 400 + b"}}}"
    with pytest.raises(BrokenStreamError, match="nested"):
        list(GeminiAnswer("m").feed(b'data: {"candidates":[{"content":{"parts":[' + deep + b"]}}]}\n\n"))


def test_the_name_of_a_model_holds_no_nul() -> None:
    answer = OpenAIAnswer("asked")
    list(answer.feed(b'data: {"id":"g\\u0000","model":"m\\u0000"}\n\n'))
    assert (answer.generation_id, answer.model) == ("g", "m")


def test_nor_does_that_of_a_remote_s_model() -> None:
    chunk = pb.ChatChunk()
    chunk.usage.by_model.add(model="m\0", input_tokens=1)
    (used,) = heard(chunk, "there", "EUR")
    assert "\0" not in orjson.dumps(used.usage.plain()).decode().replace("\\u0000", "\0")  # type: ignore[union-attr]


@pytest.mark.parametrize("pieces", [[58], [57, 58], list(range(60))])
def test_the_limit_of_an_event_does_not_count_the_end_of_its_line(pieces: list[int]) -> None:
    stream, parser = b"data: " + b"x" * 50 + b"\r\n\r\n", EventParser(max_bytes=56)
    borders = [0, *pieces, len(stream)]
    found = [one for start, end in pairwise(borders) for one in parser.feed(stream[start:end])]
    assert found == [b"x" * 50]


def test_an_event_of_empty_lines_is_joined_in_a_time_that_grows_with_their_number() -> None:
    def seconds(lines: int) -> float:
        began = time.process_time()
        list(EventParser().feed(b"data\n" * lines + b"\n"))
        return time.process_time() - began

    few = min(seconds(25_000) for _ in range(3))
    assert seconds(200_000) < 40 * few  # 8 times the lines; copied each time it would be 64 times


def test_arguments_with_half_of_a_surrogate_pair_are_shown_to_the_model_again() -> None:
    assert orjson.loads(speakable_arguments("\ud800")) == {"invalid_json": "?"}


def test_a_number_in_a_struct_that_is_beyond_exact_stays_a_float() -> None:
    struct = pb.ToolCall().arguments
    struct.update({"huge": 1e300, "whole": 3.0})
    assert plain(struct) == {"huge": 1e300, "whole": 3}
    orjson.dumps(plain(struct))


def test_a_result_that_is_nested_deeply_still_names_its_sources_in_order() -> None:
    deep = "[" * 1000 + '{"url": "https://a.example/"}' + "]" * 1000
    (source,) = findings([{"role": "tool", "content": deep}]).sources
    assert source.uri == "https://a.example/"
    both = '{"x": [{"url": "https://a.example/"}], "y": {"url": "https://b.example/"}}'
    assert [s.uri for s in findings([{"role": "tool", "content": both}]).sources] == [
        "https://a.example/",
        "https://b.example/",
    ]


def test_a_client_reads_times_and_durations_that_python_has_not_as_none() -> None:
    chunk = client_pb.ChatChunk()
    chunk.permission_requested.permission.expire_time.seconds = 2**62
    asked = event_of(chunk)
    assert isinstance(asked, PermissionRequested)
    assert asked.permission.expire_time is None
    chunk.tool_result.elapsed.seconds = 2**62
    result = event_of(chunk)
    assert isinstance(result, ToolResult)
    assert result.elapsed is None


def test_a_flag_file_that_is_nested_without_end_is_no_flag_file() -> None:
    with pytest.raises(ValueError, match="nested"):
        document_of(b'{"flags": ' + b"[" * 20_000)
