"""The file of MCP servers: which there are, which of their tools are used, and what is known of those."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,19}$")]
Class = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]


class McpFileError(Exception):
    """The file cannot be used; the message says why, on one line."""


@dataclass(frozen=True, slots=True)
class McpLimits:
    """Of every tool of every server."""

    seconds: float = 30.0
    max_result_bytes: int = 64 * 1024


class Known(BaseModel):
    """What the operator knows of a tool. What is unsaid is taken from the server's hints, at their worst."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation_type: Class | None = None
    read_only: bool | None = None
    idempotent: bool | None = None
    destructive: bool | None = None
    spends: bool = False
    asks: bool = False
    trusted: bool = False
    """Its results hold no text of strangers."""


class McpServer(BaseModel):
    """One server: a command that speaks over stdin and stdout, or a URL that speaks streamable HTTP.

    `env` are names of variables that the command is given, `token_env` the name of the one that holds the
    URL's bearer token. `tools` are names or patterns with `*` of the tools that are used; no other is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: tuple[str, ...] = ()
    cwd: Path | None = None
    env: tuple[str, ...] = ()
    url: str = ""
    token_env: str = ""
    tools: tuple[str, ...] = Field(min_length=1)
    operation_type: Class = "external_api"
    tool: Mapping[str, Known] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("needs either a command or a url")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("the url must begin with http:// or https://")
        if self.url and (self.env or self.cwd):
            raise ValueError("env and cwd are for commands")
        if self.token_env and not self.url.startswith("https://") and not _is_local(self.url):
            raise ValueError("token_env is for urls that begin with https://, or are on this machine")
        return self

    def variables(self) -> tuple[str, ...]:
        """The names of all that it takes from the environment."""
        return (*self.env, *((self.token_env,) if self.token_env else ()))


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    servers: Mapping[Name, McpServer] = Field(default_factory=dict)


def read_servers(path: Path, environment: Mapping[str, str]) -> Mapping[str, McpServer]:
    """The servers by name.

    Raises:
        McpFileError: The file cannot be read or used, or a variable that it names is not set.
    """
    try:
        servers = _File.model_validate(tomllib.loads(path.read_text())).servers
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise McpFileError(f"{path}: cannot be read as TOML") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise McpFileError(f"{path}: {place}: {first['msg']}") from error
    for name, server in servers.items():
        for variable in server.variables():
            if not environment.get(variable):
                raise McpFileError(f"{path}: servers.{name}: {variable} is not set")
    return servers
