"""Our turn as a request to a remote.

The same turn is the same bytes in every attempt and on every machine: by that, and its `request_id`, a remote
knows what it has begun already.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.elsewhere import Listen
from agents.turn import Turn
from protos import orchestrator_pb2 as pb
from providers.pool.run_budget import RunCaps
from state.models import ConversationId, Owner, RunId
from state.threads import thread_id

HOPS = "x-orchestrator-hops"
"""The key in `ChatRequest.metadata` that counts how often a request was handed on."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What a run of ours wants done elsewhere, the same in each of its attempts.

    `hints` are passed on as they are; `hops`: how often the request was handed on before. `caps` are wished
    for, with costs in `currency`. `no_tools`: none may be used. `branched` as in `Elsewhere`.
    """

    owner: Owner
    run_id: RunId
    conversation: ConversationId
    agent_type: str
    turn: Turn
    hints: Mapping[str, str] = field(default_factory=dict)
    hops: int = 0
    caps: RunCaps = field(default_factory=RunCaps)
    currency: str = ""
    no_tools: bool = False
    permission_seconds: float | None = None
    branched: bool = False

    def request_id(self, number: int) -> str:
        """The idempotency key of the run of this number there, from 0."""
        return f"{self.run_id}-{number}" if number else str(self.run_id)


def conversation_there(brief: Brief) -> str:
    """Their conversation for ours with this agent of theirs: always the same, and nobody else's."""
    parts = f"{thread_id(brief.owner, brief.conversation)} {brief.agent_type}"
    return hashlib.sha256(parts.encode()).hexdigest()[:40]


def chat_request(brief: Brief, wanted: Listen, heartbeat_seconds: float) -> pb.ChatRequest:
    turn, persona = brief.turn, brief.turn.persona
    request = pb.ChatRequest(
        user_id=brief.owner,
        conversation_id=conversation_there(brief),
        query=turn.question,
        agent_type=brief.agent_type,
        request_id=brief.request_id(wanted.round),
        base_checkpoint_id=wanted.base,
        conversation_history=[pb.ConversationMessage(role=m.role, content=m.content) for m in wanted.history],
        metadata={**brief.hints, HOPS: str(brief.hops + 1)},
        allowed_tools=["none"] if brief.no_tools else [],
        attachments=[
            pb.Attachment(mime_type=one.image.mime_type, name=one.name, data=one.image.data)
            for one in turn.images
        ],
        persona=pb.UserPersona(
            ai_name=persona.ai_name,
            persona_style=persona.style,
            political_bias=persona.political_bias,
            timezone=persona.timezone,
            custom_preferences=dict(persona.preferences),
        ),
        run_options=pb.RunOptions(
            on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE,
            on_saturated=pb.SATURATION_BEHAVIOR_FAIL,  # who waits, waits in our line
            on_busy=pb.BUSY_BEHAVIOR_INTERRUPT,  # what is left there is of a run of ours that is over
        ),
        stream_options=reader(heartbeat_seconds),
    )
    if turn.temperature is not None:
        request.model.temperature = turn.temperature
    if turn.seed is not None:
        request.model.seed = turn.seed
    if brief.permission_seconds is not None:
        request.run_options.permission_timeout.FromNanoseconds(int(brief.permission_seconds * 1e9))
    _put_caps(request.limits, brief)
    _put_editor(request, turn)
    return request


def reader(heartbeat_seconds: float) -> pb.StreamOptions:
    """How we read along."""
    options = pb.StreamOptions(include_reasoning=True, structured_only=True)
    options.heartbeat_interval.FromNanoseconds(int(heartbeat_seconds * 1e9))
    return options


def _put_caps(limits: pb.RunLimits, brief: Brief) -> None:
    caps = brief.caps
    if caps.max_seconds is not None:
        limits.max_duration.FromNanoseconds(int(caps.max_seconds * 1e9))
    limits.max_output_tokens = caps.max_output_tokens or 0
    limits.max_total_tokens = caps.max_total_tokens or 0
    limits.max_steps = caps.max_steps or 0
    limits.max_tool_calls = caps.max_tool_calls or 0
    if caps.max_cost_micros is not None:
        limits.max_cost_micros = caps.max_cost_micros
        limits.currency = brief.currency


def _put_editor(request: pb.ChatRequest, turn: Turn) -> None:
    document = turn.editor
    if document is None:
        return
    editor = request.active_editor
    editor.is_editable = True
    editor.filename, editor.language = document.filename, document.language
    editor.content, editor.content_length = document.content, len(document.content)
    editor.document_id = document.document_id
    front = dict(document.front_matter)
    for name in ("title", "author", "status"):
        setattr(editor.frontmatter, name, front.pop(name, ""))
    editor.frontmatter.type = front.pop("type", document.type)
    editor.frontmatter.tags.extend(tag for tag in front.pop("tags", "").split(", ") if tag)
    editor.frontmatter.custom_fields.update(front)
    if document.cursor is not None:
        editor.cursor_offset = document.cursor
    if document.selection is not None:
        editor.selection_start, editor.selection_end = document.selection
