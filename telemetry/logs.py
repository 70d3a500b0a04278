"""Structured logs: one JSON object a line, ids and numbers only, never a text that came from outside."""

import hmac
import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from hashlib import sha256
from typing import TextIO

from telemetry.scope import scope

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as one JSON line: time, level, logger, message, what it is about, and what stands in `extra`.

    Of users there is a hash alone, made with `user_key`. An exception is given by its type and the places it
    passed, without its text: that may hold a prompt, a row or a secret.
    """

    def __init__(self, user_key: str = "") -> None:
        super().__init__()
        self._user_key = user_key.encode()

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            # What follows the first line of asyncio's is the repr of a task, with that of its exception.
            "message": record.getMessage().partition("\n")[0],
        }
        line.update(self._about())
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe(record.exc_info[1])
        return json.dumps(line, default=str)

    def _about(self) -> dict[str, object]:
        """Of the code that logs: a record is formatted where it is made."""
        about = scope()
        known = {
            "trace_id": about.trace_id,
            "request_id": about.request_id,
            "run_id": about.run_id,
            "user_hash": about.user and hashed(about.user, self._user_key),
        }
        return {name: value for name, value in known.items() if value}


def hashed(user: str, key: bytes) -> str:
    """What stands for a user: 64 bits in hex. With a key nobody finds out by trying names."""
    return hmac.new(key, user.encode(), sha256).hexdigest()[:16]


def describe(error: BaseException) -> list[str]:
    """The type of an exception and of each of its causes, with the places each passed, without any text."""
    described = []
    cause: BaseException | None = error
    while cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
        places = " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in reversed(frames))
        described.append(f"{type(cause).__name__} at {places}" if places else type(cause).__name__)
        cause = cause.__cause__
    return described


def configure(level: str, stream: TextIO | None = None, *, user_key: str = "") -> None:
    """Send this process's logs to a stream (standard error) as JSON lines, from `level` up."""
    # What no line of ours says is not looked up for each of them.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = ""  # the way that logging's own documentation shows
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(user_key))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # grpc.aio logs the text of whatever a handler raises; what it has to say our interceptor has said.
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    # LangGraph tells the text of what a caller's graph raises, where a node has a retry policy.
    logging.getLogger("langgraph").setLevel(max(logging.WARNING, logging.getLogger().level))
