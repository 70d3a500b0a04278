"""The checkpoints of one turn of a caller's own graph: ours, in a namespace of the turn.

The conversation's own checkpoint holds the graph's state as the last whole turn has left it; a turn begins
with a copy of that. So a turn that fails leaves nothing behind, and a branch has the state of its place.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
)

from agents.own.plain import strange_type
from agents.own.record import Noted, TurnRecord
from agents.own.voice import Voice
from state.errors import AgentFailedError

logger = logging.getLogger(__name__)

_NOTED = "noted"
"""In a checkpoint's metadata, and a write beside those of a step: what the turn was until then."""

_INNER = "inner_parents"
"""What LangGraph calls the parents; under that name stands the conversation's checkpoint, for the prune."""

_ERROR = "__error__"
_KEPT_AS_IT_IS = frozenset(("__interrupt__", "__resume__", _ERROR))


def _nothing() -> Noted:
    return Noted(texts=[], tainted=False, tools_used=[])


class TurnSaver(BaseCheckpointSaver[str]):
    """Keeps the steps of one turn, and with each what was said and noted in it.

    `outer` is the conversation's checkpoint that the turn began at: with the next one the steps may go.
    """

    def __init__(
        self,
        inner: BaseCheckpointSaver[str],
        namespace: str,
        base: Checkpoint | None,
        *,
        outer: str,
        agent: str,
    ) -> None:
        super().__init__(serde=inner.serde)
        self._inner = inner
        self._namespace = namespace
        self._base = base
        self._outer = outer
        self._agent = agent
        self._telling: Callable[[], Noted] = _nothing
        self._voice = Voice(lambda _: None, [], 0)

    def hear(self, voice: Voice, record: TurnRecord) -> None:
        """From now on keep what this voice says, and what is recorded."""
        self._voice = voice
        self._telling = lambda: Noted(
            texts=voice.kept, tainted=record.tainted, tools_used=list(record.tools_used)
        )

    def get_next_version(self, current: str | None, channel: None) -> str:
        return self._inner.get_next_version(current, channel)

    async def noted(self, config: RunnableConfig) -> Noted | None:
        """What the turn was until its newest step; None = it has not begun."""
        found = await self._inner.aget_tuple(self._in(config))
        if found is None:
            return None
        metadata: Mapping[str, Any] = found.metadata
        told: list[Noted] = [value for _, channel, value in found.pending_writes or () if channel == _NOTED]
        told.append(metadata.get(_NOTED) or _nothing())
        return Noted(
            texts=max((one["texts"] for one in told), key=len),
            tainted=any(one["tainted"] for one in told),
            tools_used=max((one["tools_used"] for one in told), key=len),
        )

    def is_new(self, channel: str, checkpoint: Checkpoint) -> bool:
        """Whether this turn has written a channel."""
        before = self._base["channel_versions"] if self._base else {}
        return checkpoint["channel_versions"].get(channel) != before.get(channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await self._inner.aget_tuple(self._in(config))
        if found is None:
            return self._begins(config)
        writes = [write for write in found.pending_writes or () if write[1] != _NOTED]
        parent, metadata = found.parent_config, dict[str, Any](found.metadata)
        metadata["parents"] = metadata.pop(_INNER, {})
        metadata.pop(_NOTED, None)
        return found._replace(
            config=self._out(config, found.checkpoint["id"]),
            parent_config=parent and self._out(config, get_checkpoint_id(parent)),
            metadata=cast(CheckpointMetadata, metadata),
            pending_writes=writes,
        )

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Raises: AgentFailedError: The state is more than plain data."""
        if first := self._is_base(config):
            new_versions = checkpoint["channel_versions"]  # nothing of it is in this namespace yet
        for channel in new_versions:
            self._check(channel, checkpoint["channel_values"].get(channel))
        about: Any = {**metadata, "parents": {"": self._outer}, _INNER: metadata.get("parents", {})}
        if not config["configurable"].get("checkpoint_ns", ""):
            self._voice.keep_all()
        about[_NOTED] = self._telling()
        inside = self._in(config, "" if first else get_checkpoint_id(config))
        await self._inner.aput(inside, checkpoint, about, new_versions)
        return self._out(config, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Raises: AgentFailedError: What a step has written is more than plain data."""
        if self._is_base(config):
            return
        for channel, value in writes:
            if channel not in _KEPT_AS_IT_IS:
                self._check(channel, value)
        # What the graph's code says of its failure is kept nowhere.
        writes = [(channel, "failed" if channel == _ERROR else value) for channel, value in writes]
        if not all(channel in WRITES_IDX_MAP for channel, _ in writes):
            self._voice.keep(task_id)
            writes.append((_NOTED, self._telling()))
        await self._inner.aput_writes(self._in(config), writes, task_id, task_path)

    def _check(self, channel: str, value: object) -> None:
        if strange := strange_type(value):
            extra = {"agent": self._agent, "channel": channel, "type": strange.__qualname__}
            logger.error("the state of an agent's graph cannot be kept", extra=extra)
            raise AgentFailedError("the agent's graph keeps a state that is more than plain data")

    def _begins(self, config: RunnableConfig) -> CheckpointTuple | None:
        if self._base is None or config["configurable"].get("checkpoint_ns", ""):
            return None
        if get_checkpoint_id(config) not in (None, self._base["id"]):
            return None
        about = CheckpointMetadata(source="loop", step=0, parents={})
        return CheckpointTuple(self._out(config, self._base["id"]), self._base, about, None, [])

    def _is_base(self, config: RunnableConfig) -> bool:
        return self._base is not None and get_checkpoint_id(config) == self._base["id"]

    def _in(self, config: RunnableConfig, checkpoint_id: str | None = None) -> RunnableConfig:
        inside = dict(config["configurable"])
        below = inside.get("checkpoint_ns", "")
        inside["checkpoint_ns"] = f"{self._namespace}|{below}" if below else self._namespace
        if checkpoint_id is not None:
            inside["checkpoint_id"] = checkpoint_id or None
        return {**config, "configurable": inside}

    def _out(self, config: RunnableConfig, checkpoint_id: str | None) -> RunnableConfig:
        outside = {"checkpoint_ns": "", **config["configurable"], "checkpoint_id": checkpoint_id}
        return {"configurable": outside}
