"""The filters of a search: `tag:space`, `-tag:draft`, `format:html`, `author:Lincoln`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llm_orchestrator_client.tool_service import InvalidArgumentError

MOST_FILTERS = 20
_LONGEST = 200
_SAID = "A filter is KEY:VALUE or -KEY:VALUE; the key is tag, format, filename or a key of the metadata."


@dataclass(frozen=True, slots=True)
class Filters:
    """What documents must and must not have. Names of metadata and tags are in lower case."""

    tags: Sequence[str] = ()
    without_tags: Sequence[str] = ()
    pairs: Sequence[tuple[str, str]] = ()
    without_pairs: Sequence[tuple[str, str]] = ()
    given: bool = field(default=False)

    def arguments(self) -> tuple[list[str], list[str], list[str], list[str], list[str], list[str]]:
        """As `CONDITION` takes them."""
        return (
            list(self.tags),
            list(self.without_tags),
            [key for key, _ in self.pairs],
            [value for _, value in self.pairs],
            [key for key, _ in self.without_pairs],
            [value for _, value in self.without_pairs],
        )


# A pair fits when the value stands in what the document says under the key, whole or as a part of it.
_FITS = """
strpos(lower(CASE key WHEN 'format' THEN d.format WHEN 'filename' THEN d.filename
    ELSE coalesce(d.metadata ->> key, '') END), lower(value)) > 0
"""
CONDITION = f"""
d.user_id = $1 AND d.tags @> $2::text[] AND NOT d.tags && $3::text[]
AND NOT EXISTS (SELECT FROM unnest($4::text[], $5::text[]) AS f (key, value) WHERE NOT ({_FITS}))
AND NOT EXISTS (SELECT FROM unnest($6::text[], $7::text[]) AS f (key, value) WHERE {_FITS})
"""  # noqa: S608 - no part of it comes from outside
"""Which documents `d` of the user $1 fit; $2 to $7 are `Filters.arguments`."""


def filters_of(given: Iterable[str]) -> Filters:
    """Filters as a request has them. A word without a colon is a tag.

    Raises:
        InvalidArgumentError: One is none, or there are too many.
    """
    found: dict[tuple[bool, bool], list[tuple[str, str]]] = {}
    wanted = [one.strip() for one in given if one.strip()]
    if len(wanted) > MOST_FILTERS or any(len(one) > _LONGEST or "\0" in one for one in wanted):
        raise InvalidArgumentError(
            f"There are too many filters, or one is too long. {_SAID}", field="filters"
        )
    for one in wanted:
        without = one.startswith("-")
        key, colon, value = one.removeprefix("-").partition(":")
        if not colon:
            key, value = "tag", key
        key, value = key.strip().lower(), value.strip()
        if not key or not value:
            raise InvalidArgumentError(_SAID, field="filters")
        found.setdefault((key == "tag", without), []).append((key, value))
    return Filters(
        tags=[value.lower() for _, value in found.get((True, False), ())],
        without_tags=[value.lower() for _, value in found.get((True, True), ())],
        pairs=found.get((False, False), ()),
        without_pairs=found.get((False, True), ()),
        given=bool(wanted),
    )
