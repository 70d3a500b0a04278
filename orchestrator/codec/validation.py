"""The limits of every request field, in one place, and what names each field that breaks one."""

from collections.abc import Collection
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from state.errors import InvalidRequestError
from state.violations import FieldViolation

ID_CHARACTERS = 256
NAME_CHARACTERS = 128
QUERY_BYTES = 1 << 20
HISTORY_MESSAGES = 1000
HISTORY_MESSAGE_BYTES = 1 << 20
PERSONA_CHARACTERS = 1000
PREFERENCES = 50
HEARTBEAT_SECONDS = 0.1
MAX_WAIT_SECONDS = 3600
FALLBACK_MODELS = 10
ATTACHMENTS = 20
IMAGE_BYTES = 5 << 20
TEXT_BYTES = 256 << 10
TEXTS_BYTES = 512 << 10
REQUEST_ID_CHARACTERS = 64
DIGEST_CHARACTERS = 64
QUEUE_SECONDS = 30 * 86400
PERMISSION_SECONDS = 30 * 86400
TOOLS = 256
DOCUMENT_BYTES = 1 << 20
PATH_CHARACTERS = 1024
FRONT_MATTER_CHARACTERS = 1000
FRONT_MATTER_ENTRIES = 100
LABELS = 64
LABEL_CHARACTERS = 256
HINTS = 128
HINT_BYTES = 1 << 20


class Violations:
    """What is wrong with a request, found in one pass so that a caller can mend everything at once."""

    def __init__(self) -> None:
        self._found: list[FieldViolation] = []

    def add(self, field: str, description: str) -> None:
        self._found.append(FieldViolation(field, description))

    def required(self, field: str, text: str) -> None:
        if not text.strip():
            self.add(field, "is required")

    def characters(self, field: str, text: str, most: int) -> None:
        """At most so many characters, none of them a control character."""
        if len(text) > most:
            self.add(field, f"may have at most {most} characters")
        elif any(ord(character) < ord(" ") for character in text):
            self.add(field, "may not hold control characters")

    def text(self, field: str, text: str, most_bytes: int) -> None:
        """At most so many bytes of UTF-8, none of them zero: Postgres keeps no NUL."""
        if len(text) > most_bytes or len(text.encode()) > most_bytes:
            self.add(field, f"may have at most {most_bytes} bytes")
        elif "\0" in text:
            self.add(field, "may not hold the character NUL")

    def one_of(self, field: str, text: str, allowed: Collection[str]) -> None:
        if text not in allowed:
            self.add(field, f"must be one of {', '.join(sorted(allowed))}")

    def between(self, field: str, value: float, low: float, high: float) -> None:
        # Written so that NaN fails.
        if not low <= value <= high:
            self.add(field, f"must be from {low:g} to {high:g}")

    def moment(self, field: str, time: Timestamp) -> datetime | None:
        """The time, in UTC; None where it is none."""
        try:
            return time.ToDatetime(UTC)
        except (ValueError, OverflowError):
            self.add(field, "must be a time from year 1 to 9999")
            return None

    def done(self) -> None:
        """Raises InvalidRequestError when something was found."""
        if self._found:
            raise InvalidRequestError(*self._found)


def check_user(check: Violations, user_id: str) -> None:
    """Every request is somebody's."""
    check.required("user_id", user_id)
    check.characters("user_id", user_id, ID_CHARACTERS)


def seconds_of(duration: Duration) -> float:
    """As every setting counts."""
    return duration.ToNanoseconds() / 1e9
