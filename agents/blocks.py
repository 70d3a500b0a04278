"""The text that a form makes of its fields: one line of the block after the other."""

from collections.abc import Iterator, Mapping

from agents.spec import FormBlock
from agents.variables import placed, places


def written(block: FormBlock, values: Mapping[str, str]) -> str:
    """The block with these values. No value makes a line of its own but where the block gives it one."""
    lines = (line for pattern in block.lines for line in _lines(pattern, values))
    return "\n".join(lines)


def _lines(pattern: str, values: Mapping[str, str]) -> Iterator[str]:
    names = places(pattern)
    known = {name: values.get(name, "") for name in names}
    if names and not any(known.values()):
        return
    several = known[next(iter(names))].splitlines() if len(names) == 1 else [""]
    for one in several:
        told = dict.fromkeys(names, one) if len(names) == 1 else known
        text = placed(pattern, {name: " ".join(value.split()) for name, value in told.items()}).rstrip()
        if not names or any(value.strip() for value in told.values()):
            yield text
