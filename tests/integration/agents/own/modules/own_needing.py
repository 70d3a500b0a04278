"""A module that needs what is not there."""

import there_is_no_such_package  # type: ignore[import-not-found]  # noqa: F401
