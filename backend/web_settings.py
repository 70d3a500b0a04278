"""The settings of what reaches the outside world: one group, read from BACKEND_WEB__NAME."""

from collections.abc import Collection
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from backend.tools.crawl.addresses import allowed_of
from backend.tools.crawl.fetcher import FetchOptions
from backend.tools.feeds.store import FeedLimits
from backend.tools.images.tools import ImageOptions
from backend.tools.web import FeedOptions, FetchingOptions, ImagesOptions, WeatherOptions, WebOptions


class WebSettings(BaseModel):
    """What is empty is off, and its tools answer UNIMPLEMENTED."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fetching: bool = Field(default=True, description="pages, sites and feeds are fetched")
    ports: tuple[int, ...] = Field(default=(80, 443), description="ports that may be fetched from, as JSON")
    allowed: tuple[str, ...] = Field(
        default=(),
        description="networks beside the public ones, as 10.0.0.0/8 or 127.0.0.1:8080, as JSON",
    )
    user_agent: str = Field(
        default="llm-orchestrator-backend", min_length=1, description="as whom sites and robots.txt see us"
    )
    max_bytes: int = Field(default=4 << 20, ge=1024, description="largest page or feed, decompressed, bytes")
    seconds: float = Field(default=15.0, gt=0, description="for one page or feed with redirects, seconds")
    feeds: bool = Field(default=True, description="feeds are served and polled")
    feed_seconds: float = Field(default=1800.0, ge=60, description="between two polls of a feed, seconds")
    search_url: str = Field(default="", description="a SearXNG with the format json")
    geocoding_url: str = Field(default="", description="an Open-Meteo's geocoding API")
    forecast_url: str = Field(default="", description="an Open-Meteo's forecast API")
    images_url: str = Field(default="", description="an OpenAI-compatible endpoint, up to and with /v1")
    images_token: SecretStr = Field(default=SecretStr(""), description="its key; may be empty")
    images_model: str = Field(default="", description="the model's name there")
    images_size: str = Field(default="1024x1024", description="width x height unless a request says another")
    images_ask_for_data: bool = Field(
        default=True, description="send response_format b64_json, which some endpoints refuse"
    )

    @field_validator("allowed")
    @classmethod
    def _networks(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            allowed_of(entry)
        return entries

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.geocoding_url) != bool(self.forecast_url):
            raise ValueError("the weather needs geocoding_url and forecast_url")
        if self.images_url and not self.images_model:
            raise ValueError("images_url needs images_model")
        return self


def options_of(settings: WebSettings, administrators: Collection[str] = ()) -> WebOptions:
    """What `web_parts` is made with; `administrators` manage the feeds of all users."""
    limits = FeedLimits(poll_seconds=settings.feed_seconds)
    return WebOptions(
        fetching=_fetching(settings) if settings.fetching else None,
        feeds=FeedOptions(frozenset(administrators), limits) if settings.feeds else None,
        search_url=settings.search_url,
        weather=_weather(settings) if settings.forecast_url else None,
        images=_images(settings) if settings.images_url else None,
    )


def _fetching(settings: WebSettings) -> FetchingOptions:
    return FetchingOptions(
        ports=settings.ports,
        allowed=[allowed_of(entry) for entry in settings.allowed],
        fetch=FetchOptions(
            user_agent=settings.user_agent, max_bytes=settings.max_bytes, seconds=settings.seconds
        ),
    )


def _weather(settings: WebSettings) -> WeatherOptions:
    return WeatherOptions(settings.geocoding_url, settings.forecast_url)


def _images(settings: WebSettings) -> ImagesOptions:
    images = ImageOptions(
        model=settings.images_model,
        size=settings.images_size,
        asks_for_data=settings.images_ask_for_data,
    )
    return ImagesOptions(settings.images_url, images, settings.images_token.get_secret_value())
