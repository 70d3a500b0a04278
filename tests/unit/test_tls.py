"""Certificates and keys that are broken are refused as files, whatever is broken in them."""

import base64
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from orchestrator.identity.errors import IdentityFileError
from orchestrator.tls import checked
from tests.harness.certificates import self_signed
from tests.harness.scale import SCALE

TRIES = 2000 * SCALE


def pem(kind: str, der: bytes) -> bytes:
    label = kind.encode()
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, base64.encodebytes(der), label)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_certificate_with_changed_bytes_is_taken_or_refused_and_nothing_else() -> None:
    whole, drawn, refused = self_signed(), random.Random(12), 0
    der = x509.load_pem_x509_certificate(whole.certificate).public_bytes(Encoding.DER)
    for _ in range(TRIES):
        changed = bytearray(der)
        for _ in range(drawn.randint(1, 3)):
            changed[drawn.randrange(len(der))] = drawn.randrange(256)
        try:
            checked([pem("CERTIFICATE", bytes(changed)), whole.key])
        except IdentityFileError:
            refused += 1
    assert refused > TRIES / 10


def test_a_certificate_of_a_version_that_there_is_not_is_refused_also_as_a_ca() -> None:
    whole = self_signed()
    der = x509.load_pem_x509_certificate(whole.certificate).public_bytes(Encoding.DER)
    assert der.count(b"\xa0\x03\x02\x01\x02") == 1
    wrong = pem("CERTIFICATE", der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x69"))
    for contents in ([wrong, whole.key], [whole.certificate, whole.key, wrong]):
        with pytest.raises(IdentityFileError):
            checked(contents)


def test_a_private_key_is_not_written_out() -> None:
    whole = self_signed()
    shown = repr(checked([whole.certificate, whole.key]))
    assert "CERTIFICATE" in shown
    assert "PRIVATE" not in shown
