"""The schemas of the events: one for each type, valid, closed, and what the code says."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from orchestrator.relay.cloud_events import TYPES, cloud_event, key, message
from state.models import Owner, RunId
from state.outbox import OutboxEvent
from tests.harness.events import SCHEMAS, problems, schema, schema_files

RUN = RunId("0" * 31 + "7")
ABOUT = {"kind": "chat", "agent": "chat", "attempt": 1, "conversation_id": "c1"}


def event(kind: str, run_id: RunId | None = RUN, /, **data: Any) -> OutboxEvent:
    time = datetime(2026, 11, 22, 12, tzinfo=UTC)
    return OutboxEvent(42, run_id, Owner("ann" if run_id else ""), kind, data, time)


def test_each_type_has_one_schema_and_no_other_file_is_there() -> None:
    assert set(SCHEMAS.glob("*.json")) == schema_files()


@pytest.mark.parametrize("name", ["event", *TYPES])
def test_a_schema_is_valid_closed_versioned_and_explains_every_field(name: str) -> None:
    found = schema(name)
    Draft202012Validator.check_schema(found)
    suffix = "" if name == "event" else f":{name}"
    assert found["$id"] == f"urn:llm-orchestrator:event{suffix}:v1"
    assert found["additionalProperties"] is False
    if name != "event":
        assert all(field.get("description") for field in found["properties"].values())


def test_the_envelope_knows_the_types_that_the_code_knows() -> None:
    assert tuple(schema("event")["properties"]["type"]["enum"]) == TYPES


def test_an_event_is_the_same_bytes_however_often_it_is_sent() -> None:
    told = event("run.queued", **ABOUT)
    assert message(told, "here") == message(told, "here")
    assert key(told) == RUN.encode()
    assert orjson.loads(message(told, "here")[1]) == {
        "specversion": "1.0",
        "id": f"run/{RUN}/42",
        "source": "here",
        "type": "run.queued",
        "subject": f"run/{RUN}",
        "time": "2026-11-22T12:00:00.000000Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:llm-orchestrator:event:run.queued:v1",
        "sequence": "0000000000000000042",
        "data": {**ABOUT, "run_id": RUN, "user_id": "ann"},
    }


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (event("queue.full", None, high=8), b"queue"),
        (event("provider.recovered", None, provider="acme"), b"provider/acme"),
    ],
)
def test_what_concerns_no_run_has_its_subject_for_a_key(told: OutboxEvent, expected: bytes) -> None:
    assert key(told) == expected
    assert problems(cloud_event(told, "here")) == []


def test_a_field_that_no_schema_knows_is_a_problem() -> None:
    assert problems(cloud_event(event("run.queued", **ABOUT), "here")) == []
    assert problems(cloud_event(event("run.queued", **ABOUT, prompt="hello"), "here"))
