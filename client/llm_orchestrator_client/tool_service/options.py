"""Where and how ToolService is served."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import grpc


class TLSFileError(Exception):
    """A certificate or key cannot be read; the message names the file."""


class UnsafeAddressError(ValueError):
    """Others than this machine could call without TLS or without a token; the message says what to do."""


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """PEM files. With `client_ca` only callers with a certificate of that CA can connect."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Raises: TLSFileError: One cannot be read."""
        pair = (_read(self.key), _read(self.certificate))
        client_ca = None if self.client_ca is None else _read(self.client_ca)
        return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Times in seconds, sizes in bytes. Port 0 picks a free one.

    `allow_plaintext` and `allow_anyone` are for a network that encrypts, or checks who calls, by itself.
    `max_send_bytes`: of one response; by default what the orchestrator takes. `grace_seconds`: how long calls
    may go on when the server stops.
    """

    address: str = "127.0.0.1:50052"
    tls: TLSFiles | None = None
    allow_plaintext: bool = False
    allow_anyone: bool = False
    reflection: bool = False
    max_receive_bytes: int = 4 << 20
    max_send_bytes: int = 16 << 20
    max_metadata_bytes: int = 32 << 10
    max_call_seconds: float = 120.0
    max_concurrency: int = 256
    grace_seconds: float = 10.0

    def check(self, *, authenticated: bool) -> None:
        """Raises: UnsafeAddressError: The address is not of this machine alone, and something is missing."""
        if is_local(self.address):
            return
        if self.tls is None and not self.allow_plaintext:
            raise UnsafeAddressError(f"{self.address} needs TLS: give `tls`, or set `allow_plaintext`")
        verified = self.tls is not None and self.tls.client_ca is not None
        if not (authenticated or verified or self.allow_anyone):
            raise UnsafeAddressError(
                f"{self.address} needs to know who calls: give an authenticator, or set `allow_anyone`"
            )

    def channel_arguments(self) -> Sequence[tuple[str, int]]:
        """gRPC's names for them."""
        return [
            ("grpc.max_receive_message_length", self.max_receive_bytes),
            ("grpc.max_send_message_length", self.max_send_bytes),
            ("grpc.max_metadata_size", self.max_metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.max_metadata_bytes),
            ("grpc.so_reuseport", 0),  # a second server on the port must fail, not take half the calls
        ]


def is_local(address: str) -> bool:
    """Whether only this machine can reach an address."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TLSFileError(f"cannot read {file}") from error
