"""The event parser and the chunk reader on bytes, wherever they are cut."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import ReasoningDelta, TextDelta, ToolCallDelta
from providers.http.sse import BrokenStreamError, EventParser
from providers.openai_compatible.answer import OpenAIAnswer

ANYTHING = TextDelta | ReasoningDelta | ToolCallDelta
ANSWER = (
    b'data: {"id":"g1","model":"m1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"id":"g1","model":"m1","choices":[{"index":0,"delta":{"content":"'
    b'Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x8c\x8d"}}]}\n\n'
    b'data: {"id":"g1","model":"m1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"g1","model":"m1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)


def events(*received: bytes, max_bytes: int = 1000) -> list[bytes]:
    parser = EventParser(max_bytes=max_bytes)
    return [data for piece in received for data in parser.feed(piece)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(borders)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\ndata\n\n", [b"\n"]),
        (b": comment\n\n:\ndata: a\n\n", [b"a"]),
        (b"event: x\nid: 7\nretry: 9\ndata: a\n\n", [b"a"]),
        (b"event: x\n\ndata: a\n\n", [b"a"]),
        (b"\n\n\r\n", []),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    ],
)
def test_a_stream_gives_the_data_of_its_events(stream: bytes, expected: list[bytes]) -> None:
    assert events(stream) == expected


def test_an_event_without_its_blank_line_is_not_given() -> None:
    assert events(b"data: a\n\ndata: b\n") == [b"a"]


@pytest.mark.parametrize("line", [b"<html>", b"dta: a", b"error: {}", b"DATA: a", b"\xff\xfe"])
def test_a_line_with_an_unknown_field_breaks_the_stream_after_the_events_before_it(line: bytes) -> None:
    seen = EventParser().feed(b"data: a\n\n" + line + b"\n\ndata: b\n\n")
    assert next(seen) == b"a"
    with pytest.raises(BrokenStreamError):
        next(seen)


@pytest.mark.parametrize(
    "received",
    [
        pytest.param([b"data: " + b"x" * 100], id="an unfinished line"),
        pytest.param([b"x" * 10] * 11, id="an unfinished line in pieces"),
        pytest.param([b"data: " + b"x" * 100 + b"\n\n"], id="a line"),
        pytest.param([b"data: " + b"x" * 40 + b"\n"] * 3, id="an event of many lines"),
    ],
)
def test_an_event_over_the_limit_breaks_the_stream(received: list[bytes]) -> None:
    with pytest.raises(BrokenStreamError, match="too long"):
        events(*received, max_bytes=100)


def test_the_limit_is_of_one_event_not_of_the_stream() -> None:
    assert (
        len(events(b"data: " + b"x" * 90 + b"\n\n", *[b"data: " + b"y" * 90 + b"\n\n"] * 50, max_bytes=100))
        == 51
    )


_lines = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"])).map(str.encode)
_ends = st.sampled_from([b"\n", b"\r\n"])


@st.composite
def _streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A valid stream and the data of its events."""
    stream, expected = b"", []
    for data in draw(st.lists(st.lists(_lines, max_size=3), max_size=6)):
        noise = draw(st.lists(st.sampled_from([b": keep-alive", b":", b"event: e", b"id: 1"]), max_size=2))
        for line in noise + [b"data: " + line for line in data]:
            stream += line + draw(_ends)
        stream += draw(_ends)
        if data:
            expected.append(b"\n".join(data))
    return stream, expected


@given(_streams(), st.lists(st.integers(min_value=0), max_size=20))
def test_the_events_do_not_depend_on_where_the_bytes_are_cut(
    stream: tuple[bytes, list[bytes]], places: list[int]
) -> None:
    encoded, expected = stream
    assert events(*cut(encoded, places)) == expected
    assert events(*(bytes([byte]) for byte in encoded)) == expected


@given(st.lists(st.integers(min_value=0), max_size=20))
def test_the_answer_does_not_depend_on_where_the_bytes_are_cut(places: list[int]) -> None:
    answer = OpenAIAnswer("asked")
    deltas = [delta for piece in cut(ANSWER, places) for delta in answer.feed(piece)]
    assert deltas == [TextDelta("Grüße 🌍")]
    assert (answer.done, answer.generation_id, answer.model) == (True, "g1", "m1")
    tokens = answer.tokens()
    assert tokens is not None
    assert (tokens.input_tokens, tokens.output_tokens) == (3, 2)


@given(
    st.lists(st.tuples(st.integers(0, len(ANSWER) - 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.lists(st.integers(min_value=0), max_size=4),
)
def test_damaged_bytes_give_text_or_a_broken_stream_and_nothing_else(
    damages: list[tuple[int, int]], places: list[int]
) -> None:
    damaged = bytearray(ANSWER)
    for place, byte in damages:
        damaged[place] = byte
    answer = OpenAIAnswer("asked")
    try:
        deltas = [delta for piece in cut(bytes(damaged), places) for delta in answer.feed(piece)]
    except BrokenStreamError:
        return
    assert all(isinstance(delta, ANYTHING) for delta in deltas)
    answer.tokens()


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
_fields = ["id", "model", "object", "error", "usage", "choices"]


@given(st.dictionaries(st.sampled_from(_fields), _json), _json, _json, _json, st.booleans())
def test_a_chunk_of_any_form_gives_text_or_a_broken_stream(
    chunk: dict[str, object], content: object, reason: object, count: object, filled: bool
) -> None:
    if filled:
        chunk["choices"] = [{"delta": {"content": content, "reasoning": count}, "finish_reason": reason}]
        chunk["usage"] = {"prompt_tokens": 1, "completion_tokens": count, "prompt_tokens_details": content}
    answer = OpenAIAnswer("asked")
    try:
        deltas = list(answer.feed(b"data: " + orjson.dumps(chunk) + b"\n\n"))
    except BrokenStreamError:
        return
    assert all(delta.text for delta in deltas if isinstance(delta, TextDelta | ReasoningDelta))
    answer.tokens()


@pytest.mark.parametrize(
    "usage",
    [b"null", b"{}", b"[]", b'{"prompt_tokens":1}', b'{"prompt_tokens":1,"completion_tokens":-1}', b'"x"'],
)
def test_a_usage_that_is_no_count_is_none(usage: bytes) -> None:
    answer = OpenAIAnswer("asked")
    assert list(answer.feed(b'data: {"choices":[],"usage":' + usage + b"}\n\n")) == []
    assert answer.tokens() is None


def test_an_event_with_empty_data_is_skipped() -> None:
    assert list(OpenAIAnswer("asked").feed(b"data:\n\ndata: \n\n")) == []


@pytest.mark.parametrize("one", [b"data: a\n\n", b"data: \n\n", b"data: a\r\n\n"])
def test_one_whole_event_is_known_for_what_it_is_and_read_as_any_other(one: bytes) -> None:
    assert [EventParser().whole(one)] == list(EventParser().feed(one))


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"\n\n",
        b"data: a\n",
        b"data: a",
        b": a\n\n",
        b"data: a\n\ndata: b\n\n",
        b"data: a\ndata: b\n\n",
        b"data: " + b"a" * 16 + b"\n\n",
    ],
)
def test_whatever_is_not_one_whole_event_is_left_to_the_parser(other: bytes) -> None:
    assert EventParser(max_bytes=16).whole(other) is None


def test_nothing_is_whole_after_something_that_was_not() -> None:
    for first in (b"data: a", b"data: a\n"):
        parser = EventParser()
        assert list(parser.feed(first)) == []
        assert parser.whole(b"data: b\n\n") is None
