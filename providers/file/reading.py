"""Read a provider file, and say in plain words what is wrong with it. No message repeats a value."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from providers.file.entries import ProviderConfiguration
from providers.file.secrets import keys_in

MAX_BYTES = 1 << 20
_POSITION = re.compile(r"at line (\d+), column (\d+)")


class ProviderFileError(Exception):
    """The file cannot be used. `lines`: one for each thing that is wrong, without the wrong values."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = tuple(lines)


def read_configuration(
    path: Path, environment: Mapping[str, str], *, production: bool
) -> ProviderConfiguration:
    """The file's content, checked.

    Raises:
        ProviderFileError: It cannot be read or used, or names a variable that `environment` has not.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProviderFileError([f"{path.name}: cannot be read"]) from error
    return parse_configuration(path.name, content, environment, production=production)


def parse_configuration(
    filename: str, content: bytes, environment: Mapping[str, str], *, production: bool
) -> ProviderConfiguration:
    """As `read_configuration`, of bytes."""
    if len(content) > MAX_BYTES:
        raise ProviderFileError([f"{filename}: is larger than {MAX_BYTES} bytes"])
    document = _parsed(filename, content)
    if keys := list(keys_in(document)):
        # Nothing else is said about a file that holds keys: any other message might quote from it.
        raise ProviderFileError([_line(filename, place, _KEPT_KEY) for place in keys])
    try:
        configuration = ProviderConfiguration.model_validate(document)
    except ValidationError as error:
        # The cause would hold the values.
        raise ProviderFileError(_lines(filename, error)) from None
    if wrong := unusable(configuration, environment, production=production):
        raise ProviderFileError([f"{filename}: {line}" for line in wrong])
    return configuration


def unusable(
    configuration: ProviderConfiguration, environment: Mapping[str, str], *, production: bool
) -> list[str]:
    """What keeps this process from using it, a line each; none when it can."""
    lines = []
    for name, provider in configuration.providers.items():
        if production and provider.kind == "scripted":
            lines.append(f"[providers.{name}] kind: a scripted provider is refused in production")
        if provider.api_key_env is not None and not environment.get(provider.api_key_env, "").strip():
            lines.append(f"[providers.{name}] api_key_env: the environment has no such variable")
    return lines


_KEPT_KEY = "looks like a key; keys belong into the environment, and api_key_env names the variable"
_PLAIN = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "too_short": "is empty",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "has a form that is not allowed here",
}


def _parsed(filename: str, content: bytes) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise ProviderFileError([f"{filename}: is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        found = _POSITION.search(str(error))
        where = f" at line {found[1]}, column {found[2]}" if found else ""
        raise ProviderFileError([f"{filename}: is not valid TOML{where}"]) from None


def _lines(filename: str, error: ValidationError) -> list[str]:
    lines: list[str] = []
    for detail in error.errors(include_url=False, include_input=False):
        message = _PLAIN.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
        if detail["loc"]:
            lines.append(_line(filename, detail["loc"], message))
        else:
            lines += [f"{filename}: {part}" for part in message.split("; ")]
    return lines


def _line(filename: str, place: Sequence[int | str], message: str) -> str:
    """As `providers.toml: [providers.acme.limits] max_concurrency: ...`."""
    parts = [f"entry {part + 1}" if isinstance(part, int) else part for part in place if part != "[key]"]
    depth = max(len(parts) - 1, min(len(parts), 2)) if parts[0] in ("providers", "models") else 1
    if parts[0] not in ProviderConfiguration.model_fields or parts[0] == "currency":
        depth = 0
    table = f" [{'.'.join(parts[:depth])}]" if depth else ""
    field = f" {', '.join(parts[depth:])}" if parts[depth:] else ""
    return f"{filename}:{table}{field}: {message}"
