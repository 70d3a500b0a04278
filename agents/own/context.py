"""What a caller's own graph is given for a turn: import it as `agents.own.context.TurnContext`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool


@dataclass(frozen=True, slots=True)
class TurnContext:
    """The graph's runtime context, new for every attempt of a run; nothing of it belongs into the state.

    `model` is the agent's class of models as one: each call asks for a place, is accounted for and is new.
    What it writes goes to the caller, unless the call has the tag `nostream`. `tools` are those of the
    agent's file; one that needs consent stops the graph until a person has decided. `system` is the file's
    prompt, filled in; messages without a system message are given it. `hints` are `ChatRequest.metadata`.
    """

    model: BaseChatModel
    tools: Sequence[BaseTool]
    question: str
    system: str
    user_id: str
    run_id: str
    hints: Mapping[str, str]
