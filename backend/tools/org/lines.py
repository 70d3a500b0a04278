"""An org file as lines that keep their ends, so that what is not edited stays as it was, byte for byte."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

_BYTE_ORDER_MARK = "\ufeff"
# Not splitlines(), which also takes form feeds and the like for ends of lines.
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Lines:
    """`texts` are without their `ends`, which are "\\n", "\\r\\n", and perhaps "" for the last."""

    mark: str
    texts: tuple[str, ...]
    ends: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
        texts, ends = [], []
        for line in _LINE.findall(text[len(mark) :]):
            end = "\r\n" if line.endswith("\r\n") else "\n" if line.endswith("\n") else ""
            texts.append(line[: len(line) - len(end)])
            ends.append(end)
        return cls(mark, tuple(texts), tuple(ends))

    def __str__(self) -> str:
        return self.mark + "".join(text + end for text, end in zip(self.texts, self.ends, strict=True))

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def newline(self) -> str:
        """How this file ends its lines."""
        return self.ends[0] if self.ends and self.ends[0] else "\n"

    def with_line(self, index: int, text: str) -> Self:
        """The line at `index` replaced."""
        texts = (*self.texts[:index], text, *self.texts[index + 1 :])
        return type(self)(self.mark, texts, self.ends)

    def with_lines(self, index: int, added: Sequence[str]) -> Self:
        """Lines put before the one at `index`. A last line without an end gets one if lines follow."""
        if not added:
            return self
        ends = self.ends
        if index == len(ends) and ends and not ends[-1]:
            ends = (*ends[:-1], self.newline)
        return type(self)(
            self.mark,
            (*self.texts[:index], *added, *self.texts[index:]),
            (*ends[:index], *(self.newline for _ in added), *ends[index:]),
        )

    def without(self, indexes: Iterable[int]) -> Self:
        """Lines left out."""
        gone = frozenset(indexes)
        kept = [index for index in range(len(self.texts)) if index not in gone]
        return type(self)(
            self.mark, tuple(self.texts[at] for at in kept), tuple(self.ends[at] for at in kept)
        )
