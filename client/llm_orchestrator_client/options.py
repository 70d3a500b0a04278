"""How to reach the orchestrator, and how patient to be."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Self

Token = str | Callable[[], str | Awaitable[str]]
"""A bearer token, or what gives one: it is asked before each call, so that tokens may expire."""


@dataclass(frozen=True, slots=True)
class TLS:
    """PEM bytes. `ca` None = the system's roots; `key` and `certificate` are for mTLS.

    `server_name`: the name in the server's certificate, where it differs from the address.
    """

    ca: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.key is None) != (self.certificate is None):
            raise ValueError("mTLS needs both a key and a certificate")


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds.

    `connect`: how long a chat that no server has accepted yet is tried again; 0 = once. `resume`: how long a
    stream that broke is taken up again without anything new. `silence`: a stream that says nothing for so
    long, not even a heartbeat (15 s), counts as broken. `first_delay` doubles up to `most_delay`. `leave`:
    how long a cancel is tried.
    """

    connect: float = 5.0
    resume: float = 60.0
    silence: float = 45.0
    first_delay: float = 0.05
    most_delay: float = 2.0
    leave: float = 3.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach the orchestrator.

    `target`: "host:port", a gRPC name ("dns:///orchestrator:50051"), or the addresses of replicas; calls go
    round-robin over all addresses. `token` needs TLS, or a loopback address, or `plaintext_token`. `user_id`:
    the owner where a call names none. `call_seconds`: the deadline of calls that do not stream; `attempts`:
    how often such a call is made in all while no server can be reached (1 to 5). With more than one, what has
    no second effect goes on within its deadline while a server refuses it because it stops.

    Raises:
        ValueError: The parts do not fit together.
    """

    target: str | Sequence[str] = "localhost:50051"
    tls: TLS | None = None
    token: Token | None = field(default=None, repr=False)
    plaintext_token: bool = False
    user_id: str = ""
    call_seconds: float = 15.0
    attempts: int = 4
    patience: Patience = Patience()
    max_message_bytes: int = 16 << 20
    channel_options: Sequence[tuple[str, str | int]] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:  # noqa: PLR2004 - gRPC's own limit
            raise ValueError("attempts: 1 to 5")
        if self.token is not None and self.tls is None and not (self.plaintext_token or self._local()):
            raise ValueError(f"a token would go to {self.target} in plain text: set tls, or plaintext_token")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """ORCHESTRATOR_TARGET (commas between replicas), _TOKEN, _USER, _TLS ("true"), and files in PEM.

        These are _TLS_CA, and for mTLS _TLS_CERTIFICATE with _TLS_KEY; each of them turns TLS on. With
        _TLS_SERVER_NAME the certificate has another name than the address.

        Raises:
            ValueError: As above.
            OSError: A file cannot be read.
        """
        return cls(
            target=addresses(environment.get("ORCHESTRATOR_TARGET", "localhost:50051")),
            tls=_tls(environment),
            token=environment.get("ORCHESTRATOR_TOKEN") or None,
            user_id=environment.get("ORCHESTRATOR_USER", ""),
        )

    def uri(self) -> str:
        """The target as gRPC takes it.

        Raises:
            ValueError: A list holds names: one name that resolves to all of them does what is meant.
        """
        if isinstance(self.target, str):
            return self.target
        if len(self.target) == 1:
            return self.target[0]
        versions = {ip_address(_host(address)).version for address in self.target}
        if len(versions) != 1:
            raise ValueError("a list of replicas holds IPv4 addresses or IPv6 addresses, not both")
        return f"ipv{versions.pop()}:{','.join(self.target)}"

    def _local(self) -> bool:
        targets = [self.target] if isinstance(self.target, str) else self.target
        hosts = [_host(address) for target in targets for address in _plain(target).split(",")]
        return all(host == "localhost" or _is_loopback(host) for host in hosts)


def _tls(environment: Mapping[str, str]) -> TLS | None:
    files = [environment.get(f"ORCHESTRATOR_TLS_{name}", "") for name in ("CA", "KEY", "CERTIFICATE")]
    if not any(files) and environment.get("ORCHESTRATOR_TLS", "").lower() not in ("1", "true", "yes"):
        return None
    ca, key, certificate = (Path(file).read_bytes() if file else None for file in files)
    return TLS(ca, key, certificate, environment.get("ORCHESTRATOR_TLS_SERVER_NAME", ""))


def addresses(text: str) -> str | Sequence[str]:
    """One target as it is, or the replicas that stand between commas."""
    parts = [part.strip() for part in text.split(",")]
    return parts if len(parts) > 1 and not text.startswith(("ipv4:", "ipv6:")) else text


def _plain(target: str) -> str:
    return target.removeprefix("dns:///").removeprefix("ipv4:").removeprefix("ipv6:")


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]") or address


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
