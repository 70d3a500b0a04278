"""`make routing` counts rightly; what it counts is no gate."""

import math

from agents.router import RouteReason
from tests.harness.catalogue import shipped
from tests.routing.labelled import Labelled, labelled
from tests.routing.measuring import Knowing, Outcome, Unmarked, cheap, classified, confusions, share

REQUESTS = list(labelled())


def outcome(meant: str, got: str) -> Outcome:
    return Outcome(Labelled("?", meant, "asked"), got, RouteReason.CLASSIFIER)


async def test_a_classifier_that_knows_the_labels_mends_all_that_the_cheap_stage_leaves_open() -> None:
    alone = cheap(shipped(), REQUESTS)
    assert len(alone) == len(REQUESTS)
    assert not all(one.right for one in alone)
    known = await classified(shipped(), REQUESTS, Unmarked(Knowing(REQUESTS)), seconds=math.inf, at_once=3)
    assert all(one.right for one in known)
    assert {one.request.text for one in known} == {request.text for request in REQUESTS}


async def test_no_model_is_asked_when_the_time_is_over() -> None:
    assert await classified(shipped(), REQUESTS, Knowing(REQUESTS), seconds=0.0) == []


def test_what_was_mixed_up_is_listed_the_most_frequent_first() -> None:
    outcomes = [
        outcome("rss", "chat"),
        outcome("rss", "rss"),
        outcome("sysml", "rss"),
        outcome("rss", "chat"),
    ]
    assert confusions(outcomes, 2) == ["   2  rss -> chat", "   1  sysml -> rss"]
    assert share(outcomes) == " 25.0 %  (1 of 4)"
