"""Edits of a document: where a quotation stands, what is refused, and what applying them gives."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agents.edits import EditError, OpType, ProposedEdit, applied, hash_of, placed

STORY = "# One\nIt rains. It rains.\n\n# Two\nThe sun \U0001f31e shines.\n"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def edit(op_type: OpType, original: str = "", anchor: str = "", text: str = "") -> ProposedEdit:
    return ProposedEdit(
        op_type=op_type, original_text=original, anchor_text=anchor, text=text, note="", confidence=1.0
    )


def after(content: str, *edits: ProposedEdit) -> str:
    operations, problems = placed(content, edits)
    assert problems == []
    return applied(content, operations)


@pytest.mark.parametrize(
    ("proposed", "expected"),
    [
        (edit("replace_range", "sun \U0001f31e", text="moon"), STORY.replace("sun \U0001f31e", "moon")),
        (edit("replace_range", "It rains.", "# One\n", "No."), STORY.replace("It rains.", "No.", 1)),
        (edit("delete_range", "rains", ". It rains."), STORY.replace(". It rains.", ". It .")),
        (edit("delete_range", " shines", text="ignored"), STORY.replace(" shines", "")),
        (edit("insert_after", anchor="\U0001f31e shines.", text=" Hot."), STORY[:-1] + " Hot.\n"),
        (edit("insert_after_heading", anchor="# Two", text="Noon."), STORY.replace("Two\n", "Two\nNoon.\n")),
        (edit("insert_after_heading", anchor="One", text="Dawn.\n"), STORY.replace("One\n", "One\nDawn.\n")),
    ],
)
def test_an_operation_says_what_applying_it_gives(proposed: ProposedEdit, expected: str) -> None:
    assert after(STORY, proposed) == expected


@pytest.mark.parametrize(
    ("content", "proposed", "says"),
    [
        (STORY, edit("replace_range", "it rains"), "does not hold"),
        (STORY, edit("replace_range", "It rains."), "more than once"),
        (STORY, edit("replace_range", "It rains.", "It rains. It rains."), "more than once"),
        (STORY, edit("replace_range", "It rains.", "# Two"), "in or after"),
        (STORY, edit("replace_range", "It rains.", "nowhere"), "not at all"),
        (STORY, edit("replace_range"), "is empty"),
        ("aaa", edit("replace_range", "aa"), "more than once"),
        (STORY, edit("insert_after", text="x"), "is empty"),
        (STORY, edit("insert_after", anchor="rains", text="x"), "more than once"),
        (STORY, edit("insert_after_heading", anchor="It rains."), "no heading"),
        ("# A\n# A\n", edit("insert_after_heading", anchor="# A"), "more than one heading"),
    ],
)
def test_what_is_missing_or_ambiguous_is_a_problem_that_says_so(
    content: str, proposed: ProposedEdit, says: str
) -> None:
    operations, [problem] = placed(content, [proposed])
    assert operations == []
    assert says in problem


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (edit("replace_range", "sun \U0001f31e"), edit("delete_range", "\U0001f31e shines"), True),
        (edit("delete_range", "sun"), edit("replace_range", "sun"), True),
        (edit("insert_after", anchor="# Two\n"), edit("insert_after_heading", anchor="# Two"), True),
        (edit("insert_after", anchor="The "), edit("delete_range", "sun"), True),
        (edit("replace_range", "The sun"), edit("delete_range", " \U0001f31e"), False),
    ],
)
def test_two_that_change_the_same_place_are_refused(
    first: ProposedEdit, second: ProposedEdit, refused: bool
) -> None:
    assert bool(placed(STORY, [first, second])[1]) is refused


def test_an_empty_document_is_begun_and_a_heading_without_a_line_end_gets_one() -> None:
    assert after("", edit("insert_after", text="x")) == "x"
    assert after("# A", edit("insert_after_heading", anchor="# A", text="x")) == "# A\nx\n"


def test_a_document_that_has_changed_is_left_alone() -> None:
    operations, _ = placed(STORY, [edit("delete_range", "sun")])
    with pytest.raises(EditError):
        applied(STORY.replace("sun", "son"), operations)


PARTS = st.tuples(TEXT, TEXT.filter(bool), TEXT, TEXT.filter(bool), TEXT)


@given(PARTS, TEXT, TEXT)
def test_any_text_with_any_places_changed_is_as_the_operations_say(
    parts: tuple[str, str, str, str, str], new: str, added: str
) -> None:
    before, old, between, gone, behind = parts
    content = before + old + between + gone + behind
    edits = [
        edit("delete_range", gone, gone + behind),
        edit("replace_range", old, before + old + between, text=new),
        edit("insert_after", anchor=content, text=added),
    ]
    operations, problems = placed(content, edits)
    assume(not problems)
    for one in operations:
        assert content[one["start"] : one["end"]] == one["original_text"]
        assert hash_of(one["original_text"]) == one["pre_hash"]
    where = [one["start"] for one in operations if one["op_type"] != "insert_after"]
    assume(where == [len(before), len(before + old + between)])
    assert applied(content, operations) == before + new + between + behind + added
