"""A module that cannot be imported."""

raise RuntimeError("canary-own-71c")
