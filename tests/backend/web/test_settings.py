"""Each setting of the web changes what the parts are made with."""

from typing import Any

import pytest
from pydantic import ValidationError

from backend.web_settings import WebSettings, options_of

WEATHER: dict[str, Any] = {"geocoding_url": "http://g", "forecast_url": "http://f"}
IMAGES: dict[str, Any] = {"images_url": "http://i/v1", "images_model": "m"}
ALONE: dict[str, Any] = {
    "fetching": False,
    "ports": (8080,),
    "allowed": ("10.0.0.0/8",),
    "user_agent": "robot",
    "max_bytes": 4096,
    "seconds": 1.0,
    "feeds": False,
    "feed_seconds": 60.0,
    "search_url": "http://s",
}


@pytest.mark.parametrize("name", ALONE)
def test_a_setting_changes_the_options(name: str) -> None:
    assert options_of(WebSettings(**{name: ALONE[name]})) != options_of(WebSettings())


@pytest.mark.parametrize("name", WEATHER)
def test_where_the_weather_comes_from_is_told(name: str) -> None:
    options = options_of(WebSettings(**{**WEATHER, name: "http://other"}))
    assert options.weather is not None
    assert "http://other" in (options.weather.places_url, options.weather.forecasts_url)
    alone: dict[str, Any] = {name: "http://alone"}
    with pytest.raises(ValidationError):
        WebSettings(**alone)


@pytest.mark.parametrize(
    ("name", "value"),
    [("images_token", "k"), ("images_size", "8x8"), ("images_ask_for_data", False), ("images_model", "n")],
)
def test_how_images_are_made_is_told(name: str, value: Any) -> None:
    assert options_of(WebSettings(**{**IMAGES, name: value})) != options_of(WebSettings(**IMAGES))


def test_by_default_nothing_is_asked_that_nobody_has_configured() -> None:
    options = options_of(WebSettings())
    assert (options.search_url, options.weather, options.images) == ("", None, None)
    assert options.fetching is not None
    assert options.fetching.allowed == []


@pytest.mark.parametrize("wrong", [{"allowed": ("localhost",)}, {"images_url": "http://i"}, {"search": "x"}])
def test_what_cannot_be_used_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WebSettings(**wrong)


def test_administrators_are_those_of_the_backend() -> None:
    options = options_of(WebSettings(), ["root"])
    assert options.feeds is not None
    assert options.feeds.administrators == {"root"}
