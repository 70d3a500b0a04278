"""With an embedding model documents are found by what they mean too; without it by their words."""

from backend.endpoint import EndpointOptions
from tests.backend.documents.backend import Backend, running
from tests.fakes.embeddings import EmbeddingsServer

CARS = "# Motoring\n\nThe automobile needs a new engine.\n"
CATS = "# Pets\n\nThe kitten sleeps.\n"


async def test_what_means_the_same_is_found(hybrid: Backend, embeddings: EmbeddingsServer) -> None:
    await hybrid.add("cars.md", CARS)
    await hybrid.add("cats.md", CATS)
    await hybrid.add("cars.md", CARS, user="bob")

    found = await hybrid.ask("SearchDocuments", query="car", limit=1)
    by_both = await hybrid.titles("sleeping cat")

    assert [hit.title for hit in found.results] == ["Motoring"]
    assert found.results[0].metadata["search"] == "hybrid"
    assert found.results[0].content_preview.startswith("The automobile")
    assert found.total_count == 2  # all that have a vector are near, more or less
    assert by_both[0] == "Pets"
    path, body = embeddings.ledger[0]
    assert (path, body) == (
        "/v1/embeddings",
        {"model": "meanings", "input": ["Motoring\nMotoring\n" + CARS[12:-1]]},
    )


async def test_what_a_query_demands_is_looked_up_by_words_only(hybrid: Backend) -> None:
    await hybrid.add("cars.md", CARS)

    assert await hybrid.titles("car -engine") == await hybrid.titles('"car"') == []
    assert await hybrid.titles("well-known car") == ["Motoring"]


async def test_filters_hold_for_meaning_too(hybrid: Backend) -> None:
    await hybrid.add("cars.md", CARS, tags=("old",))

    assert await hybrid.titles("vehicle", filters=["-old"]) == []
    assert await hybrid.titles("vehicle", filters=["old"]) == ["Motoring"]


async def test_words_are_enough_while_the_model_fails(hybrid: Backend, embeddings: EmbeddingsServer) -> None:
    embeddings.status = 503
    await hybrid.add("cars.md", CARS)
    found = await hybrid.ask("SearchDocuments", query="automobile")
    missed = await hybrid.titles("car")
    embeddings.status = 200
    await hybrid.add("cats.md", CATS)

    assert [hit.metadata["search"] for hit in found.results] == ["full_text"]
    assert missed == []
    assert (await hybrid.titles("car"))[0] == "Motoring"  # its vector was made up for


async def test_another_models_vectors_are_not_compared(
    backend_dsn: str, schema: str, embeddings: EmbeddingsServer
) -> None:
    first, second = (EndpointOptions(embeddings.base_url, name) for name in ("one", "two"))
    async with running(backend_dsn, schema=schema, embeddings=first) as backend:
        await backend.add("cars.md", CARS)
    async with running(backend_dsn, schema=schema, embeddings=second) as backend:
        before = await backend.titles("car")
        await backend.add("cats.md", CATS)
        after = await backend.titles("car")

    assert (before, after[0]) == ([], "Motoring")


async def test_no_model_no_vectors(backend: Backend, embeddings: EmbeddingsServer) -> None:
    await backend.add("cars.md", CARS)

    assert await backend.titles("car") == []
    assert embeddings.ledger == []
