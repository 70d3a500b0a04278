"""The tools: the backend that serves them, who is asked, and MCP servers."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from config.address import is_loopback
from config.group import MAX_BYTES, MAX_SECONDS, Group

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")


class ToolSettings(Group):
    """The backend's ToolService, which USE_GRPC_TOOL_SERVICE switches on, policy, and MCP servers."""

    address: str = Field(default="127.0.0.1:50052", description="host:port of the backend's ToolService")
    tls: bool = Field(default=False, description="encrypt the connection to it")
    ca_file: Path | None = Field(
        default=None, description="CAs that its certificate may come from, PEM; empty = those of the system"
    )
    allow_plaintext: bool = Field(
        default=False,
        description="call it without TLS at an address that is not loopback; only where the network encrypts",
    )
    token: SecretStr | None = Field(default=None, description="bearer token sent with each call of a tool")
    max_seconds: float = Field(
        default=120.0, gt=0, le=MAX_SECONDS, description="longest call of any tool, retries included, seconds"
    )
    described_seconds: float = Field(
        default=30.0,
        gt=0,
        le=MAX_SECONDS,
        description="longest call of a tool that the backend or an MCP server describes itself, seconds",
    )
    describe_seconds: float = Field(
        default=300.0,
        ge=1,
        le=MAX_SECONDS,
        description="how long such a description is kept that says nothing of it, seconds",
    )
    max_result_bytes: int = Field(
        default=64 << 10, ge=256, le=MAX_BYTES, description="most of a result that a model sees, bytes"
    )
    max_receive_bytes: int = Field(
        default=16 << 20, ge=1024, le=MAX_BYTES, description="largest answer taken from the backend, bytes"
    )
    max_concurrency: int = Field(default=64, ge=1, le=10_000, description="calls of tools at the same time")
    max_concurrency_per_run: int = Field(
        default=4, ge=1, le=1000, description="calls of tools of one run at the same time"
    )
    max_retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="how often a call that may be repeated is made again when the backend is not reached",
    )
    retry_seconds: float = Field(
        default=0.1, gt=0, le=60, description="pause before the first repetition, doubled each time, seconds"
    )
    off_seconds: float = Field(
        default=60.0,
        gt=0,
        le=MAX_SECONDS,
        description="how long a tool is off that the backend does not implement, seconds",
    )
    breaker_failures: int = Field(
        default=5, ge=1, le=1000, description="failures in a row after which a method is left alone"
    )
    breaker_seconds: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="for how long, doubled with each failed probe up to 60, seconds",
    )
    keepalive_seconds: float = Field(
        default=30.0,
        ge=0.1,
        le=MAX_SECONDS,
        description="a connection to the backend silent for so long is asked whether it lives, seconds",
    )
    keepalive_timeout_seconds: float = Field(
        default=10.0, ge=0.1, le=MAX_SECONDS, description="how long the answer to that may take, seconds"
    )
    policy: dict[str, Literal["allow", "ask", "deny"]] = Field(
        default={},
        description="verdicts by tool name, as JSON; allow only counts for what neither destroys nor spends",
    )
    permission_seconds: float = Field(
        default=86_400.0,
        gt=0,
        le=30 * 86_400,
        description="how long a person has to answer, unless the request says, seconds",
    )
    mcp_file: Path | None = Field(
        default=None, description="file of MCP servers, see docs/tools.md; empty = none"
    )

    @field_validator("policy")
    @classmethod
    def _names_tools(cls, policy: dict[str, str]) -> dict[str, str]:
        if not all(_NAME.fullmatch(name) for name in policy):
            raise ValueError("a name in it is none of a tool")
        return policy

    @model_validator(mode="after")
    def _plaintext_only_to_loopback(self) -> Self:
        if not self.tls and not self.allow_plaintext and not is_loopback(self.address):
            raise ValueError(
                f"{self.address} is not loopback: set ORCHESTRATOR_TOOLS__TLS=true, or "
                "ORCHESTRATOR_TOOLS__ALLOW_PLAINTEXT=true where the network encrypts"
            )
        return self

    @model_validator(mode="after")
    def _ca_file_needs_tls(self) -> Self:
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file needs tls")
        return self
