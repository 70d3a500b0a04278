"""The plan of an agent, as it tells it: kept nowhere but in what is shown."""

from collections import Counter
from collections.abc import Mapping, Sequence

DESCRIPTION = (
    "Tell the person your plan, and how far it is. Use it for work of three steps or more: before the first "
    "one, then whenever one begins or ends. Give all the steps each time; at most one is in_progress."
)
STEPS = {
    "type": "array",
    "minItems": 1,
    "maxItems": 20,
    "items": {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": 200},
            "state": {"enum": ["pending", "in_progress", "done", "skipped"]},
        },
        "required": ["text", "state"],
        "additionalProperties": False,
    },
}


def noted(steps: Sequence[Mapping[str, str]]) -> str:
    """What the model is told: how many steps there are of each state."""
    counts = Counter(step["state"] for step in steps)
    return "Noted: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "."
