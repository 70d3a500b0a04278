"""Everything the backend reads from its environment: types, units, defaults. Made in __main__ only."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from backend.web_settings import WebSettings

PREFIX = "BACKEND_"
DELIMITER = "__"
_KEY_CHARACTERS = 32


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class User(Group):
    """One row of the users' table."""

    password: SecretStr = Field(
        default=SecretStr(""),
        description="as `python -m backend hash-password` prints it; empty = no login by password",
    )
    tokens: tuple[str, ...] = Field(default=(), description="SHA-256 of API tokens, in hex")
    administrator: bool = Field(default=False, description="may halt and release the rollout")


class ServerSettings(Group):
    """The HTTP server."""

    address: str = Field(default="127.0.0.1:8080", description="host:port to listen on")
    allow_plaintext: bool = Field(
        default=False,
        description="listen on an address that is not loopback; only behind what has TLS",
    )
    max_body_bytes: int = Field(default=16 << 20, ge=1024, description="largest request body, bytes")
    silence_seconds: float = Field(
        default=15.0, gt=0, description="a stream that is silent for so long sends a comment, seconds"
    )
    drain_seconds: float = Field(
        default=10.0, ge=0, description="how long requests may go on after SIGTERM, seconds"
    )


class SessionSettings(Group):
    """Sessions of browsers."""

    key: SecretStr = Field(
        default=SecretStr(""),
        description="signs the cookies, at least 32 characters; empty = a new one at each start",
    )
    seconds: float = Field(default=12 * 3600, gt=0, description="how long a login lasts, seconds")
    secure: bool = Field(default=True, description="cookies over TLS only; false is for loopback without TLS")
    origins: tuple[str, ...] = Field(
        default=(), description="origins beside our own whose pages may write, as https://app.example"
    )


class OrchestratorSettings(Group):
    """Where the orchestrator is."""

    target: str = Field(default="localhost:50051", description="host:port, or replicas between commas")
    token: SecretStr | None = Field(default=None, description="bearer token; needs TLS beyond loopback")
    tls: bool = Field(default=False, description="whether it has TLS")
    tls_ca: Path | None = Field(default=None, description="CA's file; empty = the system's")
    chat_seconds: float = Field(default=600.0, gt=0, description="its time for a whole answer, seconds")


class LocalSettings(Group):
    """The backend's own chat, which answers where the orchestrator does not."""

    base_url: str = Field(default="", description="an OpenAI-compatible endpoint; empty = no local path")
    api_key: SecretStr = Field(default=SecretStr(""), description="its key; may be empty")
    model: str = Field(default="default", description="the model's name there")
    system: str = Field(default="You are a helpful assistant.", description="the system message")
    seconds: float = Field(default=120.0, gt=0, description="its time for a whole answer, seconds")


class RolloutGroup(Group):
    """The rollout, beside its flags: docs/rollout.md."""

    salt: str = Field(default="llm-orchestrator", description="decides which users are first")
    halt_file: Path | None = Field(default=None, description="keeps a halt; empty = in this process")
    first_event_seconds: float = Field(default=3.0, gt=0, description="then the local path answers, seconds")
    first_byte_seconds: float = Field(
        default=20.0, gt=0, description="the same, until the first content, seconds"
    )
    breaker_seconds: float = Field(default=1.0, gt=0, description="until a dead orchestrator is tried again")
    breaker_cap_seconds: float = Field(default=15.0, gt=0, description="what that may grow to, seconds")
    minimum_samples: int = Field(default=50, ge=1, description="calls before the budget judges")
    error_ratio: float = Field(default=0.05, ge=0, le=1, description="above it the rollout halts")
    latency_seconds: float = Field(default=10.0, gt=0, description="95th percentile; above it, it halts")


class ToolServiceSettings(Group):
    """The backend's ToolService, which the orchestrator calls. It runs where handlers are given."""

    address: str = Field(default="127.0.0.1:50052", description="host:port to listen on")
    allow_plaintext: bool = Field(
        default=False,
        description="beyond loopback, with a token but without TLS; only where the network encrypts",
    )
    token: SecretStr = Field(default=SecretStr(""), description="what callers must bring; empty = nothing")


class StoreSettings(Group):
    """The database of the backend's own tools."""

    dsn: SecretStr = Field(
        default=SecretStr(""), description="postgresql://user:password@host/name; empty = no tools"
    )


class OrgSettings(Group):
    """The users' org files."""

    root: Path | None = Field(
        default=None, description="directory with a folder for each user; empty = no tools for org files"
    )


class ModelSettings(Group):
    """A model at an OpenAI-compatible endpoint that tools use."""

    base_url: str = Field(default="", description="as https://api.example/v1; empty = none")
    api_key: SecretStr = Field(default=SecretStr(""), description="its key; may be empty")
    model: str = Field(default="default", description="the model's name there")
    seconds: float = Field(default=20.0, gt=0, description="its time for a whole answer, seconds")


class Settings(BaseSettings):
    """All settings. A group is read from BACKEND_GROUP__NAME, the users from BACKEND_USERS as JSON."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, frozen=True, extra="ignore", env_ignore_empty=True
    )

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$", description="of the log")
    users: dict[str, User] = Field(default={}, description="user id -> password, tokens, administrator")
    server: ServerSettings = ServerSettings()
    session: SessionSettings = SessionSettings()
    orchestrator: OrchestratorSettings = OrchestratorSettings()
    local: LocalSettings = LocalSettings()
    rollout: RolloutGroup = RolloutGroup()
    tool_service: ToolServiceSettings = ToolServiceSettings()
    store: StoreSettings = StoreSettings()
    embeddings: ModelSettings = ModelSettings()
    expansion: ModelSettings = ModelSettings()
    org: OrgSettings = OrgSettings()
    web: WebSettings = WebSettings()

    @model_validator(mode="after")
    def _safe_beyond_loopback(self) -> Self:
        if "" in self.users:
            raise ValueError("BACKEND_USERS: a user id is empty")
        if is_loopback(self.server.address):
            return self
        if not self.server.allow_plaintext:
            raise ValueError(
                f"{self.server.address} is not loopback: listen on 127.0.0.1, or set "
                "BACKEND_SERVER__ALLOW_PLAINTEXT=true behind something that encrypts"
            )
        if not self.session.secure or not self.users:
            raise ValueError("beyond loopback BACKEND_USERS is needed, and BACKEND_SESSION__SECURE=true")
        return self

    @model_validator(mode="after")
    def _key_is_long_enough(self) -> Self:
        if 0 < len(self.session.key.get_secret_value()) < _KEY_CHARACTERS:
            raise ValueError(f"BACKEND_SESSION__KEY: at least {_KEY_CHARACTERS} characters")
        return self


class UnusableSettingsError(Exception):
    """What cannot be used; `lines` has a line for each, without its value."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def load(environment: Mapping[str, str]) -> Settings:
    """The settings of this process; `environment` is where misspelt names are looked for.

    Raises:
        UnusableSettingsError: A name is none of ours, or a value cannot be used.
    """
    if wrong := misspelt(environment):
        raise UnusableSettingsError(wrong)
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
        raise UnusableSettingsError(lines) from error
    except SettingsError as error:
        raise UnusableSettingsError([str(error)]) from error


def is_loopback(address: str) -> bool:
    """Whether host:port is of this machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def misspelt(environment: Iterable[str]) -> list[str]:
    """A line for each name with our prefix that is no setting, with the nearest that is one."""
    known = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            known += [f"{PREFIX}{name}{DELIMITER}{part}".upper() for part in kind.model_fields]
        else:
            known.append(f"{PREFIX}{name}".upper())
    lines = []
    for name in sorted(name.upper() for name in environment):
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, n=1)
            lines.append(f"{name} is no setting" + (f": did you mean {near[0]}?" if near else ""))
    return lines
