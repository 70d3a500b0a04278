"""Which settings of who may call go together."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.load import SettingsError, load
from config.names import variables
from config.security import SecuritySettings

SECRET = "canary-secret-of-32-bytes-and-more"
JWT: dict[str, Any] = {"jwt_issuer": "https://i", "jwt_audience": "a"}
TLS: dict[str, Any] = {"certificate_file": "c", "key_file": "k"}
CLOSED = {"SECURITY__CERTIFICATE_FILE": "c", "SECURITY__KEY_FILE": "k", "SECURITY__IDENTITIES_FILE": "i"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"certificate_file": "c"}, "need each other"),
        ({"key_file": "k"}, "need each other"),
        ({**TLS, "client_certificate": "required"}, "client_ca_file"),
        ({**TLS, "client_ca_file": "ca"}, "client_certificate"),
        ({"client_ca_file": "ca", "client_certificate": "required"}, "certificate_file"),
        ({"jwt_issuer": "https://i", "jwt_key_file": "k"}, "jwt_audience"),
        (JWT, "one of"),
        ({"jwt_key_file": "k"}, "one of"),
        ({**JWT, "jwt_key_file": "k", "jwt_jwks_url": "https://i/keys"}, "one of"),
        ({**JWT, "jwt_key_file": "k", "jwt_key": SECRET}, "one of"),
        ({**JWT, "jwt_key": SECRET[:31]}, "32 bytes"),
        ({**JWT, "jwt_key": SECRET, "jwt_algorithms": "RS256"}, "HS256"),
        ({**JWT, "jwt_key": SECRET, "jwt_algorithms": "HS256,none"}, "HS256"),
        ({**JWT, "jwt_key_file": "k", "jwt_algorithms": "HS256"}, "RS256"),
        ({**JWT, "jwt_key_file": "k", "jwt_algorithms": "RS256,none"}, "RS256"),
        ({**JWT, "jwt_key_file": "k", "jwt_algorithms": ","}, "RS256"),
        ({**JWT, "jwt_jwks_url": "http://issuer.example/keys"}, "https"),
        ({**JWT, "jwt_jwks_url": "file:///etc/passwd"}, "https"),
        ({**JWT, "jwt_jwks_url": "https:///keys"}, "https"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SecuritySettings(**given)


def test_a_secret_is_for_hs256_and_is_not_shown() -> None:
    security = SecuritySettings(**JWT, jwt_key=SECRET)  # type: ignore[arg-type]
    assert security.algorithms == ("HS256",)
    assert SECRET not in repr(security)


@pytest.mark.parametrize(
    ("given", "opens"),
    [
        (CLOSED, True),
        ({k: v for k, v in CLOSED.items() if "IDENTITIES" not in k}, False),
        ({"SECURITY__IDENTITIES_FILE": "i"}, False),
        ({}, False),
        ({"SERVER__ALLOW_PLAINTEXT": "true"}, True),
    ],
)
def test_beyond_loopback_there_is_tls_and_authentication_or_the_override(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: dict[str, str], opens: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in variables():
        monkeypatch.delenv(variable.name, raising=False)
    for name, value in {"SERVER__ADDRESS": "0.0.0.0:1", **given}.items():
        monkeypatch.setenv(f"ORCHESTRATOR_{name}", value)
    if opens:
        assert load().server.address == "0.0.0.0:1"
        return
    with pytest.raises(SettingsError) as raised:
        load()
    [line] = raised.value.lines
    assert "is not loopback" in line
    assert "ORCHESTRATOR_SERVER__ALLOW_PLAINTEXT=true" in line


def test_how_a_caller_beside_it_is_told_to_call_is_no_misspelt_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_TOKEN", SECRET)
    monkeypatch.setenv("ORCHESTRATOR_TLS_CA", "ca.crt")
    assert SECRET not in repr(load())
