"""Everything the process reads from its environment: types, units, defaults. Instantiated in main.py only."""

from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.address import is_loopback, postgres_url
from config.agents import AgentSettings
from config.budget import BudgetSettings
from config.caps import CapSettings
from config.database import DatabaseSettings, EmbeddedSettings
from config.encryption import EncryptionSettings
from config.events import EventSettings
from config.group import MAX_BYTES, MAX_SECONDS, Group
from config.journal import JournalSettings
from config.provider import LocalModelSettings, ProviderSettings
from config.queue import QueueSettings
from config.remotes import RemoteSettings
from config.retention import RetentionSettings
from config.security import SecuritySettings
from config.telemetry import LogSettings, MetricsSettings, TraceSettings
from config.tools import ToolSettings

PREFIX = "ORCHESTRATOR_"
DELIMITER = "__"


class ServerSettings(Group):
    """The gRPC server."""

    address: str = Field(default="127.0.0.1:50051", description="host:port to listen on")
    allow_plaintext: bool = Field(
        default=False,
        description="listen beyond loopback without TLS or without authentication; only behind what has them",
    )
    max_receive_bytes: int = Field(
        default=16 << 20, ge=1024, le=MAX_BYTES, description="largest request, bytes"
    )
    max_send_bytes: int = Field(
        default=16 << 20, ge=1024, le=MAX_BYTES, description="largest response, bytes"
    )
    max_metadata_bytes: int = Field(
        default=16 << 10, ge=8192, le=MAX_BYTES, description="largest metadata of a call, bytes"
    )
    call_seconds: float = Field(default=10.0, gt=0, le=MAX_SECONDS, description="longest unary call, seconds")
    stream_seconds: float = Field(default=3660.0, gt=0, le=MAX_SECONDS, description="longest stream, seconds")
    slow_reader_seconds: float = Field(
        default=30.0,
        gt=0,
        le=MAX_SECONDS,
        description="how long a caller may take to read one message, seconds",
    )
    keepalive_seconds: float = Field(
        default=30.0,
        ge=0.1,
        le=MAX_SECONDS,
        description="a connection silent for so long is asked whether it lives, seconds",
    )
    keepalive_timeout_seconds: float = Field(
        default=10.0, ge=0.1, le=MAX_SECONDS, description="how long the answer to that may take, seconds"
    )
    min_ping_interval_seconds: float = Field(
        default=10.0,
        ge=0,
        le=MAX_SECONDS,
        description="callers that ask more often, without a call, are disconnected, seconds",
    )
    connection_age_seconds: float = Field(
        default=1800.0,
        ge=0,
        le=MAX_SECONDS,
        description="a connection this old takes no new calls, so that callers spread; 0 = never, seconds",
    )
    max_streams: int = Field(default=1000, ge=1, description="streams at the same time")
    max_streams_per_user: int = Field(default=50, ge=1, description="streams of one user at the same time")
    max_calls: int = Field(default=1000, ge=1, description="unary calls at the same time")
    max_calls_per_user: int = Field(default=100, ge=1, description="unary calls of one user at the same time")
    user_requests_per_second: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="requests of one user a second, calls and streams; 0 = any number",
    )
    user_burst: int = Field(
        default=50, ge=1, le=1_000_000, description="requests that one user may make at once within that rate"
    )
    request_seconds: float = Field(
        default=10.0,
        gt=0,
        le=MAX_SECONDS,
        description="how long a caller may take to send the request of a call, seconds",
    )
    max_unread_calls: int = Field(
        default=1000,
        ge=1,
        description="calls at the same time whose request has not come; one more, and the oldest is refused",
    )
    max_connections: int = Field(
        default=10_000,
        ge=1,
        le=MAX_BYTES,
        description="connections at the same time; more are closed at once",
    )
    max_streams_per_connection: int = Field(
        default=2000,
        ge=1,
        le=MAX_BYTES,
        description="calls and streams of one connection at the same time; a caller holds back the rest",
    )
    drain_seconds: float = Field(
        default=20.0,
        ge=0,
        le=MAX_SECONDS,
        description="how long runs may go on after the process was told to stop, seconds",
    )


class RunSettings(CapSettings):
    """What a run may use, how long it may take, and when it is taken from a process that is silent."""

    max_seconds: float = Field(default=3600.0, gt=0, description="longest run, seconds")
    max_wait_seconds: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="how long a turn waits for the one before it, unless its request says, seconds",
    )
    max_repeated_chunks: int = Field(
        default=100, ge=2, description="an answer that repeats one piece so often in a row is ended"
    )
    lease_seconds: float = Field(
        default=6.0, ge=0.5, description="a process silent for so long is taken for dead, seconds"
    )
    beat_seconds: float = Field(
        default=2.0, gt=0, description="how often a process says that it lives, seconds"
    )
    reap_seconds: float = Field(
        default=1.0, gt=0, description="how often a process looks for what the dead left, seconds"
    )

    max_attempts: int = Field(
        default=3, ge=1, le=100, description="how often a task is tried that fails by something that may pass"
    )
    retry_seconds: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="pause before a task's second attempt, doubled each time, seconds",
    )
    cancel_seconds: float = Field(
        default=5.0, gt=0, description="how long CancelTask waits for the end of what it cancels, seconds"
    )

    @model_validator(mode="after")
    def _lease_outlives_a_missed_beat(self) -> Self:
        if self.lease_seconds < 2 * self.beat_seconds:
            raise ValueError("lease_seconds must be at least twice beat_seconds")
        return self


class StreamSettings(Group):
    """How tokens become chunks."""

    heartbeat_seconds: float = Field(
        default=15.0, ge=0.1, description="a stream silent for so long sends a heartbeat, seconds"
    )

    window_seconds: float = Field(
        default=0.025, ge=0, le=1, description="text that comes within this time leaves as one chunk, seconds"
    )
    buffer_characters: int = Field(
        default=1 << 20,
        ge=1,
        description="text of a run that may wait in memory for a database that is away, characters",
    )
    tail_records: int = Field(
        default=256, ge=1, description="records of a run kept in memory for its readers"
    )


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_file=".env",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",  # misspelt names are found by config.misspelt, which sees the environment too
        populate_by_name=True,
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    environment: Literal["development", "production"] = Field(
        default="development", description="development, or production, which refuses scripted providers"
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL"),
        description="Postgres to use; empty = our own, embedded",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENAI_API_KEY"),
        description="key of the OpenAI-compatible provider",
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENAI_BASE_URL"),
        description="its base URL, empty = https://api.openai.com/v1; without a key, a server of yours",
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("ANTHROPIC_API_KEY"),
        description="Anthropic key, used when no OPENAI_* is set",
    )
    anthropic_base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("ANTHROPIC_BASE_URL"),
        description="its base URL; empty = https://api.anthropic.com/v1",
    )
    use_grpc_tool_service: bool = Field(
        default=False,
        validation_alias=AliasChoices("USE_GRPC_TOOL_SERVICE"),
        description="whether agents may use the tools that the backend serves",
    )
    server: ServerSettings = ServerSettings()
    security: SecuritySettings = SecuritySettings()
    database: DatabaseSettings = DatabaseSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    provider: ProviderSettings = ProviderSettings()
    local_model: LocalModelSettings = LocalModelSettings()
    run: RunSettings = RunSettings()
    budget: BudgetSettings = BudgetSettings()
    queue: QueueSettings = QueueSettings()
    journal: JournalSettings = JournalSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    retention: RetentionSettings = RetentionSettings()
    events: EventSettings = EventSettings()
    stream: StreamSettings = StreamSettings()
    tools: ToolSettings = ToolSettings()
    agents: AgentSettings = AgentSettings()
    remotes: RemoteSettings = RemoteSettings()
    metrics: MetricsSettings = MetricsSettings()
    traces: TraceSettings = TraceSettings()
    logs: LogSettings = LogSettings()

    @field_validator("database_url")
    @classmethod
    def _speaks_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        return postgres_url(url)

    @model_validator(mode="after")
    def _a_second_login_is_beside_a_first(self) -> Self:
        callers = self.database.callers_url
        if callers and not self.database_url:
            raise ValueError(
                f"{PREFIX}DATABASE{DELIMITER}CALLERS_URL goes with DATABASE_URL: set both or none"
            )
        return self

    @field_validator("openai_base_url", "anthropic_base_url")
    @classmethod
    def _speaks_http(cls, url: str | None) -> str | None:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/") if url else url

    @model_validator(mode="after")
    def _closed_beyond_loopback(self) -> Self:
        """TLS and authentication, or the explicit override."""
        server, security = self.server, self.security
        if server.allow_plaintext or is_loopback(server.address):
            return self
        if not (security.encrypts and security.authenticates):
            raise ValueError(
                f"{server.address} is not loopback and TLS or authentication is not configured "
                f"({PREFIX}SECURITY{DELIMITER}*): listen on 127.0.0.1, or set "
                f"{PREFIX}SERVER{DELIMITER}ALLOW_PLAINTEXT=true behind something that has both"
            )
        return self
