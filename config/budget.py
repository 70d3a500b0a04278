"""What one user may use in a day."""

from pydantic import Field

from config.group import Group


class BudgetSettings(Group):
    """Of one user and UTC day; empty = no limit. A run is refused when one of them is used up."""

    tokens_per_day: int | None = Field(
        default=None, ge=1, description="tokens of a user in a UTC day, input and output; empty = any"
    )
    cost_micros_per_day: int | None = Field(
        default=None,
        ge=1,
        description="costs of a user in a UTC day, millionths of the provider file's currency; empty = any",
    )
    runs_per_day: int | None = Field(
        default=None, ge=1, description="runs of a user in a UTC day; empty = any"
    )
