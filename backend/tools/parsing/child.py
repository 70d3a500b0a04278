"""The process that reads what strangers wrote. `python -m backend.tools.parsing.child SECONDS BYTES`

Its limits are the system's, so nothing that a parser does can get round them: of processor time for one
job, of memory for all. It does not mend what goes wrong: it ends, and another one is started.
"""

import json
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO

from backend.tools.parsing.feed import read_feed
from backend.tools.parsing.frames import LENGTH, frame
from backend.tools.parsing.page import read_page

_JOBS: Mapping[str, Callable[[bytes, Mapping[str, str]], Mapping[str, object]]] = {
    "feed": read_feed,
    "page": read_page,
}


def serve(source: BinaryIO, sink: BinaryIO, cpu_seconds: float) -> None:
    """Answer until the other side has gone."""
    sink.write(frame(b"{}"))
    sink.flush()
    while (asked := _received(source)) is not None:
        body = _received(source) or b""
        question = json.loads(asked)
        # SIGPROF ends a process that does not expect it, also in the middle of a C library.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        answer = _JOBS[question["job"]](body, question)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sink.write(frame(json.dumps(answer).encode()))
        sink.flush()


def _received(source: BinaryIO) -> bytes | None:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    return source.read(size)


def main() -> None:
    """Take the limits of the command line, and serve on standard input and output."""
    cpu_seconds, memory_bytes = float(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    serve(sys.stdin.buffer, sys.stdout.buffer, cpu_seconds)


if __name__ == "__main__":
    main()
