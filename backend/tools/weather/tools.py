"""GetWeatherData by Open-Meteo."""

from collections.abc import Mapping
from typing import Any

from backend.tools.outside import OutsideService, RefusedRequestError
from backend.tools.weather.codes import in_words
from backend.tools.weather.places import Place, Places
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, InvalidArgumentError, UnavailableError

_KINDS = frozenset({"current", "forecast", "alerts"})
_DAYS = 7
_CURRENT = (
    "temperature_2m",
    "apparent_temperature",
    "relative_humidity_2m",
    "precipitation",
    "weather_code",
    "wind_speed_10m",
    "wind_gusts_10m",
    "wind_direction_10m",
)
_DAILY = (
    "weather_code",
    "temperature_2m_max",
    "temperature_2m_min",
    "precipitation_sum",
    "precipitation_probability_max",
    "wind_speed_10m_max",
)
_NO_ALERTS = (
    "not known: the weather service in use has no alerts; that none are listed does not mean there are none"
)


class Weather:
    """A part: weather of one Open-Meteo. `places` and `forecasts` are its two APIs."""

    def __init__(self, places: OutsideService, forecasts: OutsideService) -> None:
        self._places = Places(places)
        self._forecasts = forecasts

    async def get_weather_data(self, _call: Call, request: pb.WeatherRequest) -> pb.WeatherResponse:
        """What was asked for, of now and of the next seven days. Raises: ToolServiceError."""
        kinds = frozenset(request.data_types) or frozenset({"current"})
        if unknown := kinds - _KINDS:
            raise InvalidArgumentError(
                f"data_types has {sorted(unknown)[0]!r}; there are current, forecast and alerts",
                field="data_types",
            )
        place = await self._places.found(request.location)
        response = pb.WeatherResponse(location=place.name)
        if "alerts" in kinds:
            response.metadata["alerts"] = _NO_ALERTS
        if kinds - {"alerts"}:
            await self._fill(response, place, kinds)
        return response

    async def _fill(self, response: pb.WeatherResponse, place: Place, kinds: frozenset[str]) -> None:
        query = {"latitude": str(place.latitude), "longitude": str(place.longitude), "timezone": "auto"}
        if "current" in kinds:
            query["current"] = ",".join(_CURRENT)
        if "forecast" in kinds:
            query |= {"daily": ",".join(_DAILY), "forecast_days": str(_DAYS)}
        try:
            answer = await self._forecasts.get("/v1/forecast", query)
            response.metadata["timezone"] = str(answer.get("timezone", ""))
            if "current" in kinds:
                _fill_current(response, answer)
            if "forecast" in kinds:
                response.forecast.extend(_days(answer))
        except (RefusedRequestError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise UnavailableError(
                "The weather service answers with something that cannot be read."
            ) from error


def _fill_current(response: pb.WeatherResponse, answer: Mapping[str, Any]) -> None:
    now, units = answer["current"], answer["current_units"]
    values = {name: f"{now[name]}{units[name]}" for name in _CURRENT if name != "weather_code"}
    response.current_conditions = (
        f"{in_words(now['weather_code'])}, {values['temperature_2m']}, feels like "
        f"{values['apparent_temperature']}, wind {values['wind_speed_10m']}, "
        f"precipitation {values['precipitation']}"
    )
    response.metadata.update(values)
    response.metadata["observed_at"] = str(now["time"])


def _days(answer: Mapping[str, Any]) -> list[str]:
    daily, units = answer["daily"], answer["daily_units"]
    days = []
    for number, day in enumerate(daily["time"]):
        of = {name: daily[name][number] for name in _DAILY}
        text = (
            f"{day}: {in_words(of['weather_code'])}, {of['temperature_2m_min']} to "
            f"{of['temperature_2m_max']}{units['temperature_2m_max']}, precipitation "
            f"{of['precipitation_sum']}{units['precipitation_sum']}"
        )
        if of["precipitation_probability_max"] is not None:
            text += f" ({of['precipitation_probability_max']}% likely)"
        days.append(f"{text}, wind up to {of['wind_speed_10m_max']}{units['wind_speed_10m_max']}")
    return days
