"""Forms: which fields are known, which are missing, and the arguments that they make."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agents.blocks import written
from agents.spec import FormField, FormSpec

_TRUE = frozenset(("true", "yes", "1"))
_MOST_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Filled:
    """A form so far. `misfits` are fields whose value was refused, by name; they count as missing too."""

    values: Mapping[str, str]
    missing: tuple[FormField, ...]
    misfits: tuple[str, ...]

    @property
    def preview(self) -> str:
        """A line for each field."""
        return "\n".join(f"- {name}: {value}" for name, value in self.values.items())


def filled(form: FormSpec, known: Mapping[str, str], said: Mapping[str, str | None]) -> Filled:
    """The form with what was known and what is new; an empty text takes a value back, None says nothing."""
    values, misfits = dict[str, str](), list[str]()
    for field in form.fields:
        value = said.get(field.name)
        value = known.get(field.name, "") if value is None else value.strip()
        if not value:
            continue
        if _fits(field, value):
            values[field.name] = value
        else:
            misfits.append(field.name)
    missing = tuple(f for f in form.fields if f.name not in values and (f.required or f.name in misfits))
    return Filled(values, missing, tuple(misfits))


def asking(missing: Sequence[FormField]) -> str:
    """The question for what is missing, where the model has put none."""
    return "\n".join(["This is still needed:", *(f"- {f.name}: {f.description}" for f in missing)])


def schema_of(form: FormSpec) -> dict[str, Any]:
    """The form of what the model says of a message: a text or null for each field, and a question."""
    text = {"type": ["string", "null"]}
    values = {field.name: {**text, "description": field.description} for field in form.fields}
    return _closed({"values": _closed(values), "question": {"type": "string"}})


def shown(form: FormSpec, filled: Filled) -> str:
    """What the person sees before the action: the block, as it will be written, or a line for each field."""
    return filled.preview if form.block is None else written(form.block, filled.values)


def arguments_of(form: FormSpec, values: Mapping[str, str], parameters: Mapping[str, Any]) -> str:
    """The action's arguments as JSON in its schema's types; what is none stays text, for the judge."""
    if form.block is not None:
        return orjson.dumps({form.block.argument: written(form.block, values)}).decode()
    types = parameters.get("properties", {})
    typed = {name: _typed(value, types.get(name, {}).get("type")) for name, value in values.items()}
    return orjson.dumps(typed).decode()


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _fits(field: FormField, value: str) -> bool:
    if len(value) > _MOST_CHARACTERS:
        return False
    return field.pattern is None or re.fullmatch(field.pattern, value) is not None


def _typed(value: str, kind: object) -> Any:  # noqa: ANN401 - any JSON
    match kind:
        case "array":
            return [part.strip() for part in value.split(",") if part.strip()]
        case "boolean":
            return value.lower() in _TRUE
        case "integer" | "number":
            try:
                return int(value) if kind == "integer" else float(value)
            except ValueError:
                return value
        case _:
            return value
