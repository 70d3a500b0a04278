"""What every group of settings is, and the bounds they share."""

from pydantic import BaseModel, ConfigDict

# What gRPC can hold: milliseconds and bytes in 31 bits.
MAX_SECONDS = 7 * 24 * 3600
MAX_BYTES = 2**31 - 1


class Group(BaseModel):
    """Settings that share a prefix."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # config.names finds what is misspelt
