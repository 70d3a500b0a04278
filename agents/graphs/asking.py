"""One call of a model: what it is shown, and what it says."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from agents.events import Channel, TextEmitted
from agents.graphs.state import Context, State
from agents.graphs.titling import first
from agents.images import StoredImage, StoredMessage, attached, kept, shown
from agents.json_answer import described, form_of
from agents.prompt import fit, system_prompt
from agents.reading import reads
from agents.summary import Past, gist_of
from agents.turn import Emit, Persona
from agents.variables import check_variables, filled
from providers.base import (
    ModelFinished,
    ModelInfo,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolSpec,
)
from providers.pool.run_budget import LimitReachedError
from state.errors import ProviderBrokenError
from state.models import FinishReason, Message, ToolCall

_TEXT_SHARE = 3
"""One part in so many of the model's context is for each attached text."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model has said. `limit`: which limit of the run has cut it short, if one has."""

    text: str
    calls: tuple[ToolCall, ...]
    finished: ModelFinished
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn's beginning: what seeds the conversation, the question, and all images that are kept."""

    seed: list[StoredMessage]
    question: StoredMessage
    images: dict[str, StoredImage]


def asked(state: State, context: Context) -> Asked:
    """The question, after the history that the caller brings to a conversation without a turn.

    From here on a conversation's first question is given a title.
    """
    said, turn = state["messages"], context.turn
    if first(state, context):
        context.aside.begin_title(turn.question)
    seed = () if said else turn.history
    question = StoredMessage(role="user", content=turn.question)
    images = state.get("images") or {}
    if turn.attaches:
        question["images"], brought = attached(turn.images, turn.texts)
        images = images | brought
    before = [StoredMessage(role=m.role, content=m.content) for m in seed]
    return Asked(before, question, kept([*said, *before, question], images) if turn.attaches else images)


def request_of(
    context: Context,
    past: Past,
    turn: Sequence[StoredMessage],
    images: Mapping[str, StoredImage],
    *,
    tools: tuple[ToolSpec, ...] = (),
    rules: str = "",
    material: str = "",
) -> ModelRequest:
    """What the model is asked: the messages of this turn, and as much of what was before as fits.

    Where not all does, the summary stands for the rest. `rules` follow the agent's prompt; `material` comes
    before the question and is kept nowhere.
    """
    spec, info, wishes = context.spec, context.model.info, context.turn
    about, document = reads(spec, wishes, info.context_tokens)
    rules, material = rules or about, material or document
    system = system_of(context, rules, tools=bool(tools))
    if material:
        question, *others = turn
        turn = [{**question, "content": f"{material}\n\n{question['content']}"}, *others]
    gist, said = gist_of(past), past.messages
    if not tools:
        said = list(filter(None, map(_without_tools, said)))
        if gist is not None:
            summed_up = filter(None, map(_without_tools, past.messages[: gist.upto]))
            gist = replace(gist, upto=len(list(summed_up)))
    before, now = (shown_messages(messages, images, info) for messages in (said, turn))
    return ModelRequest(
        messages=fit(system, before, now, info.context_tokens, gist),
        max_output_tokens=info.max_output_tokens,
        temperature=spec.temperature if wishes.temperature is None else wishes.temperature,
        seed=wishes.seed,
        deadline=wishes.deadline,
        tools=tools,
        json_schema=form_of(spec.name, spec.response_schema) if info.json_schema else None,
    )


def system_of(context: Context, rules: str, *, tools: bool) -> str:
    """The system prompt of an agent: its file's, what a step adds, and how the user wants to be answered."""
    spec, turn, prompt = context.spec, context.turn, context.spec.prompt
    if spec.variables:
        check_variables(spec.name, spec.variables, turn.hints)  # a file may have changed while the run waited
        prompt = filled(prompt, turn.hints, context.run_id)
    if rules:
        prompt = f"{prompt}\n\n{rules}"
    if spec.response_schema is not None and not context.model.info.json_schema:
        prompt = described(prompt, spec.response_schema)
    return system_prompt(prompt, Persona() if spec.fresh else turn.persona, tools=tools)


def _without_tools(message: StoredMessage) -> StoredMessage | None:
    """As who is offered no tools may see it: some providers refuse a call of a tool that they do not know."""
    if message["role"] == "tool" or ("tool_calls" in message and not message["content"]):
        return None
    return StoredMessage(role=message["role"], content=message["content"], images=message.get("images", []))


def shown_messages(
    messages: Sequence[StoredMessage], images: Mapping[str, StoredImage], info: ModelInfo
) -> list[Message]:
    """Stored messages as a model is shown them."""
    most = info.context_tokens // _TEXT_SHARE
    return [shown(message, images, seen=info.images, most_tokens=most) for message in messages]


async def say(
    context: Context,
    request: ModelRequest,
    *,
    index: int = 0,
    opening: str = "",
    aloud: bool = True,
    hears_wishes: bool = False,
) -> Said:
    """Call the model. Its text goes out as it is written, as message `index`, after the `opening`.

    Unless it is said `aloud`, nothing goes out.

    Raises:
        ProviderError: The model failed, or wished for a tool where nobody hears that.
    """
    pieces: list[str] = []
    calls: list[ToolCall] = []
    emit: Emit = context.emit if aloud else lambda _: None
    if aloud:
        request = replace(request, pace=context.pace)
    try:
        async with aclosing(context.model.stream(request)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        lead = "" if pieces else opening
                        pieces.append(delta.text)
                        emit(TextEmitted(lead + delta.text, message_index=index))
                    case ReasoningDelta():
                        emit(TextEmitted(delta.text, Channel.REASONING, index))
                    case ToolCallDelta():
                        calls.append(delta.call)
                    case ModelFinished():
                        return Said(
                            "".join(pieces), tuple(calls), _finished(calls, delta, hears_wishes=hears_wishes)
                        )
    except LimitReachedError as reached:
        return Said("".join(pieces), (), _cut_off(context, reached), reached.limit.value)
    raise ProviderBrokenError("the provider's answer has no end")


def _finished(calls: Sequence[ToolCall], finished: ModelFinished, *, hears_wishes: bool) -> ModelFinished:
    if calls and not hears_wishes:
        raise ProviderBrokenError("the model wishes for a tool where it was offered none")
    if finished.finish_reason is FinishReason.TOOL_CALLS and not calls:
        return replace(finished, finish_reason=FinishReason.STOP)  # it says that it wishes, and for nothing
    return finished


def _cut_off(context: Context, reached: LimitReachedError) -> ModelFinished:
    """The end of an answer that a limit of the run has ended: it is complete, as far as it goes."""
    info = context.model.info
    finished = reached.finished or ModelFinished(FinishReason.LIMIT, "", info.provider, info.model)
    return replace(finished, finish_reason=FinishReason.LIMIT)
