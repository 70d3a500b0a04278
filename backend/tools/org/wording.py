"""What requests may hold: texts, tags and properties that leave the rest of a file as it is."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from backend.tools.org.headline import LONGEST, sets_keywords
from llm_orchestrator_client.tool_service import InvalidArgumentError

MAX_CHARACTERS = 32 * 1024
"""Of a text that is added."""

_TAG = re.compile(r"[\w@#%]{1,50}")
_MOST_TAGS = 20
_PROPERTY = re.compile(r"[A-Za-z][\w-]{0,49}")
_MOST_PROPERTIES = 30
_OWN_PROPERTIES = ("END", "PROPERTIES", "CREATED")
_MARKS = re.compile(r"\*+[ \t]+|[-+][ \t]+\[[ xX-]\][ \t]+")


def plain_lines(text: str, field: str) -> list[str]:
    """A text's lines, without blank ones around them.

    Raises:
        InvalidArgumentError: It is empty, too long, or holds control characters.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidArgumentError(f"{field} has more than {MAX_CHARACTERS} characters.", field=field)
    text = text.replace("\r\n", "\n")
    # Zl and Zp end lines for some programs and not for others.
    if any(unicodedata.category(one) in ("Cc", "Zl", "Zp") and one not in "\n\t" for one in text):
        raise InvalidArgumentError(f"{field} holds control characters.", field=field)
    lines = text.strip("\n").split("\n")
    if not any(line.strip() for line in lines):
        raise InvalidArgumentError(f"{field} is empty.", field=field)
    return lines


def one_line(text: str, field: str) -> str:
    """A text of one line, without blanks around it.

    Raises:
        InvalidArgumentError: As `plain_lines`, or it has several.
    """
    (line, *more) = plain_lines(text.strip(), field)
    if more:
        raise InvalidArgumentError(f"{field} is more than one line.", field=field)
    return fitting(line, field)


def fitting(line: str, field: str) -> str:
    """A line to be written.

    Raises:
        InvalidArgumentError: It is too long.
    """
    if len(line) > LONGEST:
        raise InvalidArgumentError(f"The line would have more than {LONGEST} characters.", field=field)
    return line


def entry_text(text: str) -> tuple[str, list[str]]:
    """The title of a new entry, without the marks of one, and the lines below it, indented.

    Raises:
        InvalidArgumentError: As `plain_lines`, or a line would change what is a TODO keyword.
    """
    title, *below = plain_lines(text.strip(), "text")
    if any(map(sets_keywords, below)):
        raise InvalidArgumentError("The text would change the TODO keywords of the file.", field="text")
    title = _MARKS.sub("", title, count=1).strip()
    if not title:
        raise InvalidArgumentError("text has no title in its first line.", field="text")
    # Indented, no line can be a headline.
    return title, [f"  {line.rstrip()}".rstrip() for line in below]


def tags_of(tags: Iterable[str]) -> list[str]:
    """Tags, each once.

    Raises:
        InvalidArgumentError: There are too many, or one is none.
    """
    wanted = list(dict.fromkeys(tag.strip().strip(":") for tag in tags))
    for tag in wanted:
        if not _TAG.fullmatch(tag):
            raise InvalidArgumentError(
                "A tag is made of letters, digits, _, @, # and %, at most 50 of them.", field="tags"
            )
    if len(wanted) > _MOST_TAGS:
        raise InvalidArgumentError(f"There are more than {_MOST_TAGS} tags.", field="tags")
    return wanted


def properties_of(properties: Mapping[str, str]) -> dict[str, str]:
    """The properties of a contact.

    Raises:
        InvalidArgumentError: There are too many, or a name or value is none.
    """
    field = "contact_properties"
    if len(properties) > _MOST_PROPERTIES:
        raise InvalidArgumentError(f"There are more than {_MOST_PROPERTIES} properties.", field=field)
    for name, value in properties.items():
        if not _PROPERTY.fullmatch(name) or name.upper() in _OWN_PROPERTIES:
            raise InvalidArgumentError(
                "A property's name is letters, digits, _ and -, and none of org's own.", field=field
            )
        if ":END:" in value.upper():
            raise InvalidArgumentError("A property's value would end the properties.", field=field)
    return {name: one_line(value, field) for name, value in sorted(properties.items())}
