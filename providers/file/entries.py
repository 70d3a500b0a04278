"""What a provider file holds; docs/providers.md explains it to those who write one."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

DEFAULT_CLASS = "chat"
"""The class of every agent that names no other."""

Kind = Literal["openai", "anthropic", "gemini", "langchain", "local", "scripted"]

_WITHOUT_SERVER = ("langchain", "local")
_SECRET_HEADERS = frozenset(
    ("authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie")
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$"


def _is_plain_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an absolute http or https URL")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must hold no credentials, no query and no fragment")
    return url.rstrip("/")


def _are_harmless(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if name.lower() in _SECRET_HEADERS:
            raise ValueError("no header here may carry a key: name its variable in api_key_env")
        if not _HEADER_NAME.fullmatch(name) or not value.isprintable() or not value.isascii():
            raise ValueError("a name or a value cannot stand in an HTTP header")
    return headers


Name = Annotated[str, Field(pattern=_NAME)]
BaseUrl = Annotated[str, AfterValidator(_is_plain_url)]
Headers = Annotated[Mapping[str, str], AfterValidator(_are_harmless)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Limits(_Entry):
    """What each model of a provider may be asked for. None: no limit of that sort is known.

    Between `min_concurrency` and `max_concurrency` the number of calls at a time follows what the provider
    shows that it can carry.
    """

    max_concurrency: int = Field(default=64, ge=1, le=100_000)
    min_concurrency: int = Field(default=1, ge=1, le=100_000)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _floor_is_below_ceiling(self) -> Self:
        if self.min_concurrency > self.max_concurrency:
            raise ValueError("min_concurrency may not be above max_concurrency")
        return self


class Timeouts(_Entry):
    """How long one call may wait for what."""

    connect_seconds: float = Field(default=5.0, gt=0)
    first_token_seconds: float = Field(default=60.0, gt=0)
    between_tokens_seconds: float = Field(default=30.0, gt=0)
    total_seconds: float = Field(default=600.0, gt=0)


class Prices(_Entry):
    """Micro-units of the file's currency for a million tokens."""

    input_micros: int = Field(default=0, ge=0)
    cached_input_micros: int | None = Field(default=None, ge=0)
    output_micros: int = Field(default=0, ge=0)


class ProviderEntry(_Entry):
    """One provider: where it is, how it is spoken to, and how much it takes."""

    kind: Kind
    base_url: BaseUrl | None = None
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]{0,127}$")
    langchain_provider: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,63}$")
    headers: Headers = Field(default_factory=dict)
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    background_probe: bool = False

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if (self.kind == "langchain") != (self.langchain_provider is not None):
            raise ValueError("langchain_provider belongs to kind langchain, and only to it")
        if self.kind in _WITHOUT_SERVER and (self.base_url or self.headers):
            raise ValueError(f"kind {self.kind} takes no base_url and no headers")
        if self.kind == "scripted" and self.base_url is None:
            raise ValueError("kind scripted needs a base_url")
        return self


class ModelEntry(_Entry):
    """One model of a provider. `model` is the vendor's id, the name of the table where it is empty.

    `routing`: it is good enough to choose agents; None = unless it is the local one.
    """

    provider: Name
    model: str = Field(default="", max_length=256)
    context_tokens: int = Field(ge=256)
    max_output_tokens: int | None = Field(default=None, ge=1)
    tools: bool = True
    images: bool = False
    json_schema: bool = True
    routing: bool | None = None
    prices: Prices = Prices()


class ProviderConfiguration(_Entry):
    """A whole file."""

    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    providers: Mapping[Name, ProviderEntry]
    models: Mapping[Name, ModelEntry]
    classes: Mapping[Name, Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        wrong = [*self._wrong_models(), *self._wrong_classes()]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _wrong_models(self) -> list[str]:
        return [
            f"[models.{name}] provider: there is no such provider"
            for name, model in self.models.items()
            if model.provider not in self.providers
        ]

    def _wrong_classes(self) -> list[str]:
        wrong = (
            [] if DEFAULT_CLASS in self.classes else [f"[classes] {DEFAULT_CLASS}: this class is required"]
        )
        for name, members in self.classes.items():
            wrong += [
                f"[classes] {name}, entry {number}: there is no such model"
                for number, member in enumerate(members, 1)
                if member not in self.models
            ]
            if len(set(members)) < len(members):
                wrong.append(f"[classes] {name}: a model stands there twice")
        return wrong
