"""A caller: a user, or a service that acts for users."""

from dataclasses import dataclass
from typing import assert_never

from state.errors import PermissionDeniedError


@dataclass(frozen=True, slots=True)
class UserPrincipal:
    """One user, who acts for nobody else."""

    user_id: str


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """A service. `users`: whom it may act for; None = everybody."""

    name: str
    users: frozenset[str] | None = None


Principal = UserPrincipal | ServicePrincipal


def acting_for(principal: Principal, user_id: str) -> str:
    """The user whom a request is of, by who sends it and what it says; empty when a service names nobody.

    Raises:
        PermissionDeniedError: The caller may not act for the user that the request names.
    """
    match principal:
        case UserPrincipal(user_id=own):
            allowed, user_id = user_id in ("", own), own
        case ServicePrincipal(users=users):
            allowed = users is None or user_id in users or not user_id
        case _:
            assert_never(principal)
    if not allowed:
        raise PermissionDeniedError("the credentials do not cover this user_id")
    return user_id
