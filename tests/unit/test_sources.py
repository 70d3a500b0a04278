"""What counts as a source, and which marks in an answer cite one."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.citing import CitedText
from agents.events import AgentEvent, Channel, TextEmitted
from agents.images import StoredMessage
from agents.sources import Findings, findings


def found(*results: object) -> Findings:
    texts = [one if isinstance(one, str) else orjson.dumps(one).decode() for one in results]
    return findings([StoredMessage(role="tool", content=text) for text in texts])


def cite(known: int, *tokens: str) -> CitedText:
    out: list[AgentEvent] = []
    cited = CitedText(known, out.append)
    for token in tokens:
        cited(TextEmitted(token))
    cited.finish()
    assert "".join(event.text for event in out if isinstance(event, TextEmitted)) == cited.text
    return cited


def test_hits_and_pages_of_one_address_are_one_source_with_all_their_text() -> None:
    hit = {"results": [{"title": "Rain", "url": "https://a.org/rain", "snippet": "It rains."}]}
    page = {"url": "https://a.org/rain", "title": "", "content": "It rains all day."}
    document = {"results": [{"document_id": "d1", "filename": "rain.md", "content_preview": "Wet."}]}
    sources = found(hit, document, page).sources
    assert [one.citation for one in sources] == [
        {"id": "1", "uri": "https://a.org/rain", "title": "Rain"},
        {"id": "2", "title": "rain.md", "document_id": "d1"},
    ]
    assert sources[0].text == "It rains.\nIt rains all day."


@pytest.mark.parametrize(
    ("result", "uris"),
    [
        ("See https://a.org/x, and (https://b.org).", ["https://a.org/x", "https://b.org"]),
        ('{"url": "https://a.org/cut", "con [cut: the first 3 of 9 bytes]', ["https://a.org/cut"]),
        ({"url": "javascript:alert(1)", "title": "x"}, []),
        ({"url": 7, "uri": "ftp://a.org"}, []),
        ({"conditions": "sun"}, []),
        ("Not called. The person said no.", []),
    ],
)
def test_only_addresses_that_a_browser_opens_are_sources(result: object, uris: list[str]) -> None:
    assert [one.uri for one in found(result).sources] == uris


def test_what_names_no_source_is_shown_all_the_same() -> None:
    assert "The person said no" in found("Not called. The person said no.").shown(1000)
    assert "Nothing was found" in found().shown(1000)


def test_long_texts_are_cut_so_that_each_has_some_room() -> None:
    pages = [{"url": f"https://a.org/{n}", "content": f"{n}" * 9000} for n in range(9)]
    shown = found(*pages).shown(3000)
    assert len(shown) < 10_000
    assert all(f"[{n + 1}] https://a.org/{n}\n{n}{n}" in shown for n in range(9))


@pytest.mark.parametrize(
    ("said", "text", "cited", "dropped"),
    [
        ("Rain [1], sun [2].", "Rain [1], sun [2].", {1, 2}, 0),
        ("Rain [1, 9].", "Rain [1].", {1}, 1),
        ("Rain [9].", "Rain.", set(), 1),
        ("Rain[2][3]", "Rain[2]", {2}, 1),
        ("[0] [x] [1 [2024] [", " [x] [1 [2024] [", set(), 1),
    ],
)
def test_a_number_of_no_source_is_left_out_and_counted(
    said: str, text: str, cited: set[int], dropped: int
) -> None:
    for tokens in ([said], list(said)):
        out = cite(2, *tokens)
        assert (out.text, out.cited, out.dropped) == (text, cited, dropped)


@given(st.lists(st.text("[]123, ;x", max_size=6), max_size=8))
def test_how_a_text_is_cut_into_tokens_changes_nothing(tokens: list[str]) -> None:
    whole, pieces = cite(2, "".join(tokens)), cite(2, *tokens)
    assert (pieces.text, pieces.cited, pieces.dropped) == (whole.text, whole.cited, whole.dropped)


def test_reasoning_goes_through_as_it_is() -> None:
    out: list[AgentEvent] = []
    CitedText(0, out.append)(TextEmitted("see [9]", Channel.REASONING))
    assert out == [TextEmitted("see [9]", Channel.REASONING)]
