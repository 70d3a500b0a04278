"""What the graphs of one conversation share: what a checkpoint holds, and what it must never hold."""

import operator
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict

from langgraph.checkpoint.base import Checkpoint

from agents.aside import Aside
from agents.calls import Call
from agents.elsewhere import Elsewhere
from agents.graphs.hearing import There
from agents.hands import Hands
from agents.images import StoredImage, StoredMessage
from agents.judge import Judge
from agents.own.asking import Asked
from agents.spec import AgentSpec
from agents.summary import Summary
from agents.turn import Emit, Turn
from providers.base import ChatModel, ModelFinished
from providers.pool.run_budget import Limit
from state.models import RunId
from state.threads import RunThread
from state.usage import Usage


class Answer(TypedDict):
    """Where the last answer came from. `usage`: of the run until then; `limit`: what cut the answer short.

    `text` is what the run has said in all, where that is more than its last message, and `lengths` how many
    characters of it are each message's. `edits` are the values
    of an `EditsProposed`, `citations` those of `Citation`s. `title` is the
    conversation's, in the turn that has given it one.
    """

    finish_reason: str
    provider: str
    model: str
    generation_id: str
    usage: NotRequired[dict[str, Any]]
    limit: NotRequired[str]
    tools_used: NotRequired[list[str]]
    text: NotRequired[str]
    lengths: NotRequired[list[int]]
    edits: NotRequired[dict[str, Any]]
    citations: NotRequired[list[dict[str, str]]]
    dropped_citations: NotRequired[int]
    title: NotRequired[str]


class DecidedCall(TypedDict):
    """A call that people were asked about so many `times`."""

    call: Call
    times: int


class OwnWork(TypedDict):
    """Where a turn of a caller's own graph stands: what it `asked`, and then the `answers` by interrupt.

    `calls` are those that were decided, by their ids.
    """

    asked: list[Asked]
    answers: dict[str, Any]
    calls: dict[str, DecidedCall]


class Kept(TypedDict):
    """The state of a caller's own `graph` as its last whole turn has left it."""

    graph: str
    checkpoint: Checkpoint


class Work(TypedDict):
    """A turn that is under way, in a graph of several steps.

    `seed` is what the caller brought to a new conversation. `messages` begins with the question; `texts` are
    the model's, one for each of its answers; `calls` are those of the newest. `step` is where the results of
    the calls go, "model" if nothing is said. `limit`: which limit of the run has ended the use of tools.
    `rounds` counts those of research that have begun; `done`: every call of the last step succeeded. A turn
    that is done `elsewhere` has texts that are joined without anything between them. `summary`: the
    conversation's, if this turn has renewed it.
    """

    run_id: str
    seed: list[StoredMessage]
    messages: list[StoredMessage]
    texts: list[str]
    calls: list[Call]
    tainted: bool
    tools_used: list[str]
    step: NotRequired[str]
    limit: NotRequired[str]
    rounds: NotRequired[int]
    done: NotRequired[bool]
    elsewhere: NotRequired[There]
    own: NotRequired[OwnWork]
    summary: NotRequired[Summary]


class Collected(TypedDict):
    """The fields of a form that is not done yet, by name, and whose it is."""

    agent: str
    values: dict[str, str]


class State(TypedDict, total=False):
    """What a checkpoint holds.

    `messages` grows by whole turns: question and answer together, once the answer is complete. So a turn that
    fails or is cancelled leaves the conversation as it was. `images` by their digest change only when a turn
    brings some, so that other turns do not write them again. `work` is of the newest run alone; `form` stays
    until it is done. `elsewhere`: by `Elsewhere.place`, the state of their last answer there. `own` by the
    names of agents. `title` comes with the first turn; `summary` stands for a beginning of `messages`, and
    changes, as they do, with whole turns.
    """

    messages: Annotated[list[StoredMessage], operator.add]
    images: dict[str, StoredImage]
    answer: Answer
    work: Work | None
    form: Collected | None
    elsewhere: dict[str, str]
    own: dict[str, Kept]
    title: str
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class Context:
    """What the steps need and a checkpoint must never hold.

    `complete` is called when the turn is whole; `usage` tells what the run has used until then. `go_on`
    raises when the run is to end between two steps. `near` tells the limit that leaves room for one more
    answer alone, to a prompt of so many tokens. `texts_shown` and `ends_at` as in `Means`. `elsewhere` is
    there for a remote agent alone. `pace` as in `ModelRequest`, for what is emitted.
    """

    run_id: RunId
    spec: AgentSpec
    turn: Turn
    model: ChatModel
    emit: Emit
    complete: Callable[[], None]
    usage: Callable[[], Usage]
    go_on: Callable[[], Awaitable[None]]
    near: Callable[[Callable[[], int]], Limit | None]
    judge: Judge
    hands: Hands
    pace: Callable[[], float]
    aside: Aside
    thread: RunThread
    texts_shown: int
    ends_at: float | None
    elsewhere: Elsewhere | None = None


def answer_of(finished: ModelFinished, limit: str, usage: Usage, tools_used: list[str]) -> Answer:
    """What is kept of an answer beside its text."""
    return Answer(
        finish_reason=finished.finish_reason.value,
        provider=finished.provider,
        model=finished.model,
        generation_id=finished.generation_id,
        usage=usage.plain(),
        limit=limit,
        tools_used=tools_used,
    )
