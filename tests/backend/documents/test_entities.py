"""Entities are what documents declare; documents that name one in their text are related too."""

from tests.backend.documents.backend import Backend

SPEECH = "---\nauthor: Abraham Lincoln\nplaces: [Gettysburg]\n---\n# The speech\n\nFour score.\n"
LETTER = "---\npeople: [abraham lincoln, Mary Todd]\n---\n# A letter\n\nDear Mary.\n"
GUIDE = "# A guide\n\nAt Gettysburg there is a memorial to Abraham\nLincoln. Nobody was in Washington.\n"


async def fill(backend: Backend) -> dict[str, str]:
    files = {"speech.md": SPEECH, "letter.md": LETTER, "guide.md": GUIDE}
    return {name: await backend.add(name, text) for name, text in files.items()}


async def test_only_what_a_document_declares_is_an_entity(backend: Backend) -> None:
    await fill(backend)

    people = await backend.ask("SearchEntities", query="", entity_types=["Person"])
    places = await backend.ask("SearchEntities", query="gettysburg")
    guessed = await backend.ask("SearchEntities", query="Washington")
    asked = await backend.ask("SearchEntities", query="what did Mary Todd think of it?")
    part = await backend.ask("SearchEntities", query="incol")

    assert [one.name for one in people.entities] == ["Abraham Lincoln", "Mary Todd"]
    assert dict(people.entities[0].properties) == {"roles": "author, people", "declared_in": "2"}
    assert [(one.name, one.entity_type) for one in places.entities] == [("Gettysburg", "place")]
    assert not guessed.entities
    assert [one.name for one in asked.entities] == ["Mary Todd"]
    assert [one.name for one in part.entities] == ["Abraham Lincoln"]
    assert (await backend.refused("SearchEntities", query="")).code.name == "INVALID_ARGUMENT"


async def test_an_entity_leads_to_what_declares_and_what_names_it(backend: Backend) -> None:
    ids = await fill(backend)
    place = (await backend.ask("SearchEntities", query="Gettysburg")).entities[0]
    mary = (await backend.ask("SearchEntities", query="Mary Todd")).entities[0]
    abe = (await backend.ask("SearchEntities", query="Abraham Lincoln")).entities[0]

    found = await backend.ask("GetEntity", entity_id=place.entity_id)
    of_mary = await backend.ask("GetEntity", entity_id=mary.entity_id)
    of_abe = await backend.ask("GetEntity", entity_id=abe.entity_id)

    assert found.entity == place
    assert found.related_documents == [ids["guide.md"], ids["speech.md"]]
    assert of_mary.related_documents == [ids["letter.md"]]
    assert list(of_abe.related_documents) == [ids[name] for name in ("guide.md", "letter.md", "speech.md")]


async def test_an_entity_that_nothing_declares_any_more_is_gone(backend: Backend) -> None:
    await fill(backend)
    mary = (await backend.ask("SearchEntities", query="Mary Todd")).entities[0]

    await backend.add("letter.md", "# A letter\n\nDear Mary Todd.\n")

    assert (await backend.refused("GetEntity", entity_id=mary.entity_id)).code.name == "NOT_FOUND"
    assert not (await backend.ask("SearchEntities", query="Mary Todd")).entities
