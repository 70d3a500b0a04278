"""TLS whose certificates change while the server runs. Connections that are open keep theirs."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from orchestrator.identity.errors import IdentityFileError
from orchestrator.identity.reloading import ReloadedFiles


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM. `client_ca`: whose certificates callers must show; None = they show none."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """As gRPC takes it; it takes each object once."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.client_ca)


def checked(contents: Sequence[bytes]) -> Certificates:
    """Certificate, key and, if there is one, the clients' CA, which belong together and hold now.

    Raises:
        IdentityFileError: They do not.
    """
    certificates = Certificates(*contents)
    [own, *_] = _parsed("the certificate", certificates.certificate)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        public = own.public_key().public_bytes(*form)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IdentityFileError("the certificate's key is of no kind that is known") from error
    if not own.not_valid_before_utc <= datetime.now(UTC) <= own.not_valid_after_utc:
        raise IdentityFileError("the certificate has expired, or does not hold yet")
    try:
        key = load_pem_private_key(certificates.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IdentityFileError("the key is none in PEM, or has a password") from error
    if key.public_key().public_bytes(*form) != public:
        raise IdentityFileError("the key is not that of the certificate")
    if certificates.client_ca is not None:
        _parsed("the clients' CA", certificates.client_ca)
    return certificates


def _parsed(what: str, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except (ValueError, x509.InvalidVersion) as error:
        raise IdentityFileError(f"{what} is none in PEM") from error


def server_credentials(files: ReloadedFiles[Certificates]) -> grpc.ServerCredentials:
    """Credentials whose new connections use what is in force in the files."""
    return grpc.dynamic_ssl_server_credentials(
        files.current.configuration(),
        _Changes(files),  # type: ignore[arg-type] # None, which the stub does not know, = no change
        require_client_authentication=files.current.client_ca is not None,
    )


class _Changes:
    """Is asked before each handshake, on threads of gRPC's, for what has changed; None = nothing has."""

    def __init__(self, files: ReloadedFiles[Certificates]) -> None:
        self._files = files
        self._told = files.current
        self._lock = threading.Lock()

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        with self._lock:
            current = self._files.current
            if current is self._told:
                return None
            self._told = current
            return current.configuration()
