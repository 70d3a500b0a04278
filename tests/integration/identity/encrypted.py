"""A service with TLS, whose files a test may change."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509

from protos import orchestrator_pb2_grpc as rpc
from tests.harness.certificates import Authority, Certificate
from tests.harness.identity import stub_with
from tests.harness.service import Service


@dataclass
class TLSFiles:
    """The files of a server's TLS."""

    folder: Path

    def put(self, shown: Certificate) -> None:
        """Another certificate, its key first, as no tool promises to write both at once."""
        (self.folder / "tls.key").write_bytes(shown.key)
        (self.folder / "tls.crt").write_bytes(shown.certificate)

    def settings(self, client_ca: bytes | None = None) -> Mapping[str, object]:
        own = {"certificate_file": self.folder / "tls.crt", "key_file": self.folder / "tls.key"}
        if client_ca is None:
            return own
        (self.folder / "ca.crt").write_bytes(client_ca)
        return {**own, "client_ca_file": self.folder / "ca.crt", "client_certificate": "required"}


@asynccontextmanager
async def secure(
    service: Service, trusted: Authority, token: str = "", shown: Certificate | None = None
) -> AsyncIterator["rpc.OrchestratorServiceAsyncStub"]:
    """A stub on a connection of its own, which may show a certificate and a token."""
    pair = (shown.key, shown.certificate) if shown else ()
    credentials = grpc.ssl_channel_credentials(trusted.certificate, *pair)
    own = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{service.port}", credentials, options=own) as channel:
        yield stub_with(channel, (("authorization", f"Bearer {token}"),) if token else ())


async def serial(port: int) -> int:
    """The serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(shown).serial_number


def serial_of(certificate: Certificate) -> int:
    return x509.load_pem_x509_certificate(certificate.certificate).serial_number


async def shows(port: int, certificate: Certificate) -> None:
    """Return when new connections are shown this certificate."""
    async with asyncio.timeout(10):
        while True:
            if await serial(port) == serial_of(certificate):
                return
            await asyncio.sleep(0.02)
