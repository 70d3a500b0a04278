"""Read the settings, and say what is wrong with them in the environment's own words."""

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError

from config.names import misspelt
from config.settings import DELIMITER, PREFIX, Settings

T = TypeVar("T")

ENV_FILE = Path(".env")


class SettingsError(Exception):
    """The environment cannot be used. `lines`: one for each thing that is wrong, without the wrong values."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def load() -> Settings:
    """The settings from the environment and `.env`, the environment first.

    Raises:
        SettingsError: A value cannot be used, or a name with our prefix is no setting.
    """
    lines = misspelt({*os.environ, *(dotenv_values(ENV_FILE) if ENV_FILE.is_file() else ())})
    try:
        settings = Settings()
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        raise SettingsError([*lines, *(f"{_name(d['loc'])}: {d['msg']}" for d in details)]) from error
    if lines:
        raise SettingsError(lines)
    return settings


def environment(settings: Settings) -> Mapping[str, str]:
    """What the process and `.env` hold, and the keys among the settings, by the names of their variables."""
    keys = {"OPENAI_API_KEY": settings.openai_api_key, "ANTHROPIC_API_KEY": settings.anthropic_api_key}
    known = {name: key.get_secret_value() for name, key in keys.items() if key is not None}
    written = dotenv_values(ENV_FILE) if ENV_FILE.is_file() else {}
    return {name: value for name, value in written.items() if value} | dict(os.environ) | known


def picked(kind: Callable[..., T], *groups: BaseModel, **more: object) -> T:
    """A dataclass from the settings that have the names of its fields, each of the first group with it."""
    names = (field.name for field in fields(kind) if field.name not in more)  # type: ignore[arg-type]
    found = {name: next(getattr(g, name) for g in groups if hasattr(g, name)) for name in names}
    return kind(**found, **more)


def _name(location: tuple[int | str, ...]) -> str:
    parts = [str(part).upper() for part in location]
    if not parts:
        return "settings that do not fit together"
    if len(parts) == 1 and parts[0].lower() not in Settings.model_fields:
        return parts[0]
    return PREFIX + DELIMITER.join(parts)
