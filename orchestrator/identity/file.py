"""The file of identities: whom static tokens, certificates and the subjects of JWTs stand for.

[tokens]
backend = { sha256 = "9f86...", service = "backend", users = "*" }
ann-laptop = { sha256 = "60303a...", user = "ann", expires = 2027-01-01T00:00:00Z }
[certificates]
"spiffe://example.org/batch" = { service = "batch", users = ["ann", "bob"] }
"CN=ann" = { user = "ann" }
[subjects]
"backend@clients" = { service = "backend", users = "*" }
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic import model_validator as validator

from orchestrator.identity.errors import IdentityFileError
from orchestrator.identity.principals import Principal, ServicePrincipal, UserPrincipal

USER_CHARACTERS = 256

Name = Annotated[str, StringConstraints(min_length=1, max_length=USER_CHARACTERS, pattern=r"^[^\x00-\x1f]*$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    user: Name | None = None
    service: Name | None = None
    users: Literal["*"] | frozenset[Name] | None = None

    @validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if (self.user is None) is (self.service is None):
            raise ValueError("needs either user or service")
        if (self.users is None) is not (self.service is None):
            raise ValueError("a service, and nobody else, needs users: a list, or * for all")
        return self

    def principal(self) -> Principal:
        if self.service is None:
            return UserPrincipal(self.user or "")
        return ServicePrincipal(self.service, self.users if isinstance(self.users, frozenset) else None)


class _TokenEntry(_Entry):
    sha256: Digest
    expires: AwareDatetime | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: dict[str, _TokenEntry] = Field(default_factory=dict)
    certificates: dict[str, _Entry] = Field(default_factory=dict)
    subjects: dict[str, _Entry] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A static token. `digest` is its SHA-256, the only thing of it that is kept."""

    digest: bytes
    principal: Principal
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class Identities:
    """What stands in the file: tokens by digest, certificates by URI or `CN=name`, JWTs by subject."""

    tokens: Mapping[bytes, KnownToken] = field(default_factory=dict)
    certificates: Mapping[str, Principal] = field(default_factory=dict)
    subjects: Mapping[str, Principal] = field(default_factory=dict)


def parse_identities(content: bytes) -> Identities:
    """The content of the file.

    Raises:
        IdentityFileError: With every entry that is wrong, without the wrong values.
    """
    try:
        file = _File.model_validate(tomllib.loads(content.decode()))
    except UnicodeDecodeError as error:
        raise IdentityFileError("it is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise IdentityFileError(f"it is not TOML: {error}") from error
    except RecursionError as error:
        raise IdentityFileError("it nests too deeply") from error
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False, include_context=False)
        lines = (f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in details)
        raise IdentityFileError("; ".join(lines)) from error
    except ValueError as error:  # a number of thousands of digits
        raise IdentityFileError("it has a value that cannot be read") from error
    tokens = [KnownToken(bytes.fromhex(t.sha256), t.principal(), t.expires) for t in file.tokens.values()]
    by_digest = {token.digest: token for token in tokens}
    if len(by_digest) < len(tokens):
        raise IdentityFileError("tokens: two of them have the same sha256")
    return Identities(
        by_digest,
        {name: entry.principal() for name, entry in file.certificates.items()},
        {name: entry.principal() for name, entry in file.subjects.items()},
    )
