"""A caller who keeps what it was sent, and comes back for the rest."""

from collections.abc import Callable
from typing import Any

import grpc

from protos import orchestrator_pb2 as pb
from tests.harness.service import text_of


class Reader:
    """The logged chunks of one run so far. `stays` is asked before each: whether to read on."""

    def __init__(self) -> None:
        self.run_id = ""
        self.chunks: list[pb.ChatChunk] = []

    async def read(
        self, call: "grpc.aio.UnaryStreamCall[Any, pb.ChatChunk]", stays: Callable[[], bool]
    ) -> None:
        """Read until the end, or until the caller does not stay."""
        async for chunk in call:
            self.run_id = chunk.run_id
            if chunk.sequence:
                self.chunks.append(chunk)
            if not stays():
                call.cancel()
                return

    @property
    def position(self) -> int:
        return self.chunks[-1].sequence if self.chunks else 0

    @property
    def has_ended(self) -> bool:
        return bool(self.chunks) and self.chunks[-1].WhichOneof("payload") in ("complete", "error")

    @property
    def text(self) -> str:
        """What is left after discarding what each reset says."""
        shown: list[pb.ChatChunk] = []
        for chunk in self.chunks:
            if chunk.HasField("reset"):
                shown = [c for c in shown if c.sequence < chunk.reset.from_sequence]
            shown.append(chunk)
        return text_of(shown)
