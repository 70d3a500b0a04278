"""A text's words as they are compared: in the form NFKD, without case and accents, everywhere the same."""

import re
import unicodedata

_APOSTROPHES = dict.fromkeys(map(ord, "'\u2018\u2019\u02bc"))
_WORD = re.compile(r"\w+")


def words(text: str) -> tuple[str, ...]:
    """In their order."""
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_APOSTROPHES)
    return tuple(_WORD.findall("".join(c for c in plain if not unicodedata.combining(c))))
