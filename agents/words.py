"""A text's words as they are compared: in the form NFKD, without case and accents, everywhere the same."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

_APOSTROPHES = dict.fromkeys(map(ord, "'\u2018\u2019\u02bc"))
_WORD = re.compile(r"\w+")


_COMMON = frozenset(
    [
        "a",
        "about",
        "all",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "how",
        "i",
        "if",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "she",
        "should",
        "so",
        "some",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "up",
        "us",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
"""In so many texts that they tell little of any."""


def words(text: str) -> tuple[str, ...]:
    """In their order."""
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_APOSTROPHES)
    return tuple(_WORD.findall("".join(c for c in plain if not unicodedata.combining(c))))


def telling(
    phrases: Iterable[Sequence[str]], sentences: Iterable[frozenset[str]], likeness: float
) -> frozenset[str]:
    """Words of which a text has at least one if it holds one of the phrases, or is like one of the sentences.

    `likeness`: from how much of Dice's coefficient on, 0..1. They are few, and rare where that can be chosen:
    without the n words left out of a sentence of b, a text has at most 2n / (n + b) in common with it.
    """
    told = {max(phrase, key=_rarity) for phrase in phrases if phrase}
    for sentence in sentences:
        ordered, size = sorted(sentence, key=_rarity), len(sentence)
        left_out = sum(1 for n in range(1, size + 1) if 2 * n / (n + size) < likeness)
        told.update(ordered[left_out:])
    return frozenset(told)


def _rarity(word: str) -> tuple[bool, int, str]:
    return word not in _COMMON, len(word), word
