"""How a parsing process is spoken to: a frame is its length in four bytes, then its bytes.

A question is a frame of JSON (the job and what it needs) and one of the bytes to parse; an answer is a frame
of JSON. The first frame of a process is its answer to nothing: it is ready.
"""

import struct

LENGTH = struct.Struct(">I")
MOST_BYTES = 32 << 20


def frame(data: bytes) -> bytes:
    """The bytes of a frame."""
    return LENGTH.pack(len(data)) + data
