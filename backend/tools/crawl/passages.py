"""Which passages of a page a question is about, by the words that the two share."""

import re

_WORD = re.compile(r"\w{3,}")


class Question:
    """A question as the words that count in it."""

    def __init__(self, text: str) -> None:
        self._words = frozenset(word.lower() for word in _WORD.findall(text))

    def share(self, text: str) -> float:
        """How many of the words a text has, 0..1."""
        if not self._words:
            return 0.0
        return len(self._words & {word.lower() for word in _WORD.findall(text)}) / len(self._words)

    def passages(self, text: str, most_chars: int) -> str:
        """The paragraphs that fit best, in the order of the text."""
        paragraphs = [one.strip() for one in text.splitlines() if one.strip()]
        by_share = sorted(range(len(paragraphs)), key=lambda n: (-self.share(paragraphs[n]), n))
        taken: set[int] = set()
        size = 0
        for number in by_share:
            size += len(paragraphs[number]) + 1
            if size > most_chars and taken:
                break
            taken.add(number)
        return "\n".join(paragraphs[number] for number in sorted(taken))[:most_chars]
