"""One model call: the conversation so far and the question in, the answer out."""

import operator
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agents.events import Channel, TextEmitted
from agents.prompt import fit, system_prompt
from agents.spec import AgentSpec
from agents.turn import Emit, Turn
from providers.base import ChatModel, ModelFinished, ModelRequest, ReasoningDelta, TextDelta, TokenCount
from providers.estimate import estimate_tokens
from providers.pool.run_budget import LimitReachedError
from state.errors import ProviderBrokenError
from state.models import FinishReason, Message, Role


class StoredMessage(TypedDict):
    """A message as a checkpoint keeps it: plain data."""

    role: Role
    content: str


class Answer(TypedDict):
    """Where the last answer came from."""

    finish_reason: str
    provider: str
    model: str
    generation_id: str
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int
    estimated: bool


class State(TypedDict, total=False):
    """What a checkpoint holds.

    `messages` grows by whole turns: question and answer together, once the answer is complete. So a turn that
    fails or is cancelled leaves the conversation as it was.
    """

    messages: Annotated[list[StoredMessage], operator.add]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Context:
    """What the step needs and a checkpoint must never hold. `complete` is called when the turn is whole."""

    spec: AgentSpec
    turn: Turn
    model: ChatModel
    emit: Emit
    complete: Callable[[], None]


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
    new = [StoredMessage(role=m.role, content=m.content) for m in (*seed, Message("user", turn.question))]
    request = _request(context, [Message(m["role"], m["content"]) for m in (*said, *new)])
    text, finished = await _stream(context, request)
    reply = StoredMessage(role="assistant", content=text)
    context.complete()
    return {"messages": [*new, reply], "answer": _answer(request.messages, text, finished)}


def _request(context: Context, messages: Sequence[Message]) -> ModelRequest:
    spec, turn = context.spec, context.turn
    system = system_prompt(spec.prompt, turn.persona)
    return ModelRequest(
        messages=fit(system, messages, context.model.info.context_tokens),
        max_output_tokens=context.model.info.max_output_tokens,
        temperature=spec.temperature if turn.temperature is None else turn.temperature,
        seed=turn.seed,
        deadline=turn.deadline,
    )


async def _stream(context: Context, request: ModelRequest) -> tuple[str, ModelFinished]:
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
                        return "".join(pieces), delta
    except LimitReachedError as reached:
        return "".join(pieces), _cut_off(context, reached)
    raise ProviderBrokenError("the provider's answer has no end")


def _cut_off(context: Context, reached: LimitReachedError) -> ModelFinished:
    """The end of an answer that a limit of the run has ended: it is complete, as far as it goes."""
    info = context.model.info
    finished = reached.finished or ModelFinished(FinishReason.LIMIT, "", info.provider, info.model)
    return replace(finished, finish_reason=FinishReason.LIMIT)


def _answer(prompt: Sequence[Message], text: str, finished: ModelFinished) -> Answer:
    tokens = finished.tokens or TokenCount(
        input_tokens=sum(estimate_tokens(m.content) for m in prompt), output_tokens=estimate_tokens(text)
    )
    return Answer(
        finish_reason=finished.finish_reason.value,
        provider=finished.provider,
        model=finished.model,
        generation_id=finished.generation_id,
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cached_input_tokens=tokens.cached_input_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
        estimated=finished.tokens is None,
    )
