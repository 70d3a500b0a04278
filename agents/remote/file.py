"""The file of remotes: other OrchestratorServices whose agents may answer here."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
_DAY_SECONDS = 86_400
_LOOPBACK = ("localhost:", "127.", "[::1]:", "unix:")


class RemoteFileError(Exception):
    """The file cannot be used; the message says why, on one line."""


class RemoteEntry(BaseModel):
    """One service. Times in seconds.

    `token_env` names the variable that holds the bearer token. `max_concurrency`: runs there at a time, of
    this process. `first_seconds`: until a run's first chunk; `silence_seconds`: from one chunk, or heartbeat,
    to the next; `reconnect_seconds`: for how long a run that was begun there is looked for again when the
    connection is lost; `call_seconds`: for a decision or a cancellation. After `breaker_failures` in a row it
    is left alone for `breaker_seconds`, twice as long after each failed try, up to 60.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(min_length=1)
    tls: bool = False
    ca_file: Path | None = None
    allow_plaintext: bool = False
    token_env: str = ""
    max_concurrency: int = Field(default=16, ge=1, le=10_000)
    first_seconds: float = Field(default=30.0, gt=0, le=_DAY_SECONDS)
    silence_seconds: float = Field(default=60.0, ge=0.3, le=_DAY_SECONDS)
    reconnect_seconds: float = Field(default=20.0, ge=0, le=_DAY_SECONDS)
    call_seconds: float = Field(default=10.0, gt=0, le=_DAY_SECONDS)
    breaker_failures: int = Field(default=5, ge=1, le=1000)
    breaker_seconds: float = Field(default=2.0, gt=0, le=60)

    @model_validator(mode="after")
    def _plaintext_only_to_loopback(self) -> Self:
        if not (self.tls or self.allow_plaintext or self.address.startswith(_LOOPBACK)):
            raise ValueError(
                "its address is not loopback: set tls, or allow_plaintext where the network encrypts"
            )
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file needs tls")
        return self


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    remotes: Mapping[Name, RemoteEntry] = Field(default_factory=dict)


def read_remotes(path: Path, environment: Mapping[str, str]) -> Mapping[str, RemoteEntry]:
    """The remotes by name.

    Raises:
        RemoteFileError: The file cannot be read or used, or a variable that it names is not set.
    """
    try:
        remotes = _File.model_validate(tomllib.loads(path.read_text())).remotes
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RemoteFileError(f"{path}: cannot be read as TOML") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RemoteFileError(f"{path}: {place}: {first['msg']}") from error
    for name, remote in remotes.items():
        if remote.token_env and not environment.get(remote.token_env):
            raise RemoteFileError(f"{path}: remotes.{name}: {remote.token_env} is not set")
    return remotes
