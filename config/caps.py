"""What one run may use: a run that reaches a cap is complete, with what it has."""

from pydantic import Field

from config.group import MAX_SECONDS, Group


class CapSettings(Group):
    """The most of any run; a request may ask for less. Empty = no cap of the server's own."""

    max_duration_seconds: float | None = Field(
        default=None,
        gt=0,
        le=MAX_SECONDS,
        description="time of a run in RUNNING, after which it is complete as it is, seconds; empty = any",
    )
    max_output_tokens: int | None = Field(
        default=None, ge=1, description="output of all model calls of a run, tokens; empty = any"
    )
    max_total_tokens: int | None = Field(
        default=None, ge=1, description="input and output of all model calls of a run, tokens; empty = any"
    )
    max_steps: int | None = Field(default=None, ge=1, description="model calls of a run; empty = any")
    max_cost_micros: int | None = Field(
        default=None,
        ge=1,
        description="cost of a run, millionths of the provider file's currency; empty = any",
    )
