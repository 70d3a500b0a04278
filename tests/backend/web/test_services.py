"""Search, weather and images over services that answer as theirs do, and as they should not."""

import base64
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from backend.store.database import Database
from backend.tools.images.store import ImageStore
from backend.tools.images.tools import ImageOptions
from backend.tools.web import ImagesOptions, WeatherOptions, WebOptions
from tests.backend.web.serving import Tools, serving
from tests.fakes.web.names import FakeNames
from tests.fakes.web.server import WebServer, web_server

UNAVAILABLE, UNIMPLEMENTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED
HITS = {
    "results": [
        {"url": "https://a.example/", "title": "A", "content": "about a", "score": 1.5, "engines": ["x"]},
        {"url": "https://b.example/", "title": "B", "content": "about b", "score": 3.0},
        {"url": "javascript:alert(1)", "title": "C", "score": 9.0},
        {"url": "https://d.example/", "title": None, "content": None, "score": "much"},
        "no hit",
    ]
}
PARIS = [
    {"name": "Paris", "latitude": 48.85, "longitude": 2.35, "country": "France", "country_code": "FR"},
    {"name": "Paris", "latitude": 33.66, "longitude": -95.5, "country": "United States", "admin1": "Texas"},
]
CURRENT = {
    "temperature_2m": 7.5,
    "apparent_temperature": 4.0,
    "relative_humidity_2m": 80,
    "precipitation": 0.2,
    "weather_code": 61,
    "wind_speed_10m": 20.0,
    "wind_gusts_10m": 40.0,
    "wind_direction_10m": 270,
    "time": "2026-01-31T12:00",
}
DAILY = {
    "time": ["2026-01-31", "2026-02-01"],
    "weather_code": [3, 999],
    "temperature_2m_max": [9.0, 8.0],
    "temperature_2m_min": [1.0, 2.0],
    "precipitation_sum": [0.0, 4.2],
    "precipitation_probability_max": [10, None],
    "wind_speed_10m_max": [30.0, 25.0],
}
FORECAST = {
    "timezone": "Europe/Paris",
    "current": CURRENT,
    "current_units": dict.fromkeys(CURRENT, " u"),
    "daily": DAILY,
    "daily_units": dict.fromkeys(DAILY, " u"),
}


def png(width: int = 64, height: int = 32) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def made(*contents: bytes) -> dict[str, Any]:
    return {"created": 1, "data": [{"b64_json": base64.b64encode(one).decode()} for one in contents]}


@pytest.fixture
async def service() -> AsyncIterator[WebServer]:
    """All three, at paths of their own."""
    async with web_server() as service:
        service.says_json("/search", HITS)
        service.says_json("/v1/search", {"results": PARIS})
        service.says_json("/v1/forecast", FORECAST)
        service.says_json("/v1/images/generations", made(png()))
        yield service


def options(service: WebServer) -> WebOptions:
    return WebOptions(
        fetching=None,
        search_url=f"{service.url}/",
        weather=WeatherOptions(service.url, service.url, seconds=0.5),
        images=ImagesOptions(f"{service.url}/v1", ImageOptions(model="painter"), "sk-secret", seconds=0.5),
    )


@pytest.fixture
async def tools(service: WebServer) -> AsyncIterator[Tools]:
    """Nothing is to be kept: the database is not open."""
    async with serving(options(service), Database("postgresql:///none"), FakeNames()) as tools:
        yield tools


@pytest.fixture
async def keeping(service: WebServer, database: Database) -> AsyncIterator[Tools]:
    """Tools that can keep images."""
    async with serving(options(service), database, FakeNames()) as tools:
        yield tools


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "SearchWeb": ("/search", {"query": "harbours"}),
    "GetWeatherData": ("/v1/forecast", {"location": "Paris"}),
    "GenerateImage": ("/v1/images/generations", {"prompt": "a harbour"}),
}


async def test_a_search_gives_the_best_hits_first(tools: Tools, service: WebServer) -> None:
    answer = await tools.ask("SearchWeb", query="harbours & ships", max_results=3)
    assert [(hit.title, hit.url, hit.relevance_score) for hit in answer.results] == [
        ("B", "https://b.example/", 1.0),
        ("A", "https://a.example/", 0.5),
        ("", "https://d.example/", 0.0),
    ]
    assert service.ledger[0].query == {"q": "harbours & ships", "format": "json"}
    assert len((await tools.ask("SearchWeb", query="x", max_results=1)).results) == 1


async def test_weather_is_that_of_the_place_in_the_region_that_was_named(
    tools: Tools, service: WebServer
) -> None:
    answer = await tools.ask(
        "GetWeatherData", location="Paris, Texas", data_types=["current", "forecast", "alerts"]
    )
    assert answer.location == "Paris, Texas, United States"
    assert service.ledger[1].query["latitude"] == "33.66"
    assert answer.current_conditions.startswith("light rain, 7.5 u, feels like 4.0 u")
    assert answer.metadata["temperature_2m"] == "7.5 u"
    assert answer.forecast[0] == (
        "2026-01-31: overcast, 1.0 to 9.0 u, precipitation 0.0 u (10% likely), wind up to 30.0 u"
    )
    assert "weather code 999" in answer.forecast[1]
    assert not answer.alerts
    assert "not known" in answer.metadata["alerts"]


async def test_only_what_was_asked_for_is_fetched(tools: Tools, service: WebServer) -> None:
    answer = await tools.ask("GetWeatherData", location="Paris")
    assert (len(answer.forecast), "alerts" in answer.metadata) == (0, False)
    assert "daily" not in service.ledger[1].query


async def test_a_place_that_is_none_is_no_problem_of_the_service(tools: Tools) -> None:
    for location, code in (
        ("Paris, Mars", "NOT_FOUND"),
        ("", "INVALID_ARGUMENT"),
        (" , ", "INVALID_ARGUMENT"),
    ):
        assert (await tools.refused("GetWeatherData", location=location)).code.name == code


async def test_a_place_that_the_service_does_not_know_is_not_found(tools: Tools, service: WebServer) -> None:
    service.says_json("/v1/search", {"generationtime_ms": 0.1})
    assert (await tools.refused("GetWeatherData", location="Xyz")).code == grpc.StatusCode.NOT_FOUND


async def test_images_are_made_kept_and_only_their_makers(
    keeping: Tools, service: WebServer, database: Database
) -> None:
    service.says_json(
        "/v1/images/generations", made(png(), b"\xff\xd8\xff\xc0\0\x11\x08\0\x20\0\x40" + b"\0" * 8)
    )
    answer = await keeping.ask(
        "GenerateImage", prompt="a harbour", negative_prompt="people", seed=7, num_images=2, format="PNG"
    )
    heard = service.ledger[0]
    assert heard.headers["authorization"] == "Bearer sk-secret"
    assert heard.json == {
        "model": "painter",
        "prompt": "a harbour\n\nNot in the image: people",
        "n": 2,
        "size": "1024x1024",
        "response_format": "b64_json",
        "output_format": "png",
        "seed": 7,
    }
    assert answer.success
    assert [(one.width, one.height, one.format) for one in answer.images] == [
        (64, 32, "png"),
        (64, 32, "jpeg"),
    ]
    first = answer.images[0]
    assert first.url == f"/images/{first.filename}"
    store, image_id = ImageStore(database), first.filename.removesuffix(".png")
    kept = await store.image("ann", image_id)
    assert kept is not None
    assert kept.content == png()
    assert await store.image("bob", image_id) is None


async def test_what_cannot_be_made_is_not_asked_for(tools: Tools, service: WebServer) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"prompt": " "},
        {"prompt": "x", "num_images": 5},
        {"prompt": "x", "size": "9x9x9"},
        {"prompt": "x", "size": "99999x10"},
        {"prompt": "x", "format": "exe"},
    )
    for fields in wrong:
        refused = await tools.refused("GenerateImage", **fields)
        assert refused.code == grpc.StatusCode.INVALID_ARGUMENT, fields
    assert service.ledger == []


async def test_a_prompt_that_the_service_refuses_is_told_with_its_reason(
    tools: Tools, service: WebServer
) -> None:
    service.says_json("/v1/images/generations", {"error": {"message": "against our policy"}}, status=400)
    answer = await tools.ask("GenerateImage", prompt="x")
    assert not answer.success
    assert answer.error == "The image service refuses this request: against our policy"


async def test_what_is_no_image_is_not_kept(keeping: Tools, service: WebServer, database: Database) -> None:
    answers: tuple[Any, ...] = (
        {},
        {"data": []},
        {"data": ["x"]},
        {"data": [{"url": "http://127.0.0.1/"}]},
        {"data": [{"b64_json": "!!"}]},
        *(made(b"<html>"), made(png(0, 0)), made(png(20_000, 1)), made(b"\x89PNG\r\n\x1a\n")),
    )
    for answer in answers:
        service.says_json("/v1/images/generations", answer)
        assert (await keeping.refused("GenerateImage", prompt="x")).code == UNAVAILABLE, answer
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM images") == 0


@pytest.mark.parametrize("rpc", CALLS)
async def test_a_service_with_a_problem_is_unavailable_and_its_text_stays_here(
    tools: Tools, service: WebServer, rpc: str
) -> None:
    path, fields = CALLS[rpc]
    for status in (301, 401, 403, 500, 503):
        service.says_json(path, {"error": "key sk-secret is wrong"}, status=status, Location="/elsewhere")
        refused = await tools.refused(rpc, **fields)
        assert refused.code == UNAVAILABLE, status
        assert "sk-secret" not in refused.everything
    assert "/elsewhere" not in service.paths


@pytest.mark.parametrize("rpc", CALLS)
async def test_garbage_of_a_service_is_its_problem(tools: Tools, service: WebServer, rpc: str) -> None:
    path, fields = CALLS[rpc]
    for body in ("", "<html>", "[1]", "null", "{}", '{"results": 7, "data": 7}', "[" * 100_000):
        service.says(path, body, kind="application/json")
        assert (await tools.refused(rpc, **fields)).code == UNAVAILABLE, body[:20]


async def test_a_service_that_has_too_much_to_do_says_when_it_may_be_asked_again(
    tools: Tools, service: WebServer
) -> None:
    for rpc, (path, fields) in CALLS.items():
        service.says_json(path, {}, status=429, Retry_After="7")
        refused = await tools.refused(rpc, **fields)
        assert (refused.code, refused.retry_seconds) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 7.0)


async def test_a_service_that_does_not_answer_is_too_slow(tools: Tools, service: WebServer) -> None:
    for rpc in ("GetWeatherData", "GenerateImage"):
        path, fields = CALLS[rpc]
        service.hangs(path)
        assert (await tools.refused(rpc, **fields)).code == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    async with web_server() as gone:
        url = gone.url
    async with serving(
        WebOptions(fetching=None, search_url=url), Database("postgresql:///none"), FakeNames()
    ) as tools:
        assert (await tools.refused("SearchWeb", query="x")).code == UNAVAILABLE


async def test_what_is_not_configured_is_not_there() -> None:
    async with serving(WebOptions(fetching=None), Database("postgresql:///none"), FakeNames()) as tools:
        for rpc in ("SearchWeb", "CrawlWebContent", "SearchAndCrawl", "GetWeatherData", "GenerateImage"):
            assert (await tools.refused(rpc)).code == UNIMPLEMENTED
        for rpc in ("SearchRSSFeeds", "AddRSSFeed", "ListRSSFeeds", "DescribeTools"):
            assert (await tools.refused(rpc)).code == UNIMPLEMENTED
