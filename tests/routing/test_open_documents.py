"""Which agents of the catalogue work on which open documents, and what a request says to that."""

import pytest

from agents.router import EditorHint, Routed, RouteReason, RouteWish, Undecided, route
from tests.harness.catalogue import shipped

CATALOG = shipped()


def decided(question: str, document: EditorHint) -> Routed | Undecided:
    wish = RouteWish(document=document)
    return route(CATALOG, wish, question, able=lambda spec: True, classifies=True)


@pytest.mark.parametrize(
    ("document", "agent"),
    [
        (EditorHint(type="outline"), "outline_editing"),
        (EditorHint(type="Rules"), "rules_editing"),
        (EditorHint(type="character"), "character_development"),
        (EditorHint(filename="pump.XMI"), "sysml"),
        (EditorHint(language="sysml"), "sysml"),
    ],
)
def test_a_document_with_one_agent_goes_to_it(document: EditorHint, agent: str) -> None:
    answer = decided("Something is missing in the middle", document)
    assert isinstance(answer, Routed)
    assert (answer.spec.name, answer.reason) == (agent, RouteReason.EDITOR)


@pytest.mark.parametrize(
    ("question", "type", "agent"),
    [
        ("Write the next chapter", "fiction", "fiction_editing"),
        ("Is the pacing of my manuscript good?", "fiction", "story_analysis"),
        ("Fix the typos in it", "fiction", "proofreading"),
        ("What are the weaknesses of the argument?", "essay", "content_analysis"),
        ("Correct the grammar", "essay", "proofreading"),
        ("Fix the commas", "outline", "proofreading"),
        ("Will it rain in Bonn?", "fiction", "weather"),
    ],
)
def test_of_several_the_request_says_which(question: str, type: str, agent: str) -> None:
    answer = decided(question, EditorHint(type=type))
    assert isinstance(answer, Routed)
    assert answer.spec.name == agent


def test_what_says_nothing_is_asked_of_a_model_among_these() -> None:
    answer = decided("And then?", EditorHint(type="fiction"))
    assert isinstance(answer, Undecided)
    names = {spec.name for spec in answer.candidates}
    assert names == {"chat", "fiction_editing", "proofreading", "story_analysis"}
