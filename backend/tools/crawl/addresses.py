"""Which internet addresses may be connected to: public ones, and those that an operator lists."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_NEVER = (
    ip_network("fec0::/10"),  # site-local, which Python takes for public
    ip_network("100::/64"),
    ip_network("5f00::/16"),
    ip_network("192.88.99.0/24"),
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """A network that may be connected to although it is not public; `port` None = the usual ports."""

    network: Network
    port: int | None = None


class Guard:
    """Judges addresses and ports. `ports`: those that may be used; `allowed`: exceptions to both rules."""

    def __init__(self, *, ports: Iterable[int] = (80, 443), allowed: Iterable[Allowed] = ()) -> None:
        self._ports = frozenset(ports)
        self._allowed = tuple(allowed)

    def permits(self, address: Address, port: int) -> bool:
        """Whether a connection may be made."""
        if any(self._is_exception(one, address, port) for one in self._allowed):
            return True
        return port in self._ports and is_public(address)

    def may_use(self, port: int) -> bool:
        """Whether there is any address at which this port may be used."""
        return port in self._ports or any(one.port == port for one in self._allowed)

    def _is_exception(self, one: Allowed, address: Address, port: int) -> bool:
        if address not in one.network:
            return False
        return port in self._ports if one.port is None else port == one.port


def allowed_of(text: str) -> Allowed:
    """An entry of the settings: `10.0.0.0/8`, `127.0.0.1:8080`, `fd00::/8` or `[fd00::1]:8080`.

    Raises:
        ValueError: It is none of these.
    """
    network, port = text.strip(), ""
    if network.startswith("["):
        network, _, port = network[1:].partition("]")
        port = port.removeprefix(":")
    elif network.count(":") == 1:
        network, _, port = network.partition(":")
    return Allowed(ip_network(network), int(port) if port else None)


def address_of(text: str) -> Address | None:
    """The address that a text is; None for a name. A zone, as in `fe80::1%lo`, is left away."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether strangers may be reached there, also through an IPv4 address that an IPv6 address carries."""
    if any(address in network for network in _NEVER):
        return False
    inner = _carried(address)
    if inner is not None:
        # A gateway would carry the packet to the inner address. NAT64's own prefix is what a name server of a
        # network without IPv4 answers with; Python calls it reserved.
        outer = address in _NAT64[0] or (_is_global(address) and not address.is_reserved)
        return outer and is_public(inner)
    return _is_global(address) and not address.is_reserved


def _is_global(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_unspecified


def _carried(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    found = address.ipv4_mapped or address.sixtofour
    if found is None and address.teredo:
        found = address.teredo[1]
    if found is None and (any(address in network for network in _NAT64) or int(address) < 1 << 32):
        found = IPv4Address(int(address) & 0xFFFFFFFF)
    return found
