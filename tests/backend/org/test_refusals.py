"""What is refused, with which status, and that nothing is changed by it."""

from typing import Any

import grpc
import pytest

from backend.tools.org.folder import MAX_BYTES
from tests.backend.org.asking import Person

INBOX = """#+TITLE: In
- [ ] box
* TODO head :t:
SCHEDULED: <2026-03-05 Thu>
:PROPERTIES:
:A: b
:END:
plain

"""
HEAD = {"line_index": 2, "expected_text": "* TODO head :t:"}
GUARDED: dict[str, dict[str, Any]] = {
    "ToggleOrgInboxItem": {},
    "UpdateOrgInboxItem": {"new_text": "x"},
    "SetOrgInboxSchedule": {"scheduled": "<2026-03-05>"},
    "ApplyOrgInboxTags": {"tags": ["x"]},
}
INVALID, CHANGED, MISSING = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
)


@pytest.mark.parametrize("rpc", GUARDED)
@pytest.mark.parametrize("expected", ["* TODO head", "* TODO other :t:", " * TODO head :t:", "", "- [ ] box"])
async def test_a_line_that_reads_otherwise_is_not_edited(ann: Person, rpc: str, expected: str) -> None:
    ann.write(INBOX)
    refused = await ann.refused(rpc, line_index=2, expected_text=expected, **GUARDED[rpc])
    assert (refused.code, refused.reason) == (CHANGED, "LINE_CHANGED")
    assert ann.read() == INBOX


@pytest.mark.parametrize("rpc", GUARDED)
async def test_a_line_that_has_moved_is_not_edited(ann: Person, rpc: str) -> None:
    ann.write(INBOX)
    listed = (await ann.ask("ListOrgInboxItems")).items[1]
    await ann.ask("AddOrgInboxItem", kind="checkbox", text="comes before it")
    moved = ann.read()
    asked = {"line_index": listed.line_index, "expected_text": listed.text, **GUARDED[rpc]}
    assert (await ann.refused(rpc, **asked)).reason == "LINE_CHANGED"
    assert ann.read() == moved
    assert (await ann.ask(rpc, **{**asked, "line_index": listed.line_index + 1})).success


@pytest.mark.parametrize("rpc", GUARDED)
async def test_without_an_expected_text_a_line_that_is_not_there_is_not_found(ann: Person, rpc: str) -> None:
    ann.write(INBOX)
    for index in (8, 9, 2**31 - 1):
        assert (await ann.refused(rpc, line_index=index, **GUARDED[rpc])).code is MISSING
    assert (await ann.refused(rpc, line_index=99, expected_text="", **GUARDED[rpc])).reason == "LINE_CHANGED"
    assert ann.read() == INBOX


@pytest.mark.parametrize(
    ("rpc", "fields", "code"),
    [
        ("ToggleOrgInboxItem", {"line_index": 7}, CHANGED),
        ("SetOrgInboxSchedule", {"line_index": 7, "scheduled": "<2026-03-05>"}, CHANGED),
        ("ApplyOrgInboxTags", {"line_index": 1, "tags": ["x"]}, CHANGED),
        ("UpdateOrgInboxItem", {"line_index": 0, "new_text": "x"}, CHANGED),
        ("UpdateOrgInboxItem", {"line_index": 3, "new_text": "x"}, CHANGED),
        ("UpdateOrgInboxItem", {"line_index": 5, "new_text": "x"}, CHANGED),
        ("UpdateOrgInboxItem", {"line_index": 7, "new_text": "* headline"}, INVALID),
        ("UpdateOrgInboxItem", {"line_index": 7, "new_text": "- [ ] box"}, INVALID),
        ("UpdateOrgInboxItem", {"line_index": 2, "new_text": "two\nlines"}, INVALID),
        ("UpdateOrgInboxItem", {"line_index": 2, "new_text": " "}, INVALID),
        ("UpdateOrgInboxItem", {"line_index": 2, "new_text": ":only:tags:"}, INVALID),
        ("UpdateOrgInboxItem", {"line_index": 2, "new_text": "x" * 1000}, INVALID),
        ("UpdateOrgInboxItem", {"line_index": 2, "new_text": "a\u2028b"}, INVALID),
        ("ApplyOrgInboxTags", {"line_index": 2, "tags": ["two words"]}, INVALID),
        ("ApplyOrgInboxTags", {"line_index": 2, "tags": ["a\nb"]}, INVALID),
        ("ApplyOrgInboxTags", {"line_index": 2, "tags": [""]}, INVALID),
        ("ApplyOrgInboxTags", {"line_index": 2, "tags": [f"t{n}" for n in range(21)]}, INVALID),
        ("AddOrgInboxItem", {"kind": "todo", "text": ""}, INVALID),
        ("AddOrgInboxItem", {"kind": "todo", "text": "* TODO"}, INVALID),
        ("AddOrgInboxItem", {"kind": "todo", "text": "a\0b"}, INVALID),
        ("AddOrgInboxItem", {"kind": "todo", "text": "a\n#+todo: X | Y"}, INVALID),
        ("AddOrgInboxItem", {"kind": "note", "text": "a"}, INVALID),
        ("AddOrgInboxItem", {"kind": "event", "text": "DONE a"}, INVALID),
        ("AddOrgInboxItem", {"kind": "checkbox", "text": "a\nb"}, INVALID),
        ("AddOrgInboxItem", {"kind": "checkbox", "text": "a", "tags": ["t"]}, INVALID),
        ("AddOrgInboxItem", {"kind": "todo", "text": "a", "repeater": "+1w"}, INVALID),
        ("AddOrgInboxItem", {"kind": "todo", "text": "a", "contact_properties": {"A": "b"}}, INVALID),
        ("AddOrgInboxItem", {"kind": "contact", "text": "a", "contact_properties": {"END": "b"}}, INVALID),
        ("AddOrgInboxItem", {"kind": "contact", "text": "a", "contact_properties": {"A b": "b"}}, INVALID),
        ("AddOrgInboxItem", {"kind": "contact", "text": "a", "contact_properties": {"A": "b\n* c"}}, INVALID),
        (
            "AddOrgInboxItem",
            {"kind": "contact", "text": "a", "contact_properties": {"A": ":end: x"}},
            INVALID,
        ),
        ("AppendOrgInboxText", {"text": "\n"}, INVALID),
        ("AppendOrgInboxText", {"text": "x" * 40_000}, INVALID),
        ("SearchOrgFiles", {"query": " "}, INVALID),
        ("SearchOrgFiles", {"query": "a", "search_types": ["titles"]}, INVALID),
    ],
)
async def test_what_cannot_be_done_changes_nothing(
    ann: Person, rpc: str, fields: dict[str, object], code: grpc.StatusCode
) -> None:
    ann.write(INBOX)
    assert (await ann.refused(rpc, **fields)).code is code
    assert ann.read() == INBOX


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "tomorrow",
        "<2026-02-30 Mon>",
        "<2026-13-01>",
        "[2026-03-05 Thu]",
        "<2026-03-05 Thu",
        "<2026-03-05 Fri>",
        "<2026-03-05 25:00>",
        "<2026-03-05 Thu +0d>",
        "<2026-03-05 Thu +1h>",
        "<2026-03-05 Thu> x",
        "<2026-03-05\nThu>",
        "<\u0662026-03-05>",
        "<0000-01-01>",
        "<2026-03-05 Thu +1w +1w>",
        "x" * 200,
    ],
)
async def test_what_is_no_timestamp_is_refused_by_its_field(ann: Person, stamp: str) -> None:
    ann.write(INBOX)
    refused = await ann.refused("SetOrgInboxSchedule", scheduled=stamp, **HEAD)
    assert (refused.code, refused.field) == (
        INVALID,
        "repeater" if "+0d" in stamp or "+1h" in stamp else "scheduled",
    )
    assert ann.read() == INBOX


@pytest.mark.parametrize("repeater", ["1w", "+w", "+1x", "+1w ", "-1w", "+-1w", "+1w +1w", "+99999d", "++1d"])
async def test_a_repeater_is_none_or_the_one_of_the_timestamp(ann: Person, repeater: str) -> None:
    ann.write(INBOX)
    stamp = "<2026-03-05 Thu +1w>"
    if repeater.strip() == "+1w":
        assert (await ann.ask("SetOrgInboxSchedule", scheduled=stamp, repeater=repeater, **HEAD)).success
        return
    assert (
        await ann.refused("SetOrgInboxSchedule", scheduled=stamp, repeater=repeater, **HEAD)
    ).code is INVALID
    alone = await ann.refused("SetOrgInboxSchedule", scheduled="<2026-03-05>", repeater="1w", **HEAD)
    assert (alone.code, alone.field) == (INVALID, "repeater")


async def test_the_wrong_day_of_the_week_is_told_with_the_right_one(ann: Person) -> None:
    ann.write(INBOX)
    refused = await ann.refused("SetOrgInboxSchedule", scheduled="<2026-03-05 Fri>", **HEAD)
    assert "2026-03-05 is a Thu" in refused.text
    assert (
        await ann.ask("SetOrgInboxSchedule", scheduled="<2026-03-05 Do.>", **HEAD)
    ).scheduled_line == "SCHEDULED: <2026-03-05 Thu>"


@pytest.mark.parametrize("data", [b"* caf\xe9\n", b"\xff\xfe*\0", b"* a\xed\xa0\x80\n"])
async def test_what_is_not_utf8_is_refused_and_left_alone(ann: Person, data: bytes) -> None:
    ann.write(data)
    ann.write("* readable\n", "other.org")
    for rpc, fields in (
        ("ListOrgInboxItems", {}),
        ("GetOrgInboxItems", {}),
        ("AppendOrgInboxText", {"text": "x"}),
    ):
        assert (await ann.refused(rpc, **fields)).reason == "NOT_TEXT"
    assert [hit.document_name for hit in (await ann.ask("SearchOrgFiles", query="readable")).results] == [
        "other.org"
    ]
    assert (ann.folder / "inbox.org").read_bytes() == data


async def test_a_file_does_not_grow_beyond_its_limit(ann: Person) -> None:
    ann.write("x" * (MAX_BYTES - 10))
    for rpc, fields in (
        ("AppendOrgInboxText", {"text": "y" * 20}),
        ("AddOrgInboxItem", {"kind": "todo", "text": "y"}),
    ):
        assert (await ann.refused(rpc, **fields)).reason == "FILE_TOO_LARGE"
    assert (await ann.ask("AppendOrgInboxText", text="y")).success
    ann.write("x" * (MAX_BYTES + 1))
    assert (await ann.refused("ListOrgInboxItems")).reason == "FILE_TOO_LARGE"


async def test_an_archive_that_is_full_loses_nothing(ann: Person) -> None:
    ann.write("* DONE a\n")
    full = "x" * MAX_BYTES
    ann.write(full, "inbox.org_archive")
    assert (await ann.refused("ArchiveOrgInboxDone")).reason == "FILE_TOO_LARGE"
    assert (ann.read(), ann.read("inbox.org_archive")) == ("* DONE a\n", full)


async def test_a_line_too_long_to_be_taken_apart_is_listed_and_not_edited(ann: Person) -> None:
    ann.write(f"* TODO {'x' * 1000}\n")
    assert len(await ann.lines()) == 1
    assert (await ann.refused("ToggleOrgInboxItem", line_index=0)).reason == "LINE_TOO_LONG"
