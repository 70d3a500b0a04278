"""One model call: the conversation so far and the question in, the answer out."""

import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, NotRequired, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agents.events import Channel, TextEmitted
from agents.images import StoredImage, StoredMessage, attached, kept, shown
from agents.prompt import fit, system_prompt
from agents.spec import AgentSpec
from agents.turn import Emit, Turn
from providers.base import ChatModel, ModelFinished, ModelRequest, ReasoningDelta, TextDelta
from providers.pool.run_budget import LimitReachedError
from state.errors import ProviderBrokenError
from state.models import FinishReason, Message
from state.usage import Usage


class Answer(TypedDict):
    """Where the last answer came from. `usage`: of the run until then; `limit`: what cut the answer short."""

    finish_reason: str
    provider: str
    model: str
    generation_id: str
    usage: NotRequired[dict[str, Any]]
    limit: NotRequired[str]


class State(TypedDict, total=False):
    """What a checkpoint holds.

    `messages` grows by whole turns: question and answer together, once the answer is complete. So a turn that
    fails or is cancelled leaves the conversation as it was. `images` by their digest change only when a turn
    brings some, so that other turns do not write them again.
    """

    messages: Annotated[list[StoredMessage], operator.add]
    images: dict[str, StoredImage]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Context:
    """What the step needs and a checkpoint must never hold.

    `complete` is called when the turn is whole; `usage` tells what the run has used until then.
    """

    spec: AgentSpec
    turn: Turn
    model: ChatModel
    emit: Emit
    complete: Callable[[], None]
    usage: Callable[[], Usage]


Graph = CompiledStateGraph[State, Context, State, State]


def build(checkpointer: BaseCheckpointSaver[str]) -> Graph:
    """Compile the graph; one instance serves every agent of this shape."""
    graph = StateGraph(State, context_schema=Context)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=checkpointer)


async def answer(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Stream one answer; add the complete turn to the conversation."""
    context, turn, said = runtime.context, runtime.context.turn, state["messages"]
    seed = () if said else turn.history
    question = StoredMessage(role="user", content=turn.question)
    images = state.get("images", {})
    if turn.images:
        question["images"], brought = attached(turn.images)
        images = images | brought
    new = [*(StoredMessage(role=m.role, content=m.content) for m in seed), question]
    text, finished, limit = await _stream(context, _request(context, [*said, *new], images))
    reply = StoredMessage(role="assistant", content=text)
    context.complete()
    changed = {"images": kept([*said, *new], images)} if turn.images else {}
    told = _answer(finished, limit, context.usage())
    return {"messages": [*new, reply], "answer": told, **changed}


def _request(
    context: Context, messages: Sequence[StoredMessage], images: Mapping[str, StoredImage]
) -> ModelRequest:
    spec, turn, info = context.spec, context.turn, context.model.info
    system = system_prompt(spec.prompt, turn.persona)
    seen: list[Message] = [shown(message, images, seen=info.images) for message in messages]
    return ModelRequest(
        messages=fit(system, seen, info.context_tokens),
        max_output_tokens=info.max_output_tokens,
        temperature=spec.temperature if turn.temperature is None else turn.temperature,
        seed=turn.seed,
        deadline=turn.deadline,
    )


async def _stream(context: Context, request: ModelRequest) -> tuple[str, ModelFinished, str]:
    """The answer's text, how it ended, and the limit of the run that ended it, if one did."""
    pieces: list[str] = []
    try:
        async with aclosing(context.model.stream(request)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        pieces.append(delta.text)
                        context.emit(TextEmitted(delta.text))
                    case ReasoningDelta():
                        context.emit(TextEmitted(delta.text, Channel.REASONING))
                    case ModelFinished():
                        return "".join(pieces), delta, ""
    except LimitReachedError as reached:
        return "".join(pieces), _cut_off(context, reached), reached.limit.value
    raise ProviderBrokenError("the provider's answer has no end")


def _cut_off(context: Context, reached: LimitReachedError) -> ModelFinished:
    """The end of an answer that a limit of the run has ended: it is complete, as far as it goes."""
    info = context.model.info
    finished = reached.finished or ModelFinished(FinishReason.LIMIT, "", info.provider, info.model)
    return replace(finished, finish_reason=FinishReason.LIMIT)


def _answer(finished: ModelFinished, limit: str, usage: Usage) -> Answer:
    return Answer(
        finish_reason=finished.finish_reason.value,
        provider=finished.provider,
        model=finished.model,
        generation_id=finished.generation_id,
        usage=_plain(usage),
        limit=limit,
    )


def _plain(usage: Usage) -> dict[str, Any]:
    return {**asdict(usage), "by_model": [asdict(part) for part in usage.by_model]}
