"""Documents are stored as they are, once, and read back; huge ones too."""

import pytest

from backend.ingest.documents import MOST_BYTES, MOST_PASSAGES, DocumentRefusedError, document_of
from backend.ingest.passages import LONGEST
from tests.backend.documents.backend import Backend


async def test_a_document_and_its_text(backend: Backend) -> None:
    text = "---\ntitle: On Roses\nauthor: Ann Lee\ntags: [Garden, notes]\nyear: 2026\n---\nThey *grow*.\n"
    document_id = await backend.add("roses.md", text)

    about = await backend.ask("GetDocument", document_id=document_id)
    content = await backend.ask("GetDocumentContent", document_id=document_id)

    assert (about.title, about.filename, about.content_type) == ("On Roses", "roses.md", "text/markdown")
    assert dict(about.metadata) == {"author": "Ann Lee", "year": "2026", "tags": "garden, notes"}
    assert (content.document_id, content.content, content.format) == (document_id, text, "markdown")


async def test_of_a_page_the_visible_text_is_found(backend: Backend) -> None:
    page = (
        "<html><head><title>Tides</title><style>.hidden{}</style></head><body><script>evil()</script>"
        "<h2>Moon</h2><p>The <b>moon</b> pulls the sea.</p><p>Twice a day &amp; night.</p></body></html>"
    )
    await backend.add("tides.html", page)

    found = (await backend.ask("SearchDocuments", query="moon sea")).results[0]

    assert (found.title, found.metadata["heading"]) == ("Tides", "Moon")
    assert await backend.titles("evil") == await backend.titles("hidden") == []
    assert (await backend.ask("GetDocumentContent", document_id=found.document_id)).content == page


async def test_the_same_file_again_is_the_same_document(backend: Backend) -> None:
    first = await backend.add("a.md", "# One\n\nfirst words")
    again = await backend.add("a.md", "# One\n\nfirst words")
    rows = await backend.count("passages")
    changed = await backend.add("a.md", "# Two\n\nsecond words")
    of_bob = await backend.add("a.md", "# Bob\n\nfirst words", user="bob")

    assert first == again == changed != of_bob
    assert rows == 1
    assert await backend.titles("first") == []
    assert await backend.titles("second") == ["Two"]


async def test_a_huge_document_is_found_to_its_last_word(backend: Backend) -> None:
    line = "All work and no play makes a dull document. "
    text = "start " + line * 40_000 + ("x" * 5000) + " zyzzyva"
    document_id = await backend.add("huge.txt", text)

    assert await backend.titles("zyzzyva") == ["huge.txt"]
    assert (await backend.ask("GetDocumentContent", document_id=document_id)).content == text
    assert (await backend.ask("SearchDocuments", query="dull")).total_count == 1


async def test_what_cannot_be_stored_is_refused(backend: Backend) -> None:
    for name, text in (("", "a"), ("n" * 501, "a"), ("a", "x" * (MOST_BYTES + 1)), ("a", "b\0c")):
        with pytest.raises(DocumentRefusedError):
            await backend.add(name, text)
    assert await backend.count("documents") == 0


STRANGE = [
    "tags: [unclosed",
    "- a list",
    "title: {a: {b: c}}",
    'author: "nul \\0 and half \\ud800"',
    "a: &a [1, 2]\nb: [*a, *a]",
    "!!python/object/apply:os.system ['true']",
    "x" * 20_000,
]


async def test_strange_front_matter_does_no_harm(backend: Backend) -> None:
    for number, matter in enumerate(STRANGE):
        await backend.add(f"{number}.md", f"---\n{matter}\n---\nhippopotamus\n")

    assert len(await backend.titles("hippopotamus")) == len(STRANGE)


async def test_an_empty_document_is_one(backend: Backend) -> None:
    document_id = await backend.add("empty.txt", "")

    assert (await backend.ask("GetDocumentContent", document_id=document_id)).content == ""
    assert await backend.titles("empty") == []


SHAPES = [
    "# " + "#" * 1_000_000 + "x\nend",
    "word " * 300_000 + "end",
    "x" * 2_000_000,
    "<" * 100_000 + "end",
    "<p>" * 100_000 + "end",
    "&#x" * 100_000 + " end",
    "---\n" + "[" * 10_000 + "\n---\nend",
    "```\n" * 100_000 + "end",
    "\n" * 1_000_000 + "end",
]


def test_no_shape_of_a_text_takes_forever() -> None:
    for shape in SHAPES:
        for name in ("a.md", "a.html", "a.txt"):
            assert all(len(one.body) <= LONGEST for one in document_of(name, shape).passages)


def test_a_text_has_not_more_passages_than_can_be_kept() -> None:
    with pytest.raises(DocumentRefusedError):
        document_of("a.md", "# a\nb\n# b\nb\n" * MOST_PASSAGES)


def test_passages_keep_to_headings_and_lose_no_word() -> None:
    text = (
        "intro\n\n# One ##\n\nfirst\n```\n# no heading\n\n```\nsecond\n\n## C#\nthird. " + "long word, " * 300
    )

    found = document_of("a.md", text).passages

    assert [one.heading for one in found] == ["", "One", "C#", "C#", "C#"]
    assert "# no heading" in found[1].body
    assert " ".join(one.body for one in found[2:]).split() == text.partition("C#")[2].split()
