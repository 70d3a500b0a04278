"""An address as it is written: what is refused before any name is looked up."""

import re
import socket

from yarl import URL

from backend.tools.crawl.addresses import Guard, address_of
from backend.tools.crawl.errors import AddressRefusedError

_LONGEST = 2048
_NEVER_IN_A_URL = re.compile(r"[\x00-\x20\x7f\\]")
_AUTHORITY_ENDS = re.compile(r"[/?#]")
_HOST = re.compile(r"[a-z0-9]([a-z0-9_.-]*[a-z0-9])?\.?")


def target(written: str, guard: Guard) -> URL:
    """The address to fetch, without its fragment.

    The parser is the one of the client that connects, so that the two never read one text in two ways.

    Raises:
        AddressRefusedError: It may not be fetched, whatever its name leads to.
    """
    if len(written) > _LONGEST:
        raise AddressRefusedError(f"is longer than {_LONGEST} characters")
    if _NEVER_IN_A_URL.search(written):
        raise AddressRefusedError("holds characters that no address has")
    if "@" in _AUTHORITY_ENDS.split(written.partition("//")[2])[0]:
        raise AddressRefusedError("must not hold a user or a password")
    try:
        url = URL(written).with_fragment(None)
    except ValueError as error:
        raise AddressRefusedError("is not an address") from error
    return checked(url, guard)


def checked(url: URL, guard: Guard) -> URL:
    """The same for one that is parsed, as where a redirect leads.

    Raises:
        AddressRefusedError: It may not be fetched.
    """
    if url.scheme not in ("http", "https"):
        raise AddressRefusedError("must begin with http:// or https://")
    if url.user is not None or url.password is not None:
        raise AddressRefusedError("must not hold a user or a password")
    host = url.raw_host or ""
    if not url.absolute or not host:
        raise AddressRefusedError("has no host")
    if url.port is None or not guard.may_use(url.port):
        raise AddressRefusedError("must use a usual port")
    _check_host(host, url.port, guard)
    return url


def _check_host(host: str, port: int, guard: Guard) -> None:
    address = address_of(host)
    if address is not None:
        # A client does not ask its resolver about what is an address already, so it is judged here.
        if "%" in host or not guard.permits(address, port):
            raise AddressRefusedError("must be a public address")
        return
    if not _HOST.fullmatch(host.lower()) or ".." in host:
        raise AddressRefusedError("has no host")
    if _is_odd_number(host):
        raise AddressRefusedError("must be a public address")


def _is_odd_number(host: str) -> bool:
    """Whether it is an IPv4 address in another notation: 127.1, 0x7f.1, 017700000001, 2130706433."""
    try:
        socket.inet_aton(host.rstrip("."))
    except OSError:
        return False
    return True
