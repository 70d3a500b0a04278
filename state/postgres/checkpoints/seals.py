"""The values of one thread's checkpoints, sealed and opened each at its place."""

from base64 import b64decode, b64encode
from dataclasses import dataclass

import orjson
from langgraph.checkpoint.serde.base import SerializerProtocol

from state.errors import StateUnreadableError
from state.sealing import Place, Sealing, is_sealed

SEALED = "+aes256gcm"
"""Ends the type of a sealed blob. No serializer's own type has a plus, and the official saver knows none that
ends so: it refuses."""
INLINE = "aes256gcm"
"""In the place of a value in a checkpoint's JSON: plain values are no objects."""

Typed = tuple[str, bytes]
"""A type and bytes, as a serializer makes them or as they are stored."""


@dataclass(frozen=True, slots=True)
class Seals:
    """Raises, on opening, StateUnreadableError, or what the serializer raises for garbled bytes."""

    serde: SerializerProtocol
    sealing: Sealing
    thread_id: str
    namespace: str

    def blob(self, channel: str, version: str, value: object) -> Typed:
        """The type and the bytes to store."""
        return self.sealed(self.of_blob(channel, version), *self.serde.dumps_typed(value))

    def opened_blob(self, channel: str, version: str, stored: Typed) -> object:
        return self.serde.loads_typed(self.opened(self.of_blob(channel, version), *stored))

    def write(self, checkpoint_id: str, task_id: str, index: int, channel: str, value: object) -> Typed:
        """The type and the bytes to store."""
        place = self.of_write(checkpoint_id, task_id, index, channel)
        return self.sealed(place, *self.serde.dumps_typed(value))

    def opened_write(
        self, checkpoint_id: str, task_id: str, index: int, channel: str, stored: Typed
    ) -> object:
        place = self.of_write(checkpoint_id, task_id, index, channel)
        return self.serde.loads_typed(self.opened(place, *stored))

    def inline(self, checkpoint_id: str, channel: str, value: object) -> object:
        """What stands in the checkpoint's JSON. A truth value says nothing, and SQL reads the mark `true`."""
        if not self.sealing.on or value is None or isinstance(value, bool):
            return value
        sealed = self.sealing.seal(self.of_inline(checkpoint_id, channel), orjson.dumps(value))
        return {INLINE: b64encode(sealed).decode()}

    def opened_inline(self, checkpoint_id: str, channel: str, value: object) -> object:
        if not isinstance(value, dict):
            return value
        sealed = b64decode(value[INLINE], validate=True)
        return orjson.loads(self.sealing.open(self.of_inline(checkpoint_id, channel), sealed))

    def sealed(self, place: Place, kind: str, blob: bytes) -> Typed:
        """The type and the bytes to store."""
        if not self.sealing.on:
            return kind, blob
        return kind + SEALED, self.sealing.seal((*place, kind), blob)

    def opened(self, place: Place, kind: str, blob: bytes) -> Typed:
        """What the serializer made."""
        if not kind.endswith(SEALED):
            return kind, blob
        kind = kind.removesuffix(SEALED)
        if not is_sealed(blob):
            raise StateUnreadableError("what is called sealed is not")
        return kind, self.sealing.open((*place, kind), blob)

    def of_blob(self, channel: str, version: str) -> Place:
        return ("checkpoint_blobs.blob", self.thread_id, self.namespace, channel, version)

    def of_write(self, checkpoint_id: str, task_id: str, index: int, channel: str) -> Place:
        at = (self.thread_id, self.namespace, checkpoint_id)
        return ("checkpoint_writes.blob", *at, task_id, index, channel)

    def of_inline(self, checkpoint_id: str, channel: str) -> Place:
        return ("checkpoints.checkpoint", self.thread_id, self.namespace, checkpoint_id, channel)
