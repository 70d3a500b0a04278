"""Whose a row is. What is another user's is not there: the same status and text as for what never was."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Generic, Literal, TypeVar

from llm_orchestrator_client.tool_service.errors import NotFoundError

T = TypeVar("T")


class _Everyone(Enum):
    EVERYONE = auto()


EVERYONE: Final = _Everyone.EVERYONE
"""The owner of what all users share. No user id and no missing value ever means it."""

Owner = str | Literal[_Everyone.EVERYONE]


@dataclass(frozen=True, slots=True)
class Owned(Generic[T]):
    """Something together with whose it is, as the row says: never as the request says."""

    owner: Owner
    value: T

    def visible_to(self, user: str) -> bool:
        return self.owner is EVERYONE or (bool(user) and self.owner == user)


def of_user(user: str, found: Owned[T] | None) -> T:
    """The value.

    Raises:
        NotFoundError: There is nothing, or it is another user's.
        TypeError: It came without an owner.
    """
    if found is None:
        raise nothing()
    if not isinstance(found, Owned):
        raise TypeError("a row came without its owner")
    if not found.visible_to(user):
        raise nothing()
    return found.value


def visible(user: str, found: Sequence[Owned[T]]) -> Sequence[Owned[T]]:
    """Those that the user can see.

    Raises:
        TypeError: One came without an owner.
    """
    if not all(isinstance(one, Owned) for one in found):
        raise TypeError("a row came without its owner")
    return [one for one in found if one.visible_to(user)]


def nothing() -> NotFoundError:
    """The one text for what is not there and for what is another user's."""
    return NotFoundError("Nothing of this kind has been found.")
