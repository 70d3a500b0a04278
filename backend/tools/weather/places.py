"""Where a place is, by Open-Meteo's geocoding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.tools.outside import OutsideService, RefusedRequestError
from llm_orchestrator_client.tool_service import InvalidArgumentError, NotFoundError, UnavailableError

_CANDIDATES = "20"
_REGIONS = ("admin1", "admin2", "admin3", "country", "country_code")


@dataclass(frozen=True, slots=True)
class Place:
    """A place as it was understood."""

    name: str
    latitude: float
    longitude: float


class Places:
    """Finds places."""

    def __init__(self, service: OutsideService) -> None:
        self._service = service

    async def found(self, written: str) -> Place:
        """The place of that name; what stands after a comma (`Paris, Texas`) has to fit its region.

        Raises:
            ToolServiceError: There is none, or nobody can tell.
        """
        name, *regions = [part.strip() for part in written.split(",") if part.strip()] or [""]
        if not name:
            raise InvalidArgumentError("location is needed", field="location")
        try:
            answer = await self._service.get("/v1/search", {"name": name, "count": _CANDIDATES})
        except RefusedRequestError as error:
            raise NotFoundError("There is no such place.") from error
        # Without a hit the answer has no `results` at all.
        hits = answer.get("results", [])
        if not isinstance(hits, list):
            raise UnavailableError("The search for places answers with something that cannot be read.")
        for hit in hits:
            if isinstance(hit, dict) and _fits(hit, regions):
                return _place(hit)
        raise NotFoundError("There is no such place.")


def _fits(hit: Mapping[str, Any], regions: Sequence[str]) -> bool:
    known = {str(hit[key]).lower() for key in _REGIONS if hit.get(key)}
    return all(
        any(region.lower() in (one, one[:2]) or region.lower() in one for one in known) for region in regions
    )


def _place(hit: Mapping[str, Any]) -> Place:
    try:
        latitude, longitude = float(hit["latitude"]), float(hit["longitude"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnavailableError("The search for places answers with something that cannot be read.") from error
    parts = [str(hit[key]) for key in ("name", "admin1", "country") if hit.get(key)]
    return Place(", ".join(dict.fromkeys(parts)), latitude, longitude)
