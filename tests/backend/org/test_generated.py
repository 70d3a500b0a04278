"""Whatever an org file holds: what is not edited stays as it was, byte for byte."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from backend.tools.org.adding import NewEntry, added, appended, loose_end
from backend.tools.org.archiving import archived
from backend.tools.org.editing import demand_line, retagged, scheduled, toggled, updated
from backend.tools.org.headline import sets_keywords
from backend.tools.org.lines import Lines
from backend.tools.org.listing import entries_of, lines_of
from backend.tools.org.outline import Outline, outline
from backend.tools.org.searching import hits, query_of
from backend.tools.org.stamps import stamp_of
from llm_orchestrator_client.tool_service import ToolServiceError

NOW = datetime(2026, 3, 4, 12, 0)  # noqa: DTZ001 - org has no zones
STAMP = stamp_of("<2026-03-05 Thu +1w>", field="")
pieces = st.sampled_from(
    [
        "* ",
        "** ",
        "***** ",
        "*",
        "TODO ",
        "DONE ",
        "NEXT ",
        "[#A] ",
        "word ",
        " ",
        "\t",
        ":tag:",
        " :a:b:",
        "- ",
        "- [ ] ",
        "- [X] ",
        "  + [-] ",
        "1. [x]",
        "SCHEDULED: ",
        "DEADLINE: ",
        "CLOSED: ",
        "CLOCK: ",
        "<2026-01-31 Sat>",
        "<2026-02-30 Mon>",
        "<2026-01-31 Sat 10:00-25:00 +1w -2d>",
        "[2026-13-01]",
        "<2026-01-01>--<2026-01-02>",
        ":PROPERTIES:",
        ":END:",
        ":LOGBOOK:",
        ":Effort: x",
        ":ID: 7",
        "#+TODO: NEXT | DONE",
        "#+TODO: A B",
        "#+FILETAGS: :x:",
        "# ",
        "#+begin_src",
        "\r",
        "\x0c",
        "\x1c",
        "\u2028",
        "\u0085",
        "\ufeff",
        "\0",
        "\u00e9",
        "\U0001f600",
        '- State "DONE" from "TODO" [2026-99-99 x]',
    ],
)
lines_text = st.lists(pieces, max_size=6).map("".join)
files = st.lists(
    st.tuples(lines_text, st.sampled_from(["\n", "\n", "\n", "\r\n"])).map("".join), max_size=14
).flatmap(lambda lines: lines_text.map(lambda last: "".join(lines) + last.rstrip("\r")))
words = st.one_of(lines_text, st.text(max_size=20))
plenty = settings(max_examples=80, deadline=None)


def read(text: str) -> Outline:
    return outline(Lines.of(text))


@plenty
@given(st.one_of(files, st.text()))
def test_any_text_can_be_read_and_comes_back_as_it_was(text: str) -> None:
    found = read(text)
    assert str(found.lines) == text
    assert all(item.text == found.lines.texts[item.line_index] for item in lines_of(found))
    entries_of(found, 100)
    hits("a.org", text, query_of("word tag", []))
    for entry in found.entries:
        assert entry.line < entry.body <= entry.stop <= len(found.lines)
        assert str(entry.headline).rstrip() == found.lines.texts[entry.line].rstrip()


def edits(found: Outline, index: int, text: str) -> list[tuple[Lines, bool]]:
    """All edits of one line that are possible, and whether each may put in a line below."""
    possible = []
    each: tuple[tuple[Callable[[], Lines], bool], ...] = (
        (lambda: toggled(found, index, NOW).lines, False),
        (lambda: updated(found, index, text).lines, False),
        (lambda: retagged(found, index, ["x", "y"])[0].lines, False),
        (lambda: scheduled(found, index, STAMP)[0].lines, True),
    )
    for edit, below in each:
        try:
            demand_line(found, index, found.lines.texts[index])
            possible.append((edit(), below))
        except ToolServiceError:
            continue
    return possible


@plenty
@given(files, st.integers(0, 14), words)
def test_an_edit_of_a_line_changes_that_line_or_its_schedule_only(text: str, at: int, new: str) -> None:
    found = read(text)
    if not len(found.lines):
        return
    index = at % len(found.lines)
    before = Lines.of(text)
    entry = found.at(index)
    own = range(index, index + 1) if entry is None else range(index, entry.body)
    for after, below in edits(found, index, new):
        assert Lines.of(str(after)) == after
        if len(after) != len(before):
            assert below
            without = after.without([index + 1])
            assert without.texts == before.texts
            assert without.ends[:-1] == before.ends[:-1]
            continue
        assert after.ends == before.ends
        changed = [line for line in range(len(before)) if after.texts[line] != before.texts[line]]
        assert len(changed) <= 1
        assert set(changed) <= set(own)
        assert [entry.line for entry in outline(after).entries] == [entry.line for entry in found.entries]


@plenty
@given(files, words, st.sampled_from(["todo", "event", "contact", "checkbox"]), st.booleans())
def test_what_is_added_is_one_entry_more_and_all_others_stay(
    text: str, new: str, kind: str, timed: bool
) -> None:
    found = read(text)
    try:
        edited = added(found, NewEntry(kind, new, NOW, stamp=STAMP if timed else None))
    except ToolServiceError:
        return
    after = outline(edited.lines)
    more = len(after.lines) - len(found.lines)
    rest = edited.lines.without(range(edited.index, edited.index + more))
    assert rest.texts == found.lines.texts
    assert rest.ends[:-1] == found.lines.ends[:-1]
    assert Lines.of(str(edited.lines)) == edited.lines
    if kind == "checkbox":
        assert (more, edited.index) == (1, loose_end(found))
        assert [entry.headline for entry in after.entries] == [entry.headline for entry in found.entries]
    else:
        assert len(after.entries) == len(found.entries) + 1
        entry = after.entries[-1]
        assert (entry.line, entry.properties.get("CREATED")) == (edited.index, "[2026-03-04 Wed 12:00]")
        assert not after.keywords.is_done(entry.headline.todo)


@plenty
@given(files, words)
def test_what_is_appended_follows_all_that_was_there(text: str, new: str) -> None:
    try:
        after = str(appended(read(text), new).lines)
    except ToolServiceError:
        return
    assert after.startswith(text)
    assert new.replace("\r\n", "\n").strip("\n") in after[len(text) :].replace("\r\n", "\n")


def starless(*files: Lines) -> Counter[str]:
    return Counter(text.lstrip("*") for lines in files for text in lines.texts)


@plenty
@given(files, files)
def test_archiving_loses_no_line_and_leaves_nothing_done(text: str, earlier: str) -> None:
    inbox, archive = read(text), read(earlier)
    left, right, _ = archived(inbox, archive)
    surplus = starless(left, right) - starless(inbox.lines, archive.lines)
    assert not starless(inbox.lines, archive.lines) - starless(left, right)
    assert all(sets_keywords(line) for line in surplus)
    assert not (surplus and earlier)
    in_order = iter(inbox.lines.texts)
    assert all(line in in_order for line in left.texts)
    in_order = iter(right.texts)
    assert all(line in in_order for line in archive.lines.texts)
    if outline(left).keywords == inbox.keywords:
        assert archived(outline(left), outline(right))[2] == 0
