"""Logs: one JSON object a line, with a constant message, ids and numbers. No text of an exception."""

import json
import logging
from datetime import UTC, datetime

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_QUIET = ("uvicorn.error",)  # it logs texts of exceptions; what matters of them the edge logs


class JSONLines(logging.Formatter):
    """Time, level, logger, message, and what came in `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = {name: value for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info and record.exc_info[0]:
            extra["error"] = record.exc_info[0].__name__
        return json.dumps({**line, **extra}, default=str)


def configure(level: str) -> None:
    """To standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JSONLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
