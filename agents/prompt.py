"""What a model is shown: the agent's prompt, the user's persona, and as much of the conversation as fits."""

from collections.abc import Sequence

from agents.turn import Persona
from providers.estimate import estimate_message
from state.models import Message

_ANSWER_SHARE = 4
"""At least one part in four of the context is left for the answer."""


def system_prompt(prompt: str, persona: Persona) -> str:
    """The agent's prompt, then what the user said about how to be answered."""
    lines = [
        f"Your name: {persona.ai_name}" if persona.ai_name else "",
        f"Style: {persona.style}" if persona.style else "",
        f"Political leaning: {persona.political_bias}" if persona.political_bias else "",
        f"The user's time zone: {persona.timezone}" if persona.timezone else "",
        *(f"{name}: {value}" for name, value in persona.preferences),
    ]
    wishes = "\n".join(line for line in lines if line)
    return f"{prompt}\n\nHow the user wants to be answered:\n{wishes}" if wishes else prompt


def fit(system: str, messages: Sequence[Message], context_tokens: int) -> tuple[Message, ...]:
    """The system prompt and the newest messages that fit the model's context; the last one always stays."""
    first = Message("system", system)
    budget = context_tokens - context_tokens // _ANSWER_SHARE - estimate_message(first)
    kept: list[Message] = []
    for message in reversed(messages):
        budget -= estimate_message(message)
        if kept and budget < 0:
            break
        kept.append(message)
    return (first, *reversed(kept))
