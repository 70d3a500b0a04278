"""What a row of the tool table says about one typed RPC of ToolService."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

KIBIBYTE = 1024


def snake_case(rpc: str) -> str:
    """`GetRSSArticles` as `get_rss_articles`."""
    return _WORDS.sub("_", rpc).lower()


@dataclass(frozen=True, slots=True)
class Row:
    """One tool. What is not said here comes from the RPC's request and response messages.

    `needs` are the arguments that must be there and not be empty. `says` describes arguments to the model, by
    name. `choices` are the only values of an argument, or of its items. `most` are the greatest values of
    numbers that are 0 at least. `long` are texts that may be longer than a question or a name. `filled` are
    the request's fields that the model never sees: the gateway fills them. `hidden` are fields of the result
    that the model does not see. `urls` are arguments that are fetched. `untrusted`: the answer holds text
    that neither the user nor the backend has written.
    """

    rpc: str
    description: str
    operation_type: str
    needs: tuple[str, ...] = ()
    says: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    long: frozenset[str] = frozenset()
    read_only: bool = False
    idempotent: bool = False
    destructive: bool = False
    open_world: bool = False
    spends: bool = False
    untrusted: bool = False
    timeout_seconds: float = 15.0
    max_result_bytes: int = 32 * KIBIBYTE
    filled: frozenset[str] = frozenset({"user_id"})
    hidden: frozenset[str] = frozenset()
    sensitive: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The tool's name, as the model knows it."""
        return snake_case(self.rpc)

    @property
    def gives_untrusted(self) -> bool:
        return self.untrusted or self.open_world


HITS = {"limit": 100}
LINE = {"line_index": 2**31 - 1}
COUNT = "How many at most; leave it out for the usual number."
EXPECTED_TEXT = "How the line reads now. The call is refused when it reads otherwise, so always give it."
LINE_INDEX = "The line's index, from 0, as list_org_inbox_items gives it."
TIMESTAMP = "An org timestamp, as <2026-01-31 Sat>."
REPEATER = "An org repeater, as +1w."
"""What several rows say of an argument, and its bounds."""
