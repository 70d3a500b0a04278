"""How long what has ended is kept."""

from typing import Self

from pydantic import Field, model_validator

from config.group import MAX_SECONDS, Group

_DAY = 24 * 3600
_CENTURY = 100 * 365 * _DAY


class RetentionSettings(Group):
    """How long what has ended is kept. Nothing is kept for ever, but a century is allowed."""

    interval_seconds: float = Field(
        default=3600.0,
        ge=1,
        le=MAX_SECONDS,
        description="how often a process deletes what is past its time, seconds",
    )
    checkpoints_idle_seconds: float = Field(
        default=7.0 * _DAY,
        ge=60,
        le=_CENTURY,
        description="a conversation idle for so long keeps only its newest checkpoint, seconds",
    )
    events_seconds: float = Field(
        default=7.0 * _DAY,
        ge=60,
        le=_CENTURY,
        description="the log of a run that ended so long ago keeps only its last record, seconds",
    )
    runs_seconds: float = Field(
        default=30.0 * _DAY,
        ge=60,
        le=_CENTURY,
        description="a run that ended so long ago is deleted; its conversation stays, seconds",
    )
    usage_seconds: float = Field(
        default=400.0 * _DAY,
        ge=2 * _DAY,
        le=_CENTURY,
        description="what runs used that began so long ago is forgotten, seconds",
    )

    outbox_seconds: float = Field(
        default=7.0 * _DAY,
        ge=60,
        le=_CENTURY,
        description="an event that nobody has fetched for so long is deleted, seconds",
    )

    @model_validator(mode="after")
    def _runs_outlive_what_they_tell_the_age_of(self) -> Self:
        if self.runs_seconds < max(self.events_seconds, self.checkpoints_idle_seconds):
            raise ValueError("runs_seconds must be at least events_seconds and checkpoints_idle_seconds")
        return self
