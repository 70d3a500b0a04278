"""Parts that must not die by themselves."""

from collections.abc import Awaitable, Callable

Deaths = dict[str, Callable[[], Awaitable[object]]]
"""What ends the process when it ends, by name; filled as the parts start."""
