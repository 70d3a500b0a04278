"""Documents are found by their words: ranked, narrowed, bounded, whatever a query holds."""

from typing import Any

from tests.backend.documents.backend import Backend

ROSES = "# Roses\n\nCut them in March, when the frost is over.\n"
DIARY = "# Diary\n\nThe neighbour's roses are red. It rained all day and the cat slept.\n"
TAXES = "---\nauthor: Ann Lee\nyear: 2026\n---\n# Taxes\n\nThe form is due in March.\n"


async def fill(backend: Backend) -> None:
    await backend.add("roses.md", ROSES, tags=("garden",))
    await backend.add("diary.md", DIARY, tags=("private",))
    await backend.add(
        "taxes.md", "---\nauthor: Ann Lee\nyear: 2026\n---\n" + TAXES, tags=("private", "money")
    )


async def test_a_title_counts_for_more_than_mentions(backend: Backend) -> None:
    await fill(backend)
    await backend.add("poem.md", "---\ntitle: On tulips\n---\nRed they are, and more than one.\n")
    await backend.add("list.md", "---\ntitle: Flowers\n---\nA tulip, another tulip, tulips.\n")

    assert await backend.titles("rose") == ["Roses", "Diary"]
    assert await backend.titles("tulips") == ["On tulips", "Flowers"]


async def test_what_has_all_the_words_comes_before_what_has_some(backend: Backend) -> None:
    await fill(backend)

    assert (await backend.titles("form March"))[0] == "Taxes"
    assert (await backend.titles("cutting in the frost of March"))[0] == "Roses"
    assert set(await backend.titles("cat frost")) == {"Roses", "Diary"}


async def test_quotes_minus_and_or_mean_what_they_mean_in_web_searches(backend: Backend) -> None:
    await fill(backend)

    assert await backend.titles('"roses are red"') == ["Diary"]
    assert await backend.titles('"red are roses"') == []
    assert await backend.titles("march -frost") == ["Taxes"]
    assert set(await backend.titles("frost or rained")) == {"Roses", "Diary"}


async def test_a_hit_shows_the_passage_with_its_words_marked(backend: Backend) -> None:
    filler = "\n\n".join(f"Paragraph {n} says nothing of interest to anybody at all." for n in range(200))
    await backend.add("long.md", f"# Long\n\n{filler}\n\n## Whales\n\nA narwhal has one tusk.\n\n{filler}")

    found = (await backend.ask("SearchDocuments", query="narwhals")).results[0]

    assert "**narwhal** has one tusk." in found.content_preview
    assert found.metadata["heading"] == "Whales"
    assert found.metadata["search"] == "full_text"
    assert 0 < found.relevance_score < 1


async def test_the_total_counts_beyond_the_limit(backend: Backend) -> None:
    for number in range(12):
        await backend.add(f"{number}.txt", f"apple number {number}")

    found = await backend.ask("SearchDocuments", query="apple", limit=5)
    unsaid = await backend.ask("SearchDocuments", query="apple")

    assert (len(found.results), found.total_count) == (5, 12)
    assert len(unsaid.results) == 10


FILTERS: list[tuple[list[str], set[str]]] = [
    (["tag:private"], {"Diary", "Taxes"}),
    (["private", "money"], {"Taxes"}),
    (["tag:private", "-tag:money"], {"Diary"}),
    (["author:lee"], {"Taxes"}),
    (["-year:2026", "format:markdown"], {"Roses", "Diary"}),
    (["filename:rose"], {"Roses"}),
    (["tag:nothing"], set()),
]


async def test_filters_narrow_a_search(backend: Backend) -> None:
    await fill(backend)

    for filters, titles in FILTERS:
        assert set(await backend.titles("march or rained", filters=filters)) == titles
        assert set(await backend.titles("", filters=filters)) == titles


async def test_tags_are_listed_with_how_many_have_them(backend: Backend) -> None:
    await fill(backend)

    found = await backend.invoke("list_document_tags")

    assert [(one["tag"], one["documents"]) for one in found["tags"]] == [
        ("private", 2),
        ("garden", 1),
        ("money", 1),
    ]


NONE: list[dict[str, Any]] = [
    {"query": ""},
    {"query": "x" * 1001},
    {"query": "a", "filters": ["tag:"]},
    {"query": "a", "filters": ["x"] * 21},
    {"query": "a", "limit": -1},
]


async def test_what_is_no_search_is_refused(backend: Backend) -> None:
    for fields in NONE:
        assert (await backend.refused("SearchDocuments", **fields)).code.name == "INVALID_ARGUMENT"


NASTY = [
    "'; DROP TABLE documents; --",
    '" OR 1=1 --',
    "a' & !!! | (((",
    "<-> & | ! :*",
    '"""""',
    "$1 $2 %s {0} \\",
    "http://x.example/?a=1&b=2&c='d' rose",
    "null\0byte rose",
    "OR OR AND NOT - - -",
    "rose:*A & canary",
    "\u202e\U0001f339 rose 玫瑰",
    "the and of",
    "-",
]


async def test_no_query_breaks_out(backend: Backend) -> None:
    await fill(backend)
    await backend.add("secret.md", "# Bob's\n\nrose canary drop table", user="bob")

    for query in NASTY:
        assert "Bob's" not in await backend.titles(query, filters=["-tag:nothing"])
        assert "Bob's" not in await backend.titles("rose", filters=[f"author:{query}".replace("\0", "")])
    assert await backend.count("documents") == 4


async def test_stop_words_alone_find_nothing(backend: Backend) -> None:
    await fill(backend)

    assert await backend.titles("the and of") == []
