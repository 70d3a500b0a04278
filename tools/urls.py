"""Which addresses a tool may be sent to: public ones, over http or https.

Only what is written is judged; a name may still lead to a private address, which whoever fetches must find
out when it connects.
"""

import re
import socket
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "intranet", "localdomain")
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))

_Address = IPv4Address | IPv6Address


def refusal(url: str) -> str | None:
    """Why this may not be fetched, for the model; None when it may."""
    if _UNSAFE.search(url):
        return "holds characters that no address has"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is none
    except ValueError:
        return "is not an address"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if "@" in parts.netloc:
        return "must not hold a user or a password"
    return _host_refusal(parts)


def _host_refusal(parts: SplitResult) -> str | None:
    # As a browser reads it: full-width digits are digits, an ideographic full stop is one, %31 is 1.
    written = unicodedata.normalize("NFKC", unquote(parts.hostname or "")).replace("\u3002", ".")
    host = written.lower().rstrip(".")
    if not host or _UNSAFE.search(host):
        return "has no host"
    address = _literal(host)
    if address is not None:
        return None if _is_public(address) else "must be a public address"
    if "[" in parts.netloc:
        return "has no host"
    if "." not in host or any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES):
        return "must be a public address"
    return None


def _literal(host: str) -> _Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))  # also 127.1, 0x7f.1, 017700000001 and 2130706433
    except (OSError, UnicodeError):
        return None


def _is_public(address: _Address) -> bool:
    inner = _embedded(address)
    if inner is not None and not _is_public(inner):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: _Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    return low if any(address in network for network in _NAT64) or int(address) < 2**32 else None
