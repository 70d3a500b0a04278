"""Settings of the events that leave the service."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from config.group import Group


class EventSettings(Group):
    """Where events go, and how. Without a broker they stay in the outbox until retention deletes them."""

    brokers: str = Field(
        default="",
        description="Kafka brokers that get the events, host:port with commas between; empty = none",
    )
    topic: str = Field(
        default="llm-orchestrator.events",
        pattern=r"^[a-zA-Z0-9._-]{1,249}$",
        description="topic that they go to",
    )
    source: str = Field(
        default="llm-orchestrator", min_length=1, description="what every event names as its source"
    )
    relay: bool = Field(
        default=True,
        description="whether serving processes pass events on; else `main.py events relay` does",
    )
    batch_size: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="events that go at once, and that may come twice after a process was killed",
    )
    look_seconds: float = Field(
        default=0.25, gt=0, le=60, description="how often new events are looked for, seconds"
    )
    lag_seconds: float = Field(
        default=5.0, gt=0, description="how often it is measured how much waits, seconds"
    )
    request_seconds: float = Field(
        default=10.0, ge=0.1, le=600, description="how long one request to a broker may take, seconds"
    )
    tls: bool = Field(default=False, description="encrypt the connections to the brokers")
    ca_file: Path | None = Field(
        default=None,
        description="CAs that their certificates may come from, PEM; empty = those of the system",
    )
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="",
        description="how it says who it is: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; empty = it does not",
    )
    sasl_username: str = Field(default="", description="its name there")
    sasl_password: SecretStr | None = Field(default=None, description="its password there")

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        if self.sasl_mechanism and not (self.sasl_username and self.sasl_password):
            raise ValueError("sasl_mechanism needs sasl_username and sasl_password")
        return self
