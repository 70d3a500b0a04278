"""What has come of one attempt at a turn so far, beside the graph's own state."""

from dataclasses import dataclass, field
from typing import TypedDict

from agents.calls import Call
from providers.base import ModelFinished
from providers.pool.run_budget import LimitReachedError


@dataclass(slots=True)
class Decided:
    """A call that people were asked about so many `times`, as it stands since."""

    call: Call
    times: int


class Noted(TypedDict):
    """What stands beside a checkpoint of the graph: what was said, and what its tools have brought."""

    texts: list[str]
    tainted: bool
    tools_used: list[str]


@dataclass(slots=True)
class TurnRecord:
    """`decided` by the ids of calls. `reached`: a limit of the run, whatever the graph makes of the error."""

    tainted: bool
    tools_used: list[str]
    decided: dict[str, Decided]
    finished: ModelFinished | None = None
    reached: LimitReachedError | None = None
    calls: dict[tuple[str, int, str], int] = field(default_factory=dict)
