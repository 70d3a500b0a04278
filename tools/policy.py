"""Whether a tool call is made, asked about or refused. Pure: the same input gives the same verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from state.permissions import Grants, PermissionScope, SafetyLevel
from tools.base import Tool


class Verdict(StrEnum):
    """From lax to strict."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


Overrides = Mapping[str, Verdict]
"""Verdicts by the names of tools."""

_STRICTNESS = (Verdict.ALLOW, Verdict.ASK, Verdict.DENY)


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """What a verdict rests on beside the tool itself.

    `overrides`: from the agent's file. `operator`: from the settings. `grants`: the permission classes that a
    service principal has granted for this run. `standing`: the tools that a person has approved beyond one
    call. `tainted`: the run has read untrusted content.
    """

    overrides: Overrides = field(default_factory=dict)
    operator: Overrides = field(default_factory=dict)
    grants: frozenset[str] = frozenset()
    standing: Grants = field(default_factory=dict)
    tainted: bool = False


def reads(tool: Tool) -> bool:
    """Whether a call changes nothing and costs nothing."""
    return tool.read_only and not tool.destructive and not tool.spends


def verdict(tool: Tool, context: PolicyContext) -> Verdict:
    """What is to become of a call of this tool.

    A tool that reads and stays in the backend is allowed, all else is asked about. The agent's file and the
    operator may both narrow that, and the stricter of the two holds; they widen only so far as `_widened`
    says. What is then still asked about may rest on a grant or on a standing approval. No narrowing is ever
    undone but by those two, and a DENY by nothing.
    """
    said = [of[tool.name] for of in (context.overrides, context.operator) if tool.name in of]
    strictest = max(said, key=_STRICTNESS.index, default=Verdict.ALLOW)
    if strictest is Verdict.DENY:
        return Verdict.DENY
    if tool.asks:
        return Verdict.ASK
    if strictest is Verdict.ALLOW and (_allowed_by_default(tool) or _widened(tool, context)):
        return Verdict.ALLOW
    return Verdict.ALLOW if _consented(tool, context) else Verdict.ASK


def allowed_scopes(tool: Tool) -> tuple[PermissionScope, ...]:
    """How far an approval of this tool may go."""
    if tool.asks or _irrevocable(tool):
        return (PermissionScope.ONCE,)
    return (PermissionScope.ONCE, PermissionScope.RUN, PermissionScope.CONVERSATION)


def safety_level(tool: Tool) -> SafetyLevel:
    """`low`: it reads. `medium`: it writes what can be undone. `high`: it destroys, spends or sends."""
    if reads(tool):
        return "low"
    return "medium" if reversible(tool) else "high"


def reversible(tool: Tool) -> bool:
    """Whether what a call does can be undone."""
    return reads(tool) or not (_irrevocable(tool) or _sends(tool))


def _allowed_by_default(tool: Tool) -> bool:
    return reads(tool) and not tool.open_world


def _widened(tool: Tool, context: PolicyContext) -> bool:
    if _reads_the_open_world(tool):
        return tool.name in context.overrides or tool.name in context.operator
    # Whatever the operator has allowed: what strangers wrote may be what wants this call.
    return tool.name in context.operator and not _irrevocable(tool) and not context.tainted


def _consented(tool: Tool, context: PolicyContext) -> bool:
    if _irrevocable(tool) or (context.tainted and not _reads_the_open_world(tool)):
        return False
    if tool.operation_type in context.grants:
        return True
    return context.standing.get(tool.name, PermissionScope.ONCE) is not PermissionScope.ONCE


def _reads_the_open_world(tool: Tool) -> bool:
    return tool.open_world and reads(tool)


def _irrevocable(tool: Tool) -> bool:
    return tool.destructive or tool.spends


def _sends(tool: Tool) -> bool:
    return not tool.read_only and tool.open_world
