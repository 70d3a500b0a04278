"""Which models answer, and how the one is asked that no provider file describes."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from config.group import Group


class ProviderSettings(Group):
    """The models: those of a file, or the one behind OPENAI_* or ANTHROPIC_*."""

    file: Path | None = Field(
        default=None,
        description="provider file, see docs/providers.md; empty = the one model that a key names",
    )
    reload_seconds: float = Field(
        default=2.0, gt=0, le=3600, description="how often that file is looked at, seconds"
    )
    retry_share: float = Field(
        default=0.1, ge=0, le=1, description="calls that may be made again, as a share of all requests"
    )
    max_concurrency: int = Field(
        default=1000, ge=1, le=100_000, description="calls of that one model at the same time"
    )
    min_concurrency: int = Field(
        default=1,
        ge=1,
        le=100_000,
        description="calls of it that are always allowed, however slow or full it seems",
    )
    model: str = Field(
        default="", description="model name; empty = gpt-5-mini, or claude-haiku-4-5 for Anthropic"
    )
    context_tokens: int = Field(default=128_000, ge=1024, description="context of that model, tokens")
    images: bool = Field(default=False, description="whether that model sees images")
    routing: bool = Field(
        default=True, description="whether that model may be asked which agent is to answer"
    )
    connect_seconds: float = Field(default=5.0, gt=0, description="longest wait for a connection, seconds")
    first_token_seconds: float = Field(
        default=60.0, gt=0, description="longest wait for the first token, seconds"
    )
    between_tokens_seconds: float = Field(
        default=30.0, gt=0, description="longest silence in an answer, seconds"
    )
    total_seconds: float = Field(default=600.0, gt=0, description="longest answer, seconds")

    @model_validator(mode="after")
    def _floor_is_below_ceiling(self) -> Self:
        if self.min_concurrency > self.max_concurrency:
            raise ValueError("min_concurrency may not be above max_concurrency")
        return self


class LocalModelSettings(Group):
    """The model that answers when no provider key is set."""

    threads: int = Field(
        default=1, ge=1, le=64, description="threads of llama.cpp; more than one stalls on a busy machine"
    )
    slots: int = Field(default=2, ge=1, le=64, description="answers written at the same time")
    context_tokens: int = Field(default=4096, ge=512, le=8192, description="context of each slot, tokens")
    max_output_tokens: int = Field(default=256, ge=1, description="longest answer, tokens")
    start_seconds: float = Field(
        default=60.0, gt=0, description="how long the model may take to load, seconds"
    )
