"""Before a turn begins: a conversation that no longer fits its model is summed up as far as it has to be."""

from collections.abc import Callable, Mapping, Sequence
from uuid import uuid4

from agents.document import shown as document_shown
from agents.graphs.asking import shown_messages, system_of
from agents.graphs.state import Context
from agents.images import StoredImage, StoredMessage
from agents.prompt import room_for_past
from agents.spec import Shape
from agents.summary import Past, Summary, cut, gist_of, summary_request
from providers.estimate import estimate_message, estimate_tokens

_KEPT_SHARE = 2
"""Summed up is all but one part in so many of what would fit: so the next turns need no summary."""

_SUMMARY_SHARE, _MOST_SUMMARY_TOKENS = 6, 1500
_LEAST_TOKENS = 400
"""Where less is left for what was before, a summary would be too short to be of use."""

_PAUSE_MESSAGES = 8
"""Between two attempts, when one was in vain."""

_REMEMBER_THEMSELVES = frozenset({Shape.REMOTE, Shape.OWN})
_MATERIAL_SHARE = 2
"""Of the model's context, that the shape `research` fills with what it finds."""


async def recalled(
    context: Context, past: Past, turn: Sequence[StoredMessage], images: Mapping[str, StoredImage]
) -> Summary | None:
    """A newer summary, where what was before the turn does not fit beside the one there is; else None.

    It ends where a turn does, so that no wish for a tool is parted from its result.
    """
    if context.spec.shape in _REMEMBER_THEMSELVES:
        return None
    info = context.aside.summariser if context.spec.summaries else None
    if info is None or not past.messages:
        return None
    room = _room(context, turn, images)
    weigh = _scales(context, images)
    sizes = _newest(past.messages, room, weigh)
    before, gist = past.summary, gist_of(past)
    if room < _LEAST_TOKENS or len(sizes) == len(past.messages):
        return None
    if before and before.get("again_at", 0) > len(past.messages):
        return None
    known = gist.upto if gist else 0
    taken = gist.tokens if gist else 0
    if (
        gist
        and len(past.messages) - known <= len(sizes)
        and sum(sizes[: len(past.messages) - known]) <= room - taken
    ):
        return None
    tokens = min(room // _SUMMARY_SHARE, _MOST_SUMMARY_TOKENS)
    upto = _end(past.messages, sizes, room // _KEPT_SHARE - tokens)
    dropped = past.messages[known:upto]
    request = summary_request(before if gist else None, dropped, tokens, info)
    text = cut(await context.aside.summary(request), tokens)
    return _summary(past, before if gist else None, dropped, text, upto)


def _summary(
    past: Past, before: Summary | None, dropped: Sequence[StoredMessage], text: str, upto: int
) -> Summary:
    untrusted = any(message.get("untrusted", False) for message in dropped)
    untrusted = untrusted or (before is not None and before["untrusted"])
    if text:
        return Summary(text=text, upto=upto, mark=uuid4().hex, untrusted=untrusted)
    old = before or Summary(text="", upto=0, mark="", untrusted=False)
    return {**old, "again_at": len(past.messages) + _PAUSE_MESSAGES}


def _room(context: Context, turn: Sequence[StoredMessage], images: Mapping[str, StoredImage]) -> int:
    """Tokens for what was before, beside the turn as it begins and what its shape puts there."""
    spec, info, editor = context.spec, context.model.info, context.turn.editor
    tools = context.hands.specs if spec.offers_tools else ()
    now = shown_messages(turn, images, info)
    room = room_for_past(system_of(context, "", tools=bool(tools)), now, info.context_tokens)
    if spec.shape is Shape.RESEARCH:
        return room - info.context_tokens // _MATERIAL_SHARE
    if spec.shape is Shape.EDIT and editor is not None:
        return room - estimate_tokens(document_shown(editor))
    return room


def _scales(context: Context, images: Mapping[str, StoredImage]) -> Callable[[StoredMessage], int]:
    info = context.model.info
    return lambda message: sum(map(estimate_message, shown_messages([message], images, info)))


def _newest(messages: Sequence[StoredMessage], room: int, weigh: Callable[[StoredMessage], int]) -> list[int]:
    """The sizes of the newest messages that fit, the newest first."""
    sizes: list[int] = []
    for message in reversed(messages):
        room -= (size := weigh(message))
        if room < 0:
            break
        sizes.append(size)
    return sizes


def _end(messages: Sequence[StoredMessage], sizes: Sequence[int], room: int) -> int:
    """Where the newest whole turns begin that fit; behind the last message where none does."""
    found = len(messages)
    for index, size in enumerate(sizes):
        room -= size
        if room < 0:
            break
        at = len(messages) - 1 - index
        if messages[at]["role"] == "user":
            found = at
    return found
