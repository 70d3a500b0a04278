"""A target with a fault in it, so that a fuzzer that finds nothing is known to be one that looks."""


class PlantedError(Exception):
    """What is to be found."""


def planted(data: bytes) -> None:
    """Fails for a few inputs, behind branches that no blind guess passes all at once."""
    if data[:1] == b"f" and data[1:2] == b"u" and len(data) > 2 and data[2] > 0x7F:
        raise PlantedError
