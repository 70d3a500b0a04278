"""Each Org RPC over the wire answers from, and changes, real files."""

import grpc
import pytest

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from tests.backend.org.asking import Person, request_of
from tests.toolserver.calling import ask

CREATED = ":PROPERTIES:\n:CREATED: [2026-03-04 Wed 12:00]\n:END:\n"
INBOX = """#+TITLE: In
#+TODO: TODO NEXT | DONE CANCELLED
- [ ] milk
- [X] eggs
  - [X] six
* NEXT [#A] Call Kim :phone:
SCHEDULED: <2026-03-05 Thu +1w>
ask for the key
** DONE find the number
** TODO be brave
* DONE Paint the fence :garden:
blue
** DONE buy paint
* Meet at 10:30:
"""


async def test_an_inbox_that_is_not_there_yet_is_empty(ann: Person) -> None:
    listed = await ann.ask("ListOrgInboxItems")
    assert (listed.success, listed.path, len(listed.items)) == (True, "inbox.org", 0)
    assert not (await ann.ask("GetOrgInboxItems")).items
    assert not (await ann.ask("SearchOrgFiles", query="milk")).results
    assert (await ann.ask("GetOrgInboxPath")).path == "inbox.org"
    assert (await ann.ask("ArchiveOrgInboxDone")).archived_count == 0
    assert not (ann.folder / "inbox.org").exists()


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({"kind": "todo", "text": "Buy milk"}, f"* TODO Buy milk\n{CREATED}"),
        (
            {
                "kind": "todo",
                "text": "* TODO Water :home:\nall of them\n* not a headline",
                "schedule": "<2026-03-05 Thu>",
                "repeater": "++1d",
                "tags": ["plants", "home"],
            },
            f"* TODO Water :home:plants:\nSCHEDULED: <2026-03-05 Thu ++1d>\n{CREATED}"
            "  all of them\n  * not a headline\n",
        ),
        (
            {"kind": "event", "text": "Dentist", "schedule": "2026-03-05 9:30-10:00"},
            f"* Dentist\n{CREATED}<2026-03-05 Thu 09:30-10:00>\n",
        ),
        (
            {"kind": "contact", "text": "Kim", "contact_properties": {"EMAIL": "kim@example.org"}},
            f"* Kim\n{CREATED.replace(':END:', ':EMAIL: kim@example.org' + chr(10) + ':END:')}",
        ),
        (
            {"kind": "checkbox", "text": "- [ ] bread", "schedule": "<2026-03-05 Thu>"},
            "- [ ] bread <2026-03-05 Thu>\n",
        ),
    ],
)
async def test_add_writes_each_kind_as_org_does(ann: Person, fields: dict[str, str], written: str) -> None:
    answer = await ann.ask("AddOrgInboxItem", **fields)
    assert answer.success
    assert ann.read() == written
    assert ann.read().split("\n")[answer.line_index] in answer.message


async def test_a_checkbox_is_added_where_it_belongs_to_no_entry(ann: Person) -> None:
    ann.write(INBOX)
    answer = await ann.ask("AddOrgInboxItem", kind="checkbox", text="bread")
    assert answer.line_index == 5
    assert ann.read() == INBOX.replace("  - [X] six\n", "  - [X] six\n- [ ] bread\n")


async def test_a_list_tells_what_each_line_is(ann: Person) -> None:
    ann.write(INBOX)
    items = {item.line_index: item for item in (await ann.ask("ListOrgInboxItems")).items}
    assert list(items) == list(range(2, 14))
    assert items[2] == pb.OrgInboxItemDetails(line_index=2, text="- [ ] milk", item_type="checkbox")
    assert (items[3].item_type, items[3].is_done) == ("checkbox", True)
    head = items[5]
    assert (head.item_type, head.todo_state, list(head.tags), head.is_done) == (
        "headline",
        "NEXT",
        ["phone"],
        False,
    )
    assert (items[6].item_type, items[6].text) == ("plain", "SCHEDULED: <2026-03-05 Thu +1w>")
    assert (items[10].todo_state, items[10].is_done) == ("DONE", True)
    assert (items[13].item_type, list(items[13].tags)) == ("headline", [])


async def test_the_newest_entries_come_first_and_with_what_is_below_them(ann: Person) -> None:
    ann.write(INBOX)
    await ann.ask("AddOrgInboxItem", kind="todo", text="Latest")
    items = (await ann.ask("GetOrgInboxItems")).items
    assert [item.title for item in items] == [
        "Latest",
        "Meet at 10:30:",
        "Paint the fence",
        "Call Kim",
        "six",
        "eggs",
        "milk",
    ]
    assert items[0].timestamp == "2026-03-04T12:00:00Z"
    kim = items[3]
    assert kim.content == "ask for the key\n** DONE find the number\n** TODO be brave"
    assert dict(kim.metadata) == {
        "todo_state": "NEXT",
        "tags": "phone",
        "priority": "A",
        "scheduled": "<2026-03-05 Thu +1w>",
        "line_index": "5",
    }
    assert len({item.item_id for item in items}) == 7
    assert [item.title for item in (await ann.ask("GetOrgInboxItems", limit=1)).items] == ["Latest"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("* NEXT a :b:", "* DONE a :b:"),
        ("* CANCELLED a", "* TODO a"),
        ("** no keyword  ", "** DONE no keyword  "),
        ("- [ ] box", "- [X] box"),
        ("  1. [x] box", "  1. [ ] box"),
        ("+ [-]", "+ [X]"),
    ],
)
async def test_toggle_changes_the_keyword_or_the_box_and_nothing_else(
    ann: Person, before: str, after: str
) -> None:
    head = "#+TODO: TODO NEXT | DONE CANCELLED\r\n"
    ann.write(f"{head}{before}\r\nbelow")
    answer = await ann.ask("ToggleOrgInboxItem", line_index=1, expected_text=before)
    assert (answer.success, answer.updated_index, answer.new_line) == (True, 1, after)
    assert ann.read() == f"{head}{after}\r\nbelow"


@pytest.mark.parametrize(
    ("before", "after"),
    [("+1w", "2026-02-10 Tue +1w"), ("++1w", "2026-03-10 Tue ++1w"), (".+1m", "2026-04-04 Sat .+1m")],
)
async def test_what_repeats_stays_open_and_is_due_the_next_time(ann: Person, before: str, after: str) -> None:
    ann.write(f"* TODO Water\nDEADLINE: <2026-02-03 Tue {before}>\n")
    answer = await ann.ask("ToggleOrgInboxItem", line_index=0)
    assert answer.new_line == f"* TODO Water\nDEADLINE: <{after}>"
    assert ann.read() == f"* TODO Water\nDEADLINE: <{after}>\n"


@pytest.mark.parametrize(
    ("before", "new_text", "after"),
    [
        ("* TODO [#A] a :t:", "Buy oats", "* TODO [#A] Buy oats :t:"),
        ("* TODO [#A] a :t:", "DONE Buy oats :u:", "* DONE [#A] Buy oats :u:"),
        ("** TODO [#A] a :t:", "* b", "** b"),
        ("  - [X] a", "b", "  - [X] b"),
        ("  - [X] a", "- [ ] b", "  - [ ] b"),
        ("  plain", "words", "  words"),
    ],
)
async def test_update_keeps_what_the_new_text_does_not_name(
    ann: Person, before: str, new_text: str, after: str
) -> None:
    ann.write(f"* above\n{before}\n* below\n")
    answer = await ann.ask("UpdateOrgInboxItem", line_index=1, new_text=new_text, expected_text=before)
    assert answer.new_line == after
    assert ann.read() == f"* above\n{after}\n* below\n"


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("* TODO a\n", "* TODO a\nSCHEDULED: <2026-03-05 Thu .+2d>\n", 1),
        (
            "* a\n  DEADLINE: <2026-04-01 Wed>",
            "* a\n  DEADLINE: <2026-04-01 Wed> SCHEDULED: <2026-03-05 Thu .+2d>",
            1,
        ),
        (
            "* a\nSCHEDULED: <2026-01-01 Thu>--<2026-01-02 Fri> DEADLINE: <2026-04-01 Wed>",
            "* a\nSCHEDULED: <2026-03-05 Thu .+2d> DEADLINE: <2026-04-01 Wed>",
            1,
        ),
        ("* Dentist\nbring card\n<2026-01-01 Thu>\n", "* Dentist\nbring card\n<2026-03-05 Thu .+2d>\n", 2),
        ("- [ ] a <2026-01-01 Thu>\n", "- [ ] a <2026-03-05 Thu .+2d>\n", 0),
    ],
)
async def test_a_schedule_is_set_where_org_looks_for_it(
    ann: Person, before: str, after: str, line: int
) -> None:
    ann.write(before)
    answer = await ann.ask("SetOrgInboxSchedule", line_index=0, scheduled="<2026-03-05>", repeater=".+2d")
    assert (answer.success, answer.updated_index) == (True, 0)
    assert ann.read() == after
    assert answer.scheduled_line == after.split("\n")[line]


async def test_tags_are_those_that_are_given_and_no_others(ann: Person) -> None:
    ann.write("* TODO a b :old:older:\n")
    answer = await ann.ask("ApplyOrgInboxTags", line_index=0, tags=[":new:", "home", "new"])
    assert list(answer.applied_tags) == ["new", "home"]
    assert ann.read() == "* TODO a b :new:home:\n"
    assert not (await ann.ask("ApplyOrgInboxTags", line_index=0)).applied_tags
    assert ann.read() == "* TODO a b\n"


async def test_archiving_moves_what_is_done_with_all_below_it(ann: Person) -> None:
    ann.write(INBOX)
    answer = await ann.ask("ArchiveOrgInboxDone")
    assert answer.archived_count == 3
    assert ann.read() == (
        "#+TITLE: In\n#+TODO: TODO NEXT | DONE CANCELLED\n- [ ] milk\n* NEXT [#A] Call Kim :phone:\n"
        "SCHEDULED: <2026-03-05 Thu +1w>\nask for the key\n** TODO be brave\n* Meet at 10:30:\n"
    )
    assert ann.read("inbox.org_archive") == (
        "#+TODO: TODO NEXT | DONE CANCELLED\n- [X] eggs\n  - [X] six\n* DONE find the number\n"
        "* DONE Paint the fence :garden:\nblue\n** DONE buy paint\n"
    )
    ann.write(ann.read().replace("TODO be", "CANCELLED be"))
    assert (await ann.ask("ArchiveOrgInboxDone")).archived_count == 1
    assert ann.read("inbox.org_archive").endswith("** DONE buy paint\n* CANCELLED be brave\n")


async def test_what_is_done_but_has_something_open_below_it_stays(ann: Person) -> None:
    ann.write("* DONE a\n** TODO b\n")
    assert (await ann.ask("ArchiveOrgInboxDone")).archived_count == 0


async def test_the_same_call_again_has_its_effect_once(ann: Person) -> None:
    request = request_of("AppendOrgInboxText", "ann", text="once")
    for _ in range(2):
        assert (await ask(ann.channel, "AppendOrgInboxText", request, ("x-tool-call-id", "1"))).success
    assert ann.read() == "once\n"


async def test_text_is_appended_as_it_is(ann: Person) -> None:
    ann.write("* no end of line")
    assert (await ann.ask("AppendOrgInboxText", text="* TODO Project\n** TODO Step :a:\n")).success
    assert ann.read() == "* no end of line\n* TODO Project\n** TODO Step :a:\n"


async def test_a_search_finds_entries_in_all_files_best_first(ann: Person) -> None:
    ann.write(INBOX)
    ann.write("intro with milk\n* Garden :outdoor:\n** TODO fix the fence gate\nmilk\n", "projects/home.org")
    ann.write("* milk", "notes.txt")
    ann.write("* milk", ".hidden.org")
    found = (await ann.ask("SearchOrgFiles", query="fence gate")).results
    best = found[0]
    assert (best.document_id, best.document_name, best.heading) == (
        "org:projects/home.org",
        "projects/home.org",
        "fix the fence gate",
    )
    assert (best.line_number, best.content) == (3, "milk")
    assert dict(best.metadata) == {"todo_state": "TODO", "tags": "outdoor", "outline": "Garden"}
    assert [hit.heading for hit in found] == ["fix the fence gate", "Paint the fence"]

    async def hits(**fields: object) -> list[tuple[str, int]]:
        results = (await ann.ask("SearchOrgFiles", **fields)).results
        return [(hit.document_name, hit.line_number) for hit in results]

    assert await hits(query="milk", search_types=["content"]) == [
        ("inbox.org", 3),
        ("projects/home.org", 1),
        ("projects/home.org", 3),
    ]
    assert await hits(query="milk", search_types=["headings"]) == []
    assert await hits(query=":outdoor:", search_types=["headings"]) == [
        ("projects/home.org", 2),
        ("projects/home.org", 3),
    ]
    assert len(await hits(search_types=["todos"])) == 6
    assert await hits(query="milk", search_types=["todos"], limit=1) == [("projects/home.org", 3)]


async def test_what_a_search_has_found_can_be_opened_as_a_document(ann: Person, bob: Person) -> None:
    ann.write(INBOX, "projects/home.org")
    document_id = (await ann.ask("SearchOrgFiles", query="brave")).results[0].document_id
    known = await ann.ask("GetDocument", document_id=document_id)
    assert (known.title, known.filename, known.content_type) == ("In", "home.org", "text/org")
    assert (await ann.ask("GetDocumentContent", document_id=document_id)).content == INBOX
    assert (await bob.refused("GetDocument", document_id=document_id)).code is grpc.StatusCode.NOT_FOUND
