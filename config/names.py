"""The environment's names: every setting's own, and which of those that are set are none."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from config.settings import DELIMITER, PREFIX, Settings

CALLERS = (
    "ORCHESTRATOR_TARGET",
    "ORCHESTRATOR_TOKEN",
    "ORCHESTRATOR_USER",
    "ORCHESTRATOR_TLS",
    "ORCHESTRATOR_TLS_CA",
    "ORCHESTRATOR_TLS_CERTIFICATE",
    "ORCHESTRATOR_TLS_KEY",
    "ORCHESTRATOR_TLS_SERVER_NAME",
)
"""No settings of the service: programs that call it, beside it perhaps, are told by them how."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting as the environment knows it. `default` is empty when there is none."""

    name: str
    default: str
    description: str


def variables() -> Iterator[Variable]:
    """Every setting, in the order of `Settings`."""
    yield from _variables(PREFIX, Settings.model_fields)


def misspelt(environment: Iterable[str]) -> list[str]:
    """A line for each name with our prefix that is no setting, with the nearest that is one."""
    known = [*(variable.name for variable in variables()), *CALLERS]
    lines = []
    for name in sorted(n.upper() for n in environment):
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, n=1)
            lines.append(f"{name} is no setting" + (f": did you mean {near[0]}?" if near else ""))
    return lines


def example() -> str:
    """The text of `.env.example`."""
    lines = ["# Every setting with its unit and default. Copy to .env and take the # off what you change."]
    for variable in variables():
        lines += ["", f"# {variable.description}", f"# {variable.name}={variable.default}"]
    return "\n".join(lines) + "\n"


def _variables(prefix: str, fields: Mapping[str, FieldInfo]) -> Iterator[Variable]:
    for name, field in fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _variables(f"{prefix}{name.upper()}{DELIMITER}", kind.model_fields)
            continue
        alias = field.validation_alias
        own = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"{prefix}{name.upper()}"
        yield Variable(own, _text(field.default), field.description or "")


def _text(value: object) -> str:
    if value is None or isinstance(value, SecretStr):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    print(example(), end="")  # noqa: T201 - `python -m config.names > .env.example`
