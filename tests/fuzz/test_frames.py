"""Frames that no HTTP/2 library would send: whoever sends them is sent away, and nobody else notices."""

import asyncio
import os
import random
import struct
from contextlib import suppress

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.scale import report, scaled
from tests.harness.service import running_service, text_of

SEED = int(os.environ.get("FUZZ_SEED", "20261122"))
CONNECTIONS = scaled(60)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_KINDS = (*range(11), 0xFA)
_STREAMS = (0, 1, 1, 2, 3, 2**31 - 1, 2**31)
_FIELD = b"\x00\x04path\x01/\x82\x83\x84\x86"


def _frame(source: random.Random) -> bytes:
    """A frame of any type, with a length that is mostly its own."""
    payload = _FIELD * source.randrange(3) + source.randbytes(source.choice((0, 1, 4, 5, 8, 9, 64, 400)))
    told = len(payload) if source.random() < 0.8 else source.choice((0, 1, 2**14 + 1, 2**24 - 1))
    head = struct.pack(">I", told)[1:] + bytes(
        (source.choice(_KINDS), source.choice((0, 1, 4, 5, 8, 0x25, 255)))
    )
    return head + struct.pack(">I", source.choice(_STREAMS)) + payload


def _nonsense(source: random.Random) -> bytes:
    start = source.choice((_PREFACE + _SETTINGS, _PREFACE + _SETTINGS, _PREFACE, b"", _PREFACE[:10]))
    return start + b"".join(_frame(source) for _ in range(source.randrange(1, 30)))


async def _send(port: int, nonsense: bytes, pieces: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError):  # the other side may have closed at any moment
        size = max(1, len(nonsense) // pieces)
        for start in range(0, len(nonsense), size):
            writer.write(nonsense[start : start + size])
            await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(30):
            while await reader.read(1 << 16):
                pass
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def test_frames_of_nonsense_end_their_own_connection_and_disturb_no_other(
    dsn: str, provider: ScriptedProvider
) -> None:
    report(f"frames: {CONNECTIONS} connections of seed {SEED}")
    source = random.Random(SEED)
    async with running_service(dsn, provider) as service:
        for _ in range(CONNECTIONS // 20):
            attacks = [
                _send(service.port, _nonsense(source), source.choice((1, 1, 3, 50))) for _ in range(20)
            ]
            answers = asyncio.gather(*(service.chat() for _ in range(3)))
            await asyncio.gather(*attacks)
            assert all(text_of(chunks) for chunks in await answers)
        assert text_of(await service.chat())
