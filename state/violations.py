"""What errors say of a request, a quota, a state or a thing, beside their message."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field. `field` is its path in the request, as `conversation_history[3].role`."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """Which limit was reached, and whose: `subject` is as `user:ann`."""

    subject: str
    description: str


@dataclass(frozen=True, slots=True)
class PreconditionViolation:
    """What must be put right first: `kind` as `PROVIDER`, `subject` the thing itself."""

    kind: str
    subject: str
    description: str


@dataclass(frozen=True, slots=True)
class Resource:
    """What was not found: `kind` as `run`, `name` as the caller gave it."""

    kind: str
    name: str


Detail = FieldViolation | QuotaViolation | PreconditionViolation | Resource
