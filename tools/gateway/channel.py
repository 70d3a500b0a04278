"""The connection to the backend that serves ToolService."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc


class TLSFileError(Exception):
    """The CA file cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """Where the backend is and how it is reached. Times in seconds, sizes in bytes.

    `ca_file`: the CAs that its certificate may come from, PEM; None = those of the system. `token` is sent as
    a bearer token; empty = none.
    """

    address: str = "127.0.0.1:50052"
    tls: bool = False
    ca_file: Path | None = None
    token: str = field(default="", repr=False)
    max_receive_bytes: int = 16 << 20
    keepalive_seconds: float = 30.0
    keepalive_timeout_seconds: float = 10.0

    def channel_arguments(self) -> Sequence[tuple[str, int]]:
        """gRPC's names for them; its times are in milliseconds."""
        timeout = int(self.keepalive_timeout_seconds * 1000)
        return [
            ("grpc.max_receive_message_length", self.max_receive_bytes),
            ("grpc.keepalive_time_ms", int(self.keepalive_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", timeout),
            ("grpc.http2.ping_timeout_ms", timeout),  # without it a silent peer is given a minute more
            ("grpc.enable_http_proxy", 0),  # no variable sends users' data elsewhere
            ("grpc.enable_retries", 0),  # only we know what may be called again
            ("grpc.min_reconnect_backoff_ms", 5000),  # how long connecting may take
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 5000),  # a backend that is back is not waited for two minutes
        ]


def opened(options: ChannelOptions) -> grpc.aio.Channel:
    """A channel, which connects with the first call.

    Raises:
        TLSFileError: The CA file cannot be read.
    """
    arguments = options.channel_arguments()
    if not options.tls:
        return grpc.aio.insecure_channel(options.address, options=arguments)
    credentials = grpc.ssl_channel_credentials(_certificates(options.ca_file))
    return grpc.aio.secure_channel(options.address, credentials, options=arguments)


def _certificates(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise TLSFileError(f"cannot read the CA file {file}") from error
