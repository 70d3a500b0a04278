"""The policy: every combination of what it rests on."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.permissions import PermissionScope
from tools.base import Tool
from tools.policy import PolicyContext, Verdict, allowed_scopes, reversible, safety_level, verdict

ALLOW, ASK, DENY = Verdict.ALLOW, Verdict.ASK, Verdict.DENY
RUN, ONCE = PermissionScope.RUN, PermissionScope.ONCE
STRICTNESS = [ALLOW, ASK, DENY]
CLASS = "some_class"


def changed(context: PolicyContext, **fields: Any) -> PolicyContext:
    return replace(context, **fields)


def a_tool(**flags: Any) -> Tool:
    return Tool("it", "", {"type": "object"}, CLASS, **flags)


READ = a_tool(read_only=True)
OPEN_READ = a_tool(read_only=True, open_world=True)
WRITE = a_tool()
SEND = a_tool(open_world=True)
DESTROY = a_tool(destructive=True)
SPEND = a_tool(spends=True)
PAID_READ = a_tool(read_only=True, spends=True)
PAID_OPEN_READ = a_tool(read_only=True, spends=True, open_world=True)
ASKS = a_tool(read_only=True, asks=True)

KINDS = {
    "read": READ,
    "open read": OPEN_READ,
    "write": WRITE,
    "send": SEND,
    "destroy": DESTROY,
    "spend": SPEND,
    "paid read": PAID_READ,
    "paid open read": PAID_OPEN_READ,
    "asks": ASKS,
}

NOTHING = PolicyContext()
AGENT_ALLOWS = PolicyContext(overrides={"it": ALLOW})
OPERATOR_ALLOWS = PolicyContext(operator={"it": ALLOW})
GRANTED = PolicyContext(grants=frozenset({CLASS}))
STANDING = PolicyContext(standing={"it": RUN})

# By kind: nothing, the agent allows, the operator allows, granted, standing; then the same, tainted.
TABLE = {
    "read": ("AAAAA", "AAAAA"),
    "open read": ("?AAAA", "?AAAA"),
    "write": ("??AAA", "?????"),
    "send": ("??AAA", "?????"),
    "destroy": ("?????", "?????"),
    "spend": ("?????", "?????"),
    "paid read": ("?????", "?????"),
    "paid open read": ("?????", "?????"),
    "asks": ("?????", "?????"),
}


@pytest.mark.parametrize("kind", TABLE)
def test_the_verdict_is_that_of_the_table(kind: str) -> None:
    contexts = (NOTHING, AGENT_ALLOWS, OPERATOR_ALLOWS, GRANTED, STANDING)
    for tainted, row in zip((False, True), TABLE[kind], strict=True):
        for context, letter in zip(contexts, row, strict=True):
            wanted = ALLOW if letter == "A" else ASK
            assert verdict(KINDS[kind], replace(context, tainted=tainted)) is wanted, (context, tainted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", ["overrides", "operator"])
def test_a_denial_always_wins(kind: str, field: str) -> None:
    consented = replace(GRANTED, standing={"it": PermissionScope.CONVERSATION}, operator={"it": ALLOW})
    assert verdict(KINDS[kind], changed(consented, **{field: {"it": DENY}})) is DENY


def test_what_one_narrows_the_other_does_not_widen() -> None:
    for one, other in (("overrides", "operator"), ("operator", "overrides")):
        context = changed(NOTHING, **{one: {"it": ASK}, other: {"it": ALLOW}})
        for tool in KINDS.values():
            assert verdict(tool, context) is ASK


def test_an_approval_of_one_call_is_no_standing_one() -> None:
    assert verdict(WRITE, PolicyContext(standing={"it": ONCE})) is ASK


def test_what_concerns_another_tool_or_class_changes_nothing() -> None:
    context = PolicyContext({"other": ALLOW}, {"other": ALLOW}, frozenset({"other"}), {"other": RUN})
    for tool in KINDS.values():
        assert verdict(tool, context) is verdict(tool, NOTHING)


@pytest.mark.parametrize(
    ("kind", "level", "undone"),
    [
        ("read", "low", True),
        ("open read", "low", True),
        ("write", "medium", True),
        ("send", "high", False),
        ("destroy", "high", False),
        ("spend", "high", False),
        ("paid read", "high", False),
    ],
)
def test_how_dangerous_a_call_is_and_whether_it_can_be_undone(kind: str, level: str, undone: bool) -> None:
    assert (safety_level(KINDS[kind]), reversible(KINDS[kind])) == (level, undone)


@pytest.mark.parametrize("kind", ["destroy", "spend", "paid read", "asks"])
def test_what_cannot_be_undone_is_approved_once_only(kind: str) -> None:
    assert allowed_scopes(KINDS[kind]) == (ONCE,)


@pytest.mark.parametrize("kind", ["read", "open read", "write", "send"])
def test_all_else_may_be_approved_for_longer(kind: str) -> None:
    assert allowed_scopes(KINDS[kind]) == tuple(PermissionScope)


FLAGS = ("read_only", "idempotent", "destructive", "open_world", "spends", "asks")
TOOLS = st.builds(a_tool, **{flag: st.booleans() for flag in FLAGS})
OVERRIDES = st.dictionaries(st.sampled_from(["it", "other"]), st.sampled_from(STRICTNESS))
CONTEXTS = st.builds(
    PolicyContext,
    overrides=OVERRIDES,
    operator=OVERRIDES,
    grants=st.frozensets(st.sampled_from([CLASS, "other"])),
    standing=st.dictionaries(st.sampled_from(["it", "other"]), st.sampled_from(list(PermissionScope))),
    tainted=st.booleans(),
)


@settings(max_examples=1000, deadline=None)
@given(TOOLS, CONTEXTS)
def test_after_untrusted_content_nothing_writes_spends_or_sends_unasked(
    tool: Tool, context: PolicyContext
) -> None:
    if not tool.read_only or tool.destructive or tool.spends:
        assert verdict(tool, replace(context, tainted=True)) is not ALLOW


@settings(max_examples=1000, deadline=None)
@given(TOOLS, CONTEXTS)
def test_nothing_lets_what_destroys_spends_or_always_asks_go_unasked(
    tool: Tool, context: PolicyContext
) -> None:
    if tool.destructive or tool.spends or tool.asks:
        assert verdict(tool, context) is not ALLOW


@settings(max_examples=1000, deadline=None)
@given(TOOLS, CONTEXTS, st.sampled_from(["overrides", "operator"]), st.sampled_from([ASK, DENY]))
def test_narrowing_never_widens(tool: Tool, context: PolicyContext, field: str, narrow: Verdict) -> None:
    before = verdict(tool, context)
    said = {**getattr(context, field)}
    if STRICTNESS.index(said.get("it", ALLOW)) > STRICTNESS.index(narrow):
        return  # that would be a widening
    after = verdict(tool, changed(context, **{field: {**said, "it": narrow}}))
    assert STRICTNESS.index(after) >= STRICTNESS.index(before)


@settings(max_examples=1000, deadline=None)
@given(TOOLS, CONTEXTS)
def test_taint_never_widens(tool: Tool, context: PolicyContext) -> None:
    clean, tainted = (verdict(tool, replace(context, tainted=taint)) for taint in (False, True))
    assert STRICTNESS.index(tainted) >= STRICTNESS.index(clean)


@settings(max_examples=1000, deadline=None)
@given(TOOLS, CONTEXTS)
def test_a_hint_makes_the_verdict_stricter_or_leaves_it(tool: Tool, context: PolicyContext) -> None:
    before = STRICTNESS.index(verdict(tool, context))
    for flag in ("destructive", "spends", "asks"):
        flagged: Any = {flag: True}
        assert STRICTNESS.index(verdict(replace(tool, **flagged), context)) >= before


def test_the_agents_file_widens_nothing_but_open_world_reads() -> None:
    for flags in product([False, True], repeat=len(FLAGS)):
        tool = a_tool(**dict(zip(FLAGS, flags, strict=True)))
        widened = verdict(tool, AGENT_ALLOWS) is not verdict(tool, NOTHING)
        harmless = tool.read_only and not tool.destructive and not tool.spends and not tool.asks
        assert widened == (tool.open_world and harmless)
