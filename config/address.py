"""What addresses say: whether they leave this machine, and what is there."""

from ipaddress import ip_address

from pydantic import SecretStr


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


def postgres_url(url: SecretStr | None) -> SecretStr | None:
    """The address of a Postgres as it is; raises ValueError for any other."""
    if url and not url.get_secret_value().startswith(("postgres://", "postgresql://")):
        raise ValueError("must begin with postgresql://")
    return url
