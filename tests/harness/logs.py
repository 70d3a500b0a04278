"""Listening to a logger."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Listener = TypeVar("Listener", bound=logging.Handler)


@contextmanager
def listening(name: str, listener: Listener) -> Iterator[Listener]:
    """The `listener` hears what this logger says from INFO on, while inside."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        yield listener
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
