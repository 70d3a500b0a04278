"""What a soak reads from /proc is what a process really holds."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from tests.soak.processes import cpu_seconds, held, sockets, tree

_MORE = 20
_KEPT = 32 << 20


@contextmanager
def _connected(count: int) -> Iterator[tuple[int, list[socket.socket]]]:
    """Connections of this process with itself: the port they go to, and the far ends."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = server.getsockname()[1]
        far = []
        for _ in range(count):
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
            far.append(stack.enter_context(closing(server.accept()[0])))
        yield port, far


def test_descriptors_and_memory_that_are_kept_are_seen() -> None:
    me = [os.getpid()]
    before = held(me)
    with ExitStack() as stack:
        for _ in range(_MORE):
            stack.callback(os.close, os.open("/dev/null", os.O_RDONLY))
        kept = b"x" * _KEPT
        after = held(me)
    assert after["descriptors"] == before["descriptors"] + _MORE
    assert after["rss"] - before["rss"] > len(kept) / 2
    assert after["uss"] - before["uss"] > len(kept) / 2


def test_sockets_are_told_apart_by_port_and_state() -> None:
    with _connected(3) as (port, far):
        far[0].shutdown(socket.SHUT_WR)
        found = sockets([os.getpid()], {"here": port})
    assert found["sockets_here"] == 6  # both ends are ours
    assert found["sockets_close_wait"] == 1
    assert found["sockets_listening"] >= 1


async def test_children_count_and_their_time_too() -> None:
    command = "import sys; sum(range(10**7)); print('done', flush=True); sys.stdin.read()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    ours, postgres = tree(os.getpid())
    used = cpu_seconds([process.pid])
    await process.communicate(b"")
    assert process.pid in ours
    assert process.pid not in postgres
    assert used > 0.0
