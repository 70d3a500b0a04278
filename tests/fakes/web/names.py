"""Names that lead where a test says, and what was looked up."""

from collections.abc import Sequence


class FakeNames:
    """A name server. Of several answers of a name each look-up takes the next; the last one stays."""

    def __init__(self, **answers: str) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        for name, addresses in answers.items():
            self.leads(name, addresses.split())

    def leads(self, name: str, *answers: Sequence[str]) -> None:
        """What the look-ups of a name give, one after the other."""
        self.answers[name] = [list(answer) for answer in answers]

    async def addresses(self, host: str) -> Sequence[str]:
        """As `Names`."""
        self.asked.append(host)
        found = self.answers.get(host.rstrip("."))
        if found is None:
            raise OSError("no such name")
        return found.pop(0) if len(found) > 1 else found[0]
