"""Settings of the line."""

from typing import Self

from pydantic import Field, model_validator

from config.group import Group


class QueueSettings(Group):
    """The line in front of the providers, over all processes."""

    capacity: int = Field(default=10_000, ge=1, description="runs that may wait or run at the same time")
    high_share: float = Field(
        default=0.8, gt=0, le=1, description="from this share of it on nobody joins the line"
    )
    low_share: float = Field(default=0.6, gt=0, le=1, description="below this share of it one may join again")
    priority_seconds: float = Field(
        default=60.0,
        ge=0,
        description="a step of priority counts as so much waiting; 0 = it always goes first, seconds",
    )
    quarantine_seconds: float = Field(
        default=30.0,
        ge=0,
        description="a task that processes have died of waits so long before one makes itself idle, seconds",
    )
    timeout_seconds: float = Field(
        default=86400.0,
        gt=0,
        description="how long a task waits for its beginning, unless its request says, seconds",
    )

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low_share > self.high_share:
            raise ValueError("low_share may not be above high_share")
        return self
