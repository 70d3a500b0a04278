"""The highest load that is carried: by doubling while it is, then by halving what is left between."""

from collections.abc import Mapping

_FINE = 8
"""The search ends when what is left between is less than that share of what is carried."""


class Search:
    """Which load to try next, by what is known of others. `known`: by load, whether it was carried."""

    def __init__(self, *, known: Mapping[int, bool], most: int) -> None:
        self._most = most
        self._failed = min((load for load, carried in known.items() if not carried), default=None)
        # What was carried above a load that was not has been luck.
        self._carried = max(
            (load for load, carried in known.items() if carried and self._below(load)), default=0
        )

    @property
    def carried(self) -> int:
        """The highest load below all that were not carried; 0 = none."""
        return self._carried

    @property
    def failed(self) -> int | None:
        """The lowest load that was not carried."""
        return self._failed

    def tell(self, load: int, *, carried: bool) -> None:
        """What became of a load."""
        if carried:
            self._carried = max(self._carried, load)
        else:
            self._failed = min(load, self._failed or load)

    def next(self) -> int | None:
        """None: the search is over."""
        if self._failed is None:
            doubled = min(max(1, 2 * self._carried), self._most)
            return doubled if doubled > self._carried else None
        between = self._failed - self._carried
        return self._carried + between // 2 if between > max(1, self._carried // _FINE) else None

    def _below(self, load: int) -> bool:
        return self._failed is None or load < self._failed
