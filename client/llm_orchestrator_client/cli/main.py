"""The command `orchestrator`."""


def main() -> int:
    """Not built yet."""
    raise NotImplementedError
