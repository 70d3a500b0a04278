"""Where output goes: to a terminal, with rich where that is installed, or elsewhere."""

import sys
from typing import TextIO

from llm_orchestrator_client.cli.display import BareScreen, Display, JSONLines, Live, Plain, Screen


def display_for(out: TextIO, *, as_json: bool) -> Display:
    """What fits the place that the output goes to."""
    if as_json:
        return JSONLines(out)
    if not out.isatty():
        return Plain(out)
    return Live(screen())


def screen() -> Screen:
    """The terminal, with colours where it can have them."""
    try:
        # Only here: on a pipe nobody waits for its import.
        from llm_orchestrator_client.cli.rich_screen import RichScreen
    except ImportError:
        return BareScreen()
    return RichScreen()


def say(text: str, style: str = "") -> None:
    """A line for people: coloured on a terminal."""
    if sys.stdout.isatty():
        screen().write(text + "\n", style)
    else:
        sys.stdout.write(text + "\n")
