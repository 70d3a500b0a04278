"""What is told of the service to those who watch it."""

from pydantic import Field, SecretStr, field_validator

from config.group import Group


class MetricsSettings(Group):
    """The HTTP port with /metrics, /healthz and /readyz."""

    address: str = Field(
        default="127.0.0.1:9464",
        description="host:port of /metrics, /healthz and /readyz; off = none of them",
    )

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if address == "off":  # an empty variable is one that is not set
            return ""
        host, _, port = address.rpartition(":")
        if address and not (host and port.isdecimal() and int(port) < 1 << 16):
            raise ValueError("must be host:port, or off")
        return address


class TraceSettings(Group):
    """Where spans go."""

    endpoint: str = Field(
        default="",
        description="OTLP collector over gRPC, as http://127.0.0.1:4317; empty = no traces at all",
    )
    ratio: float = Field(
        default=1.0, ge=0, le=1, description="share of the traces that begin here that is kept"
    )
    batch_seconds: float = Field(
        default=2.0, gt=0, le=60, description="how long spans are gathered before they are sent, seconds"
    )
    content: bool = Field(
        default=False, description="for debugging: spans hold what models are asked, users' texts too"
    )

    @field_validator("endpoint")
    @classmethod
    def _speaks_http(cls, endpoint: str) -> str:
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return endpoint


class LogSettings(Group):
    """What logs say of users."""

    user_key: SecretStr = Field(
        default=SecretStr(""),
        description="key of the hash that stands for a user; the same in all replicas, empty = a plain hash",
    )
