"""Which addresses do not leave this machine."""

from ipaddress import ip_address


def is_loopback(address: str) -> bool:
    """Whether `host:port`, or `unix:path`, is on this machine only."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
