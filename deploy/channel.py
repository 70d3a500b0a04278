"""How the programs of this folder reach the service: TLS and token, from the environment.

ORCHESTRATOR_TLS_CA: the CA file to trust; by default the service's own certificate, if it has one.
ORCHESTRATOR_TLS_CERTIFICATE and ORCHESTRATOR_TLS_KEY: what to show where callers must show a certificate.
ORCHESTRATOR_TLS_SERVER_NAME: the name that the certificate has, where that is not in the address.
ORCHESTRATOR_TOKEN: the bearer token. ORCHESTRATOR_USER: for whom; needed with the token of a service.
"""

import os
from getpass import getuser
from pathlib import Path

import grpc
from cryptography import x509

Metadata = tuple[tuple[str, str], ...]
Options = list[tuple[str, str]]


def metadata() -> Metadata:
    """What every call shows."""
    token = os.environ.get("ORCHESTRATOR_TOKEN", "")
    return (("authorization", f"Bearer {token}"),) if token else ()


def user() -> str:
    """For whom to ask; empty = whom the token is for."""
    own = "" if os.environ.get("ORCHESTRATOR_TOKEN") else getuser()
    return os.environ.get("ORCHESTRATOR_USER") or own


def credentials() -> tuple[grpc.ChannelCredentials | None, Options]:
    """What the channel is made with; None = plain text."""
    own = os.environ.get("ORCHESTRATOR_SECURITY__CERTIFICATE_FILE", "")
    ca = os.environ.get("ORCHESTRATOR_TLS_CA", "") or own
    if not ca:
        return None, []
    name = os.environ.get("ORCHESTRATOR_TLS_SERVER_NAME", "") or (_name(Path(own)) if own else "")
    options = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.ssl_channel_credentials(Path(ca).read_bytes(), *_shown()), options


def opened(address: str) -> grpc.Channel:
    """A channel for calls that block."""
    secure, options = credentials()
    if secure is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, secure, options=options)


def opened_async(address: str) -> grpc.aio.Channel:
    """A channel for others."""
    secure, options = credentials()
    if secure is None:
        return grpc.aio.insecure_channel(address)
    return grpc.aio.secure_channel(address, secure, options=options)


def _shown() -> tuple[bytes, bytes] | tuple[()]:
    certificate = os.environ.get("ORCHESTRATOR_TLS_CERTIFICATE", "")
    key = os.environ.get("ORCHESTRATOR_TLS_KEY", "")
    return (Path(key).read_bytes(), Path(certificate).read_bytes()) if certificate and key else ()


def _name(file: Path) -> str:
    """A name that the service's own certificate has, for those who ask it on loopback."""
    [own, *_] = x509.load_pem_x509_certificates(file.read_bytes())
    try:
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    return next(iter(names.get_values_for_type(x509.DNSName)), "").replace("*.", "any.")
