"""Text of others, as it may stand in a line of ours."""

import unicodedata

_JOINERS = "\u200c\u200d"
"""Invisible, and letters of some scripts and many emoji need them."""

_NO_TEXT = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def line(text: str, most: int) -> str:
    """The text in one line of at most so many characters, without what controls, hides or turns it round.

    What is too long ends at a word, with an ellipsis.
    """
    spaced = "".join(" " if character.isspace() else character for character in text)
    seen = "".join(c for c in spaced if c in _JOINERS or unicodedata.category(c) not in _NO_TEXT)
    one = " ".join(seen.split())
    if len(one) <= most:
        return one
    cut = one[: most - 1]
    word = cut.rsplit(" ", 1)[0] if one[most - 1] != " " else cut
    # A script without spaces, or one long word: then it is cut where it has to be.
    return (word if len(word) >= most // 2 else cut).rstrip(" ,;:-") + "…"
