"""Addresses at which nobody serves."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def refusing_address() -> Iterator[str]:
    """A host and port that refuse connections. Bound but not listening, so nobody else can get the port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield _name(bound)


@contextmanager
def silent_address() -> Iterator[str]:
    """A host and port at which connecting hangs: a listener whose queue is full drops what comes (Linux)."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield _name(listener)


def _name(bound: socket.socket) -> str:
    host, port = bound.getsockname()
    return f"{host}:{port}"
