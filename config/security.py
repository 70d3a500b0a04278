"""Who may call, and how what is said is kept from others."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from config.address import is_loopback
from config.group import Group

_ASYMMETRIC = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
_SECRET_BYTES = 32


class SecuritySettings(Group):
    """TLS, and whom tokens and certificates stand for. Nothing set = neither, on loopback only."""

    certificate_file: Path | None = Field(
        default=None,
        description="the server's certificate with those it was signed by, PEM; with key_file: TLS",
    )
    key_file: Path | None = Field(default=None, description="its private key, PEM, without a password")
    client_ca_file: Path | None = Field(
        default=None, description="CAs that callers' certificates may come from, PEM"
    )
    client_certificate: Literal["none", "required"] = Field(
        default="none", description="whether callers must show a certificate: none, required (mTLS)"
    )
    identities_file: Path | None = Field(
        default=None,
        description="TOML: whom static tokens, certificates and subjects stand for; see docs/identity.md",
    )
    jwt_issuer: str = Field(default="", description="issuer that JWTs must name; empty = no JWTs")
    jwt_audience: str = Field(default="", description="audience that they must name")
    jwt_algorithms: str = Field(
        default="RS256,ES256", description="algorithms that they may be signed by, with commas between"
    )
    jwt_jwks_url: str = Field(
        default="", description="where their public keys are published, as a JSON Web Key Set"
    )
    jwt_key_file: Path | None = Field(
        default=None, description="instead: a public key in PEM, or a key set in a file"
    )
    jwt_key: SecretStr | None = Field(
        default=None, description="instead: a secret of at least 32 bytes that both sides know; HS256 only"
    )
    jwt_leeway_seconds: float = Field(
        default=30.0, ge=0, le=300, description="how far clocks may be apart, seconds"
    )
    jwks_refresh_seconds: float = Field(
        default=300.0, ge=1, le=86400, description="how often the key set is fetched anew, seconds"
    )
    jwks_retry_seconds: float = Field(
        default=10.0,
        ge=0.1,
        le=3600,
        description="shortest time between two fetches, for unknown keys and failures, seconds",
    )
    reload_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="how often these files are looked at again, seconds"
    )

    @property
    def encrypts(self) -> bool:
        """Whether there is TLS."""
        return self.certificate_file is not None

    @property
    def authenticates(self) -> bool:
        """Whether callers must say who they are."""
        return self.identities_file is not None or bool(self.jwt_issuer)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those of JWTs, each by itself."""
        if self.jwt_key is not None and "jwt_algorithms" not in self.model_fields_set:
            return ("HS256",)
        return tuple(name.strip() for name in self.jwt_algorithms.split(",") if name.strip())

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.certificate_file is None) is not (self.key_file is None):
            raise ValueError("certificate_file and key_file need each other")
        if (self.client_certificate == "required") is not (self.client_ca_file is not None):
            raise ValueError("client_ca_file and client_certificate=required need each other")
        if self.client_ca_file is not None and not self.encrypts:
            raise ValueError("client_ca_file needs certificate_file")
        return self

    @model_validator(mode="after")
    def _jwts_are_whole(self) -> Self:
        given = [bool(self.jwt_jwks_url), self.jwt_key_file is not None, self.jwt_key is not None]
        if bool(self.jwt_issuer) is not bool(self.jwt_audience):
            raise ValueError("jwt_issuer and jwt_audience need each other")
        if sum(given) != int(bool(self.jwt_issuer)):
            raise ValueError("with jwt_issuer, and only then, one of jwt_jwks_url, jwt_key_file and jwt_key")
        return self

    @model_validator(mode="after")
    def _keys_fit_to_algorithms(self) -> Self:
        if not self.jwt_issuer:
            return self
        allowed = frozenset({"HS256"}) if self.jwt_key is not None else _ASYMMETRIC
        if not self.algorithms or not allowed.issuperset(self.algorithms):
            raise ValueError(f"jwt_algorithms must be of {', '.join(sorted(allowed))} for this kind of key")
        if self.jwt_key is not None and len(self.jwt_key.get_secret_value().encode()) < _SECRET_BYTES:
            raise ValueError(f"jwt_key must have at least {_SECRET_BYTES} bytes")
        return self

    @model_validator(mode="after")
    def _keys_come_over_https(self) -> Self:
        if self.jwt_jwks_url:
            url = urlsplit(self.jwt_jwks_url)
            local = url.scheme == "http" and is_loopback(f"{url.hostname}:0")
            if not url.hostname or not (url.scheme == "https" or local):
                raise ValueError("jwt_jwks_url must begin with https://, or be on loopback")
        return self
